"""What a terminal shows: tables, live tables, and a word about what is waited for."""
