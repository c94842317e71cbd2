"""Traefik's rights: what its log says was forbidden counts as long as it is repeated."""

import datetime as dt
from collections.abc import Callable

import msgspec
import pytest

from hopcheck.behaviour.traefik.logs import parse_log
from hopcheck.engine.replay import replay
from hopcheck.model import Collected, Replica, Snapshot
from tests.recorded import snapshot

RELOADED = "traefik_config_last_reload_success"

# As Traefik 3.7.15 wrote it where kube-apiserver v1.36 was started again: until that has read its
# roles, it forbids everybody everything.
RESTARTED = (
    '{at} E1125 15:10:04.079037   21953 reflector.go:227] "Failed to watch" err="services is '
    'forbidden: User \\"system:serviceaccount:api-gateway-system:traefik\\" cannot watch resource '
    '\\"services\\" in API group \\"\\" at the cluster scope - error from a previous attempt: EOF" '
    'logger="UnhandledError" reflector="k8s.io/client-go@v0.36.3/tools/cache/reflector.go:343" '
    'type="*v1.Service"\n'
    '{at} E1125 15:10:23.168694   21953 reflector.go:227] "Failed to watch" err="failed to list '
    '*v1.Node: nodes is forbidden: User \\"system:serviceaccount:api-gateway-system:traefik\\" '
    'cannot list resource \\"nodes\\" in API group \\"\\" at the cluster scope" '
    'logger="UnhandledError" reflector="k8s.io/client-go@v0.36.3/tools/cache/reflector.go:343" '
    'type="*v1.Node"\n'
)


def causes(given: Snapshot) -> list[str]:
    return [cause.code for cause in replay(given).root_causes]


def before(given: Snapshot, seconds: float) -> dt.datetime:
    return dt.datetime.fromisoformat(given.taken_at) - dt.timedelta(seconds=seconds)


def changed(given: Snapshot, change: Callable[[Replica], Replica]) -> Snapshot:
    replicas = tuple(map(change, given.traefik.replicas))
    traefik = msgspec.structs.replace(given.traefik, replicas=replicas)
    return msgspec.structs.replace(given, traefik=traefik)


def forbade(given: Snapshot, seconds: float, reloaded: float) -> Snapshot:
    """The API server forbade everything so long before the evidence was taken.

    No router of a Kubernetes provider is there; `reloaded`: Traefik applied a configuration.
    """
    # The log goes on to the moment at which it was read.
    written = RESTARTED.replace("{at}", before(given, seconds).isoformat())
    lines = parse_log(f"{written}{before(given, 0).isoformat()} INF still here\n")
    applied = {RELOADED: before(given, reloaded).timestamp()}

    def edit(replica: Replica) -> Replica:
        own = [r for r in replica.routers.get() if r.get("provider") == "internal"]
        return msgspec.structs.replace(
            replica,
            log=Collected(value=(*(replica.log.or_else(()) or ()), *lines)),
            metrics=Collected(value={**(replica.metrics.or_else({}) or {}), **applied}),
            routers=Collected(value=tuple(own)),
        )

    return changed(given, edit)


@pytest.mark.parametrize(
    ("seconds", "reloaded"),
    [
        (600, 700),  # a list that is still refused is tried again, and logged, within a minute
        (100, 10),  # Traefik has applied a configuration since
    ],
)
def test_what_an_api_server_forbade_while_it_started_is_past(
    seconds: float, reloaded: float
) -> None:
    given = forbade(snapshot("svc-selector"), seconds, reloaded)
    assert causes(given) == ["END001"]


def test_what_is_still_refused_counts() -> None:
    assert "SVC011" in causes(forbade(snapshot("svc-selector"), 50, 100))
    assert causes(snapshot("tpod-rbac")) == ["SVC011"]


def test_a_log_that_ends_with_it_tells_of_no_end() -> None:
    def silent(replica: Replica) -> Replica:
        return msgspec.structs.replace(replica, log=Collected(value=replica.log.get()[-3:-1]))

    assert "SVC011" in causes(changed(forbade(snapshot("svc-selector"), 600, 700), silent))
