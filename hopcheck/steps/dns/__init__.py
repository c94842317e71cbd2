"""Step 1: the name resolves."""
