"""Which version of Traefik is installed, as far as anything tells."""

from __future__ import annotations

from hopcheck.behaviour.traefik.discovery import Instance, traefik_container
from hopcheck.behaviour.traefik.version import (
    BEHAVIOURS,
    CHANGES,
    Version,
    parse_version,
    version_of_image,
)
from hopcheck.model import Snapshot


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
