"""This host as faults find it: its control groups, mounts, clocks, name servers, directories and reserves.

Nothing here knows of faults or records; each module does one thing to the host and takes it back.
"""
