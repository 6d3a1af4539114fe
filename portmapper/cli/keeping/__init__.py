"""What `map` and `run` do: open what is wanted, keep it open, and tell what becomes of it."""
