"""The healthy lab with an IngressRoute and a Middleware in the Ingress's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hopcheck.lab import topology

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

ROUTE = "my-app-route"
MIDDLEWARE = "compress"


def objects() -> list[dict[str, Any]]:
    """The Middleware and the IngressRoute that uses it."""
    api = "traefik.io/v1alpha1"
    match = f"Host(`{topology.HOST}`) && PathPrefix(`/`)"
    route = {
        "match": match,
        "kind": "Rule",
        "middlewares": [{"name": MIDDLEWARE}],
        "services": [{"name": topology.SERVICE, "port": 80}],
    }
    return [
        {
            "apiVersion": api,
            "kind": "Middleware",
            "metadata": {"name": MIDDLEWARE, "namespace": topology.APP},
            "spec": {"compress": {}},
        },
        {
            "apiVersion": api,
            "kind": "IngressRoute",
            "metadata": {"name": ROUTE, "namespace": topology.APP},
            "spec": {
                "entryPoints": ["websecure"],
                "routes": [route],
                "tls": {"secretName": topology.SECRET},
            },
        },
    ]


async def use_ingress_route(lab: Lab) -> None:
    """Replace the Ingress by the IngressRoute and wait until the path works."""
    for obj in objects():
        lab.store.put(obj)
    lab.store.delete("ingresses", topology.APP, topology.INGRESS)
    await lab.settle()
