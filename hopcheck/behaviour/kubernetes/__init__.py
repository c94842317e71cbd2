"""What Kubernetes objects mean, and which refer to which (pure)."""
