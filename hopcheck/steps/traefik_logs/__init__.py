"""Step 6: whether the route is loaded."""
