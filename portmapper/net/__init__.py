"""All the I/O there is."""
