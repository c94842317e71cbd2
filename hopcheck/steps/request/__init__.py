"""Step 7: the answer itself."""
