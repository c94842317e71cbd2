"""What the parties do by their own rules (pure)."""
