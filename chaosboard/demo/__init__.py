"""Real systems to hurt, from wheels, without root: started, registered, hurt and judged."""

ASKED = "demo-asked"  # a file in the state directory: the supervisor starts the demo when it finds it
