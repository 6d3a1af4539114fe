"""The subcommands, one module each but for those that only show something."""
