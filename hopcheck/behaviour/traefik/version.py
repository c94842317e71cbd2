"""Traefik's version, and what differs between versions.

Each behaviour names the tags of github.com/traefik/traefik between which it was seen to change.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from hopcheck.behaviour.traefik.discovery import Instance, traefik_container
from hopcheck.model import Snapshot
from hopcheck.model.kubernetes import EndpointConditions

Syntax = Literal["v2", "v3"]

_NUMBERS = re.compile(r"^v?(\d{1,4})(?:\.(\d{1,4}))?(?:\.(\d{1,6}))?(?![.\w])")
_OFFICIAL = re.compile(r"(?:^|[-_])traefik$", re.IGNORECASE)
_NEWEST = 10**9


class Version(Struct, frozen=True):
    """A version; a part that the tag does not name is None ("v3.1" floats over its patches)."""

    major: int
    minor: int | None = None
    patch: int | None = None

    @property
    def exact(self) -> bool:
        """Whether all three parts are known."""
        return self.minor is not None and self.patch is not None

    def at_least(self, major: int, minor: int = 0, patch: int = 0) -> bool:
        """Whether this is that version or newer; an unnamed part counts as the newest."""
        own = (
            self.major,
            _NEWEST if self.minor is None else self.minor,
            _NEWEST if self.patch is None else self.patch,
        )
        return own >= (major, minor, patch)

    def __str__(self) -> str:
        parts = (self.major, self.minor, self.patch)
        return ".".join(str(part) for part in parts if part is not None)


# Where nothing is known of the version the newest line is assumed; what other versions would do
# differently is then unknown (`hopcheck.steps.any_version`).
NEWEST = Version(3, 7)

# The first version of each behaviour below, and of each minor line: what to try where the version
# is not known.
CHANGES = tuple(
    Version(*numbers)
    for numbers in (
        (2, 11, 0), (2, 11, 23), (2, 11, 25), (2, 11, 47), (3, 0, 0), (3, 1, 0), (3, 1, 3),
        (3, 2, 0), (3, 3, 0), (3, 3, 6), (3, 4, 0), (3, 4, 1), (3, 5, 0), (3, 6, 0), (3, 6, 7),
        (3, 6, 11), (3, 7, 0),
    )
)  # fmt: skip

# Those of them before which something changed; the newest is what an unknown version is taken for.
BEHAVIOURS = tuple(
    version
    for version in CHANGES
    if version not in (Version(3, 2, 0), Version(3, 4, 0), Version(3, 6, 0), Version(3, 7, 0))
)


def parse_version(text: str) -> Version | None:
    """The version at the start of "v3.6.7", "3.1", "2.11.2-alpine"; None where there is none."""
    found = _NUMBERS.match(text.strip())
    if found is None:
        return None
    major, minor, patch = (None if part is None else int(part) for part in found.groups())
    if major not in (2, 3):  # a date, a build number, somebody's own counting
        return None
    return Version(major, minor, patch)


def version_of_image(image: str) -> Version | None:
    """The version in an image's tag; None for "latest", for no tag and for a bare digest.

    Only images called traefik (bitnami/traefik, mirrored-library-traefik) count as Traefik does:
    traefik-hub, traefikee and images of one's own have other versions in their tags.
    """
    name = image.split("@", 1)[0]
    own, colon, tag = name.rpartition("/")[2].partition(":")
    if not _OFFICIAL.search(own):
        return None
    return parse_version(tag) if colon else None


def _or_newest(version: Version | None) -> Version:
    return version or NEWEST


def rule_syntax(version: Version | None) -> Syntax:
    """The rule syntax that routers have by default (core.defaultRuleSyntax aside)."""
    return "v3" if _or_newest(version).at_least(3) else "v2"


def wildcard_in_host(version: Version | None) -> bool:
    """Whether Host() understands ``*.example.com`` (pkg/muxer/muxer.go, 3.7.0 on)."""
    return _or_newest(version).at_least(3, 7)


def quotes_rules(version: Version | None) -> bool:
    """Whether an Ingress's rule is written with Go's ``%q`` instead of backquotes.

    2.11.47, 3.6.11 and 3.7.0 on; it matters where backslashes are doubled: the rule grows.
    """
    known = _or_newest(version)
    if known.major <= 2:
        return known.at_least(2, 11, 47)
    return known.at_least(3, 6, 11)


def decodes_routing_path(version: Version | None) -> bool:
    """Whether paths match with reserved characters left encoded (withRoutingPath, pkg/muxer/http).

    2.11.25 and 3.4.1 on.
    """
    known = _or_newest(version)
    return known.at_least(2, 11, 25) if known.major <= 2 else known.at_least(3, 4, 1)


def panics_on_resources(version: Version | None) -> bool:
    """Whether an Ingress with a resource as backend keeps all of them from being read.

    Up to 2.11.24, and 3.0.0 to 3.4.0: what is said of a backend that was refused takes it for a
    Service's (loadConfigurationFromIngresses). The provider goes on trying.
    """
    return not decodes_routing_path(version)  # mended in the same releases


def cleans_path(version: Version | None) -> bool:
    """Whether ``//`` and ``/../`` are resolved before routing (sanitizePath of an entryPoint).

    2.11.23 and 3.3.6 on (pkg/server/server_entrypoint_tcp.go).
    """
    known = _or_newest(version)
    return known.at_least(2, 11, 23) if known.major <= 2 else known.at_least(3, 3, 6)


def has_as_default(version: Version | None) -> bool:
    """Whether entryPoints know asDefault (3.0.0 on)."""
    return _or_newest(version).at_least(3)


def has_strict_prefix(version: Version | None) -> bool:
    """Whether strictPrefixMatching exists (3.5.0 on)."""
    return _or_newest(version).at_least(3, 5)


def has_rule_syntax_annotation(version: Version | None) -> bool:
    """Whether an Ingress may name its rule syntax (router.rulesyntax, 3.1.3 on)."""
    return _or_newest(version).at_least(3, 1, 3)


def has_crd_class_name(version: Version | None) -> bool:
    """Whether IngressRoute has spec.ingressClassName (3.7.0 on)."""
    return _or_newest(version).at_least(3, 7)


def has_observability_annotation(version: Version | None) -> bool:
    """Whether an Ingress may set router.observability (3.3.0 on)."""
    return _or_newest(version).at_least(3, 3)


def keeps_unready_services(version: Version | None) -> bool:
    """Whether an IngressRoute's Service is no empty one with endpoints that are not ready.

    Up to 3.0: Endpoints are read, and those that are not ready make a subset of their own.
    """
    return not _or_newest(version).at_least(3, 1)


def asks_native_first(version: Version | None) -> bool:
    """Whether nativeLB counts before ExternalName, which has no address then (up to 2.11)."""
    return not _or_newest(version).at_least(3)


def refuses_health_checks(version: Version | None) -> bool:
    """Whether an IngressRoute's healthCheck is for ExternalName Services alone (3.1.0 on)."""
    return _or_newest(version).at_least(3, 1)


def has_provider_precedence(version: Version | None) -> bool:
    """Whether providers.precedence, where set, orders equal priorities (3.7.0 on)."""
    return _or_newest(version).at_least(3, 7)


def reads_slices(version: Version | None) -> bool:
    """Whether EndpointSlices are read (3.1.0 on); Endpoints list what is not ready as well."""
    return _or_newest(version).at_least(3, 1)


def uses_endpoint(version: Version | None, conditions: EndpointConditions) -> bool:
    """Whether Traefik makes a server of an EndpointSlice's endpoint with these conditions.

    Up to 3.0 Endpoints are read, whose ready addresses are those of ready endpoints (nil counts
    as ready). 3.1 and 3.2: ready is explicitly true. 3.3.0 to 3.6.6: ready or serving is
    explicitly true (EndpointServing in pkg/provider/kubernetes/k8s/endpoint.go). 3.6.7 on:
    serving, where nil counts as true.
    """
    known = _or_newest(version)
    ready, serving = conditions.ready, conditions.serving
    if known.at_least(3, 6, 7):
        return serving is not False
    if known.at_least(3, 3):
        return ready is True or serving is True
    if known.at_least(3, 1):
        return ready is True
    return ready is not False


def fences_endpoint(version: Version | None, conditions: EndpointConditions) -> bool:
    """Whether the server is fenced: kept for sticky sessions, given no new request.

    3.3.0 on: terminating endpoints. Where every server is fenced the answer is 503.
    """
    return _or_newest(version).at_least(3, 3) and conditions.terminating is True


def installed_version(snapshot: Snapshot, instance: Instance | None) -> Version | None:
    """The version by the API of a replica, else by the image's tag; None where neither tells.

    A part that the tag does not name stays None, unless the snapshot says which version to assume
    (`hopcheck.steps.any_version`).
    """
    told = _told(snapshot, instance)
    if told is not None and told.exact:
        return told
    return parse_version(snapshot.assumed_version or "") or told


def _told(snapshot: Snapshot, instance: Instance | None) -> Version | None:
    if instance is None:
        return None
    replicas = {replica.pod: replica for replica in snapshot.traefik.replicas}
    for pod in instance.pods:
        replica = replicas.get(pod.name)
        if replica is not None and replica.version.seen:
            found = parse_version(replica.version.get())
            if found is not None:
                return found
    for pod in instance.pods:
        container = traefik_container(pod)
        if container is not None and (found := version_of_image(container.image)):
            return found
    return None


# How a path is read before it is matched changed with these: nothing to try for a plain path.
_OF_PATHS = (Version(2, 11, 23), Version(2, 11, 25), Version(3, 3, 6), Version(3, 4, 1))


def possible_versions(known: Version | None, path: str) -> tuple[Version, ...]:
    """One version of each behaviour that `known` leaves open for a request of `path`.

    () where it is exact. The newest is not among them: it is what an unknown one is taken for.
    """
    if known is not None and known.exact:
        return ()
    plain = not any(part in path for part in ("%", "//", "/."))
    return tuple(
        version
        for version in (BEHAVIOURS if known is None else CHANGES)
        if (
            known is None or (version.major == known.major and known.minor in (None, version.minor))
        )
        and not (plain and version in _OF_PATHS)
    )
