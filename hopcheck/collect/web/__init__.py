"""The host's own request, and the same at every hop."""
