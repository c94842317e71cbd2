"""The shapes that answers are read in: judges may rely on them, whoever answered (pure).

An API server, AWS and Traefik answer what their types allow. Compatible servers and objects
written by hand do not always: null for a list, a number as text, an object without metadata.
Here, on the way into the Snapshot, every known field is brought to its type, or left out where
it cannot be: null is absent, as in Kubernetes' own decoding. Unknown fields pass.
"""

from __future__ import annotations

from hopcheck.shape.aws import described
from hopcheck.shape.kubernetes import kubernetes_object
from hopcheck.shape.snapshot import shaped_snapshot
from hopcheck.shape.traefik import of_traefik

__all__ = ["described", "kubernetes_object", "of_traefik", "shaped_snapshot"]
