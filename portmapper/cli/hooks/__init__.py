"""--exec: a command of the user's for each change."""
