"""What caused what, and what it comes to (pure)."""
