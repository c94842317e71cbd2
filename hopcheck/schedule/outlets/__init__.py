"""Where a scheduled run's results go: notifications, metrics, a published copy, a served page."""
