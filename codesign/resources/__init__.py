"""Resource reports and their sources."""
