"""hopcheck says which hop between a host name and its Pod is broken, and what to fix."""

__version__ = "0.1.0"
