"""Real systems to hurt, from wheels, without root: started, registered, hurt and judged."""
