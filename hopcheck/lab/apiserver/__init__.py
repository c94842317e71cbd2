"""A small Kubernetes API server that real clients (kubectl, Traefik, client libraries) accept."""

from hopcheck.lab.apiserver.errors import ApiError
from hopcheck.lab.apiserver.server import ApiServer
from hopcheck.lab.apiserver.store import Store

__all__ = ["ApiError", "ApiServer", "Store"]
