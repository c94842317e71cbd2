"""A target group as the judges look at it."""

from __future__ import annotations

from msgspec import Struct

from hopcheck.model import Obj, ObjectRef
from hopcheck.scene.scene import Scene


class Group(Struct, frozen=True):
    """One target group with its described targets; `share` is its part of the requests."""

    arn: str
    name: str
    obj: Obj
    described: tuple[Obj, ...]
    share: float

    @property
    def ref(self) -> ObjectRef:
        """The report's name of it."""
        return ObjectRef("TargetGroup", self.name)

    @staticmethod
    def state(described: Obj) -> str:
        """AWS's word for a target's health."""
        return str((described.get("TargetHealth") or {}).get("State", ""))

    def in_state(self, *states: str) -> list[Obj]:
        """The descriptions whose state is one of `states`."""
        return [d for d in self.described if self.state(d) in states]


def reason_of(described: Obj) -> str:
    """AWS's reason for a target's state; "" for a healthy one."""
    return str((described.get("TargetHealth") or {}).get("Reason", ""))


def target_name(described: Obj) -> str:
    """The report's name of a target: ``<id>:<port>``."""
    target = described.get("Target") or {}
    return f"{target.get('Id')}:{target.get('Port')}"


def ports_in(scene: Scene, arn: str) -> set[int]:
    """The ports on which a group's targets are registered."""
    return {
        int(port)
        for described in scene.health(arn).or_else(()) or ()
        if (port := (described.get("Target") or {}).get("Port"))
    }
