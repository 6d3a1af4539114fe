"""What to do for each mapping, and when; without I/O."""
