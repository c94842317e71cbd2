"""The cluster's answers."""
