"""One engine for a host: live, from a file, in a fleet."""
