"""Many hosts in one process: which ones, one shared view for all of them, and their results."""
