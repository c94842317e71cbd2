"""What a run is told: options, the file, the target."""
