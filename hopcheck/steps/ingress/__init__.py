"""Step 4: the route."""
