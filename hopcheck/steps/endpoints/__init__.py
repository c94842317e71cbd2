"""Step 5: Service, endpoints, pods."""
