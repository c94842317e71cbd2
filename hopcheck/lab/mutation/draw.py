"""A fixed series of random edits: the same seed gives the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from hopcheck.lab.mutation import cloud, cluster, workloads
from hopcheck.lab.mutation.edit import Edit
from hopcheck.lab.mutation.routes import use_ingress_route
from hopcheck.lab.mutation.values import World

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

SEED = 20260225
COUNT = 200

Draw = Callable[["Lab", World, Random], Edit | None]


@dataclass(frozen=True)
class Mutation:
    """One edit, and whether it is made to the lab with an IngressRoute instead of the Ingress."""

    edit: Edit
    with_route: bool = False

    def __str__(self) -> str:
        return str(self.edit)


def _object(kept: cluster.Kept) -> Draw:
    return lambda lab, known, chance: cluster.edit_object(lab, kept, known, chance)


# How often each kind of edit is drawn, out of the sum of the weights.
WEIGHTS: tuple[tuple[int, Draw], ...] = (
    (5, _object(cluster.INGRESS_OBJECT)),
    (2, _object(cluster.CLASS_OBJECT)),
    (5, _object(cluster.APP_SERVICE)),
    (6, _object(cluster.GATEWAY_SERVICE)),
    (2, _object(cluster.SECRET_OBJECT)),
    (1, _object(cluster.NODE_OBJECT)),
    (3, workloads.edit_arguments),
    (4, workloads.edit_pods),
    (2, workloads.edit_application),
    (3, cloud.edit_listener),
    (2, cloud.edit_balancer),
    (5, cloud.edit_group),
    (1, cloud.edit_security_group),
    (2, cloud.edit_record),
)
ROUTE_WEIGHTS: tuple[tuple[int, Draw], ...] = (
    (6, _object(cluster.ROUTE_OBJECTS[0])),
    (2, _object(cluster.ROUTE_OBJECTS[1])),
)
_ROUTES_IN = 5  # one edit in so many is of the IngressRoute or its Middleware


async def draw(lab: Lab, seed: int = SEED, count: int = COUNT) -> list[Mutation]:
    """`count` different edits, drawn on the healthy lab; it is healthy again afterwards."""
    chance = Random(seed)  # noqa: S311  # a series that can be repeated, no secret
    routed = count // _ROUTES_IN
    plain = list(_different(partial(_drawn, lab, WEIGHTS, chance), count - routed))
    await use_ingress_route(lab)
    try:
        further = list(_different(partial(_drawn, lab, ROUTE_WEIGHTS, chance), routed))
    finally:
        await lab.heal()
    return [Mutation(one) for one in plain] + [Mutation(one, with_route=True) for one in further]


def _drawn(lab: Lab, weights: tuple[tuple[int, Draw], ...], chance: Random) -> Edit | None:
    (function,) = chance.choices([f for _, f in weights], [w for w, _ in weights])
    return function(lab, cluster.world(lab), chance)


def _different(one: Callable[[], Edit | None], count: int) -> Iterator[Edit]:
    """Edits of which no two read the same."""
    seen: set[str] = set()
    while len(seen) < count:
        edit = one()
        if edit is not None and edit.what not in seen:
            seen.add(edit.what)
            yield edit
