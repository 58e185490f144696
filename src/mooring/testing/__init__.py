"""Stand-ins that pass the same contracts as the real thing."""
