"""The embedded path: real Traefik, an API server, a load balancer, DNS and pods on loopback."""
