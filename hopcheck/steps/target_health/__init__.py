"""Step 2: load balancer and targets."""
