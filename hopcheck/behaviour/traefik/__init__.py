"""What Traefik reads, builds and answers, by version (pure)."""
