"""What scenes of the same evidence share never depends on who asked first."""

from pathlib import Path

import msgspec

from hopcheck.behaviour.traefik.discovery import traefik_container
from hopcheck.model import Collected
from hopcheck.report.evidence import load
from hopcheck.scene.scene import Scene
from tests.judging import restricted

HEALTHY = Path(__file__).parents[1] / "snapshots" / "healthy.json.gz"


def test_entry_points_by_the_api_are_seen_by_those_who_may_read_it() -> None:
    snapshot = load(HEALTHY)
    for pod in Scene(snapshot).pods:
        container = traefik_container(pod)
        if container is not None:  # a configuration file that cannot be read here
            msgspec.structs.force_setattr(container, "args", ("--configFile=/nowhere.yml",))
    replicas = tuple(
        msgspec.structs.replace(
            one, entrypoints=Collected(value=({"name": "websecure", "address": ":8443"},))
        )
        for one in snapshot.traefik.replicas
    )
    snapshot = msgspec.structs.replace(
        snapshot, traefik=msgspec.structs.replace(snapshot.traefik, replicas=replicas)
    )
    blind = Scene(restricted(snapshot, frozenset({"kube"})))
    seeing = Scene(snapshot)
    pod = next(pod for pod in seeing.pods if traefik_container(pod) is not None)
    assert not blind.static_of(pod).known
    assert "websecure" not in blind.static_of(pod).entry_points
    assert "websecure" in seeing.static_of(pod).entry_points
