"""What the command line says: the shared options, the ports, and what a shell completes."""
