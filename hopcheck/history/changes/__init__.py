"""What changed on the way to a host between two snapshots (pure: no I/O, no clock).

Only what was seen both times is compared, and only what somebody decides or a client notices:
resourceVersions, uids, status times, restarts, the order of lists and the names of pods are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hopcheck.history.changes.cloud import changes_of_cloud, health_of_targets
from hopcheck.history.changes.objects import (
    Side,
    changes_of_objects,
    keys_on_the_way,
    same_cluster,
)
from hopcheck.history.changes.seen import (
    changes_of_certificates,
    changes_of_counts,
    changes_of_names,
    changes_of_version,
)
from hopcheck.model import Change, ObjectRef, Snapshot

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
        observed += changes_of_version(*sides, declared)
        observed += changes_of_counts(*sides, keys)
    declared += changes_of_cloud(*sides)
    declared += changes_of_names(*sides)
    observed += changes_of_certificates(*sides)
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
