"""The lab: real systems, brought up on this machine to be hurt."""
