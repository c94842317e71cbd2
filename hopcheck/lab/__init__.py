"""The embedded lab: the whole path on loopback, with a gallery of faults (`hopcheck[lab]`)."""
