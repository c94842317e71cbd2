"""What changed on the way to a host between two snapshots (pure: no I/O, no clock).

Only what was seen both times is compared, and only what somebody decides or a client notices:
resourceVersions, uids, status times, restarts, the order of lists and the names of pods are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from hopcheck.behaviour.kubernetes.graph import SERVICE_NAME
from hopcheck.behaviour.kubernetes.references import Key
from hopcheck.history.changes.cloud import changes_of_cloud, health_of_targets
from hopcheck.history.changes.fields import changed
from hopcheck.history.changes.objects import (
    Side,
    changes_of_objects,
    keys_on_the_way,
    reference,
    same_cluster,
)
from hopcheck.model import Certificate, Change, DnsAnswer, ObjectRef, Snapshot
from hopcheck.model.aws import LoadBalancer
from hopcheck.model.kubernetes import EndpointSlice, Workload

__all__ = ["Cause", "changes"]

_MOST = 200


class Cause(Protocol):
    """What of a root cause counts here."""

    @property
    def object(self) -> ObjectRef:
        """What to fix."""

    @property
    def related(self) -> tuple[ObjectRef, ...]:
        """The other ends of a broken relation."""


def changes(
    before: Snapshot, after: Snapshot, root_causes: Sequence[Cause] = ()
) -> tuple[Change, ...]:
    """What of `after` is not as in `before`, the most telling first, at most 200.

    What was declared stands before what was only observed, which mostly follows from it; within
    each the objects of the root causes first, then those related to them, then the latest.
    """
    sides = Side(before), Side(after)
    declared: list[Change] = []
    observed: list[Change] = []
    if same_cluster(before.kube, after.kube):
        keys = keys_on_the_way(sides)
        declared += changes_of_objects(*sides, keys)
        observed += _changes_of_version(*sides, declared)
        observed += _changes_of_counts(*sides, keys)
    declared += changes_of_cloud(*sides)
    declared += _changes_of_names(*sides)
    observed += _changes_of_certificates(*sides)
    observed += health_of_targets(*sides)
    declared.sort(key=lambda one: one.at or "", reverse=True)
    for found in (declared, observed):
        found.sort(key=lambda one: _rank(one, root_causes))
    return tuple([*declared, *observed][:_MOST])


def _rank(change: Change, root_causes: Sequence[Cause]) -> int:
    """0: the very field of a root cause; 1: its object; 2: one related to it; 3: any other."""
    ranks = [3]
    for finding in root_causes:
        if _same(finding.object, change.object):
            field = finding.object.field or ""
            ranks.append(0 if field and change.field.startswith(field) else 1)
        elif any(_same(related, change.object) for related in finding.related):
            ranks.append(2)
    return min(ranks)


def _same(one: ObjectRef, other: ObjectRef) -> bool:
    return (one.kind, one.namespace, one.name) == (other.kind, other.namespace, other.name)


# --- what was observed ------------------------------------------------------------------------


def _changes_of_names(before: Side, after: Side) -> Iterator[Change]:
    """What a resolver that was asked both times answers otherwise, said once."""
    ref = ObjectRef("DNSRecord", after.snapshot.target.host)
    said: list[Change] = []
    old = {(a.resolver, a.rrtype): a for a in _answers(before.snapshot)}
    for new in _answers(after.snapshot):
        earlier = old.get((new.resolver, new.rrtype))
        if earlier is None:
            continue
        chains = [[hop.target for hop in answer.chain] for answer in (earlier, new)]
        said += changed(ref, chains[0], chains[1], "CNAME")
        codes = [{answer.rrtype: answer.rcode} for answer in (earlier, new)]
        said += changed(ref, codes[0], codes[1], "rcode")
        if not _moved_within(before, after, earlier, new):
            said += changed(ref, earlier.addresses, new.addresses, new.rrtype)
    for place, change in enumerate(said):
        if change not in said[:place]:
            yield change


def _answers(snapshot: Snapshot) -> list[DnsAnswer]:
    return [found.get() for found in snapshot.dns.answers if found.seen]


def _moved_within(before: Side, after: Side, old: DnsAnswer, new: DnsAnswer) -> bool:
    """Whether both are addresses of the same load balancer, and as many: AWS changes them."""
    arn = before.scene.match.arn
    if arn is None or arn != after.scene.match.arn or len(old.addresses) != len(new.addresses):
        return False
    return all(
        set(answer.addresses) <= set(_addresses_of_balancer(side))
        for side, answer in ((before, old), (after, new))
    )


def _addresses_of_balancer(side: Side) -> tuple[str, ...]:
    balancer: LoadBalancer | None = side.scene.balancer
    found = side.snapshot.dns.names.get(balancer.dns_name.lower()) if balancer else None
    return (found.or_else(()) if found is not None else ()) or ()


def _changes_of_certificates(before: Side, after: Side) -> Iterator[Change]:
    """The certificate as presented to the host's own request, where it is another."""
    had, has = (_leaf(side.snapshot) for side in (before, after))
    if had is None or has is None or had.sha256 == has.sha256:
        return
    ref = ObjectRef("Certificate", after.snapshot.target.host)
    found = [
        {name: getattr(one, name) for name in ("subject", "issuer", "names", "not_after")}
        for one in (had, has)
    ]
    changes = changed(ref, found[0], found[1])
    yield from changes or [Change(ref, "sha256", had.sha256, has.sha256)]


def _leaf(snapshot: Snapshot) -> Certificate | None:
    for found in snapshot.http.requests:
        for exchange in reversed(found.get().exchanges if found.seen else ()):
            if exchange.tls is not None and exchange.tls.chain:
                return exchange.tls.chain[0]
    return None


def _changes_of_version(before: Side, after: Side, known: Iterable[Change]) -> Iterator[Change]:
    """Traefik's version by its API, where no image says so already."""
    had, has = (_versions(side) for side in (before, after))
    instance = after.scene.instance
    if not had or not has or instance is None or had == has:
        return
    ref = ObjectRef(instance.kind, instance.name, instance.namespace)
    if not any(one.object == ref and one.field.endswith(".image") for one in known):
        yield from changed(ref, had, has, "version")


def _versions(side: Side) -> list[str]:
    found = (replica.version for replica in side.snapshot.traefik.replicas)
    return sorted({version.get() for version in found if version.seen})


def _changes_of_counts(before: Side, after: Side, keys: Iterable[Key]) -> Iterator[Change]:
    """Ready endpoints and their ports by Service, ready pods by workload."""
    for key in keys:
        resource, namespace, name = key
        if resource == "services":
            ref = ObjectRef("Service", name, namespace)
            had, has = (_endpoints(side, namespace, name) for side in (before, after))
            if had is not None and has is not None:
                yield from changed(ref, had, has)
            continue
        old, new = before.find(key), after.find(key)
        if isinstance(old, Workload) and isinstance(new, Workload):
            yield from changed(reference(new), _ready(old), _ready(new), "readyPods")


def _ready(workload: Workload) -> int:
    return workload.status.ready_replicas or workload.status.number_ready or 0


def _endpoints(side: Side, namespace: str, name: str) -> dict[str, Any] | None:
    listed = side.kube.of(EndpointSlice, namespace)
    if not listed.seen or listed.truncated:
        return None
    ready: set[str] = set()
    ports: set[str] = set()
    for one in listed.get():
        if one.metadata.labels.get(SERVICE_NAME) != name:
            continue
        for endpoint in one.endpoints:
            if endpoint.conditions.ready is not False:
                ready |= set(endpoint.addresses)
        ports |= {f"{port.name}:{port.port}" for port in one.ports}
    return {"readyEndpoints": len(ready), "endpointPorts": sorted(ports)}
