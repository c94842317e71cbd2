"""Who comes in: the command line, pytest, and what they do for a person."""
