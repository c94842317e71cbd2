"""What AWS load balancers do with a request (pure)."""
