"""The host's way in one snapshot, made once a host (pure)."""
