"""What is said: sentences for people, objects for programs."""
