"""One diagnosis in this process: the real collectors against the servers of `World`."""

import asyncio

from hopcheck.collect.gather import Collection
from hopcheck.config.options import ConnectTo, Options
from hopcheck.engine.replay import replay
from hopcheck.model import Report, Target
from tests.scenarios.foreign.cluster import HOST, World

PARTIES = frozenset({"dns", "aws", "kube", "traefik", "http"})


CLOSED = 9  # discard: nobody listens there on a loopback address of today


def diagnose(world: World) -> Report:
    listens = world.behaviour is not None
    options = Options(
        kubeconfig=str(world.kubeconfig),
        resolvers=(f"127.0.0.1:{world.dns_port}",),
        connect_to=(
            ConnectTo(port=443, to_port=world.https_port if listens else CLOSED),
            ConnectTo(port=80, to_port=world.http_port if listens else CLOSED),
        ),
        ca_file=str(world.directory / "ca.pem"),
        timeout=2.0,
        deadline=15.0,
    )
    collection = Collection(Target(host=HOST), options, PARTIES)
    asyncio.run(collection.collect())
    return replay(collection.snapshot(), options)


def root_causes(report: Report) -> set[str]:
    """ "CODE Kind namespace/name" of each root cause."""
    return {
        f"{one.code} {one.object.kind} "
        + "/".join(part for part in (one.object.namespace, one.object.name) if part)
        for one in report.root_causes
    }
