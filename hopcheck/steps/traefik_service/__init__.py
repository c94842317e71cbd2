"""Step 3: Traefik's Service and pods."""
