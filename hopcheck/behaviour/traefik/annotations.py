"""Annotations that this Traefik does not read where they stand: whose they are, what they did.

Sources: the annotations pages of ingress-nginx and of Traefik 1.7, annotations.go of the Ingress
provider of v2.11 to v3.7 (``router.*`` of an Ingress, ``service.*`` of a Service, nothing else).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from hopcheck.behaviour.kubernetes.references import PREFIX
from hopcheck.model.kubernetes import Ingress, Object, Service

Effect = Literal["path", "protocol", "access", "redirect", "place", "other"]

_NGINX = ("nginx.ingress.kubernetes.io/", "ingress.kubernetes.io/")
# What each was to change, by the name behind the prefix; of ingress-nginx and of Traefik 1.7.
EFFECTS: dict[str, Effect] = {
    **dict.fromkeys(("rewrite-target", "app-root", "use-regex", "rule-type"), "path"),
    **dict.fromkeys(("request-modifier", "x-forwarded-prefix", "upstream-vhost"), "path"),
    **dict.fromkeys(("backend-protocol", "protocol", "secure-backends"), "protocol"),
    **dict.fromkeys(("auth-url", "auth-type", "auth-secret", "auth-tls-secret"), "access"),
    **dict.fromkeys(("whitelist-source-range", "denylist-source-range"), "access"),
    **dict.fromkeys(("ssl-redirect", "force-ssl-redirect", "permanent-redirect"), "redirect"),
    **dict.fromkeys(("temporal-redirect", "redirect-entry-point", "redirect-regex"), "redirect"),
    **dict.fromkeys(("frontend-entry-points",), "place"),
}


def unread(obj: Object) -> Iterator[tuple[str, Effect]]:
    """The annotations of a route or Service that do nothing there, with what they were to do."""
    for key in sorted(obj.metadata.annotations):
        prefix = next((each for each in (*_NGINX, PREFIX) if key.startswith(each)), None)
        name = key.removeprefix(prefix or "").lower()
        if prefix is None:
            continue
        if prefix != PREFIX or not name.startswith(("router.", "service.")):
            yield key, EFFECTS.get(name, "other")
        elif not (
            (isinstance(obj, Ingress) and name.startswith("router."))
            or (isinstance(obj, Service) and name.startswith("service."))
        ):
            protocol = name in ("service.serversscheme", "service.serverstransport")
            yield key, "protocol" if protocol else "place"
