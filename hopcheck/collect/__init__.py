"""Collectors: the only modules that do I/O. Each turns a party's answers into evidence."""
