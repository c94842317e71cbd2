"""The first look on every recorded fault: never healthy where the whole evidence is not."""

from pathlib import Path

import msgspec
import pytest

from hopcheck.collect.kubernetes.index import ClusterIndex, ReplicaIndex
from hopcheck.config.options import Options
from hopcheck.model import (
    Collected,
    HttpEvidence,
    KubeEvidence,
    Obj,
    Report,
    Snapshot,
    Step,
    Verdict,
    Why,
)
from hopcheck.report.evidence import load
from hopcheck.verdict.assess import assess
from tests.judging import judge

SNAPSHOTS = sorted((Path(__file__).parents[1] / "snapshots").rglob("*.json.gz"))

# Requests that happened to reach the other pod or node: only probes of every one show it.
SEEN_BY_PROBES_ALONE = {"one-pod-answers-500", "node-drops", "svc-selector-wide"}


def first_look(whole: Snapshot) -> Snapshot:
    """What the first look would have had of recorded evidence."""
    addresses = [a for answer in whole.dns.answers if answer.seen for a in answer.get().addresses]
    return msgspec.structs.replace(
        whole,
        dns=msgspec.structs.replace(whole.dns, getaddrinfo=Collected(why=Why.NOT_SELECTED)),
        kube=ClusterIndex(whole.kube, Options()).evidence(whole.target.host, addresses),
        traefik=ReplicaIndex(whole.traefik).evidence(whole.target.host),
        http=HttpEvidence(requests=whole.http.requests, other_scheme=Collected(why=Why.NOT_NEEDED)),
    )


def judged(snapshot: Snapshot) -> Report:
    judgements = {step: judge(step, snapshot) for step in Step}
    return assess(snapshot, judgements, Options(), durations={}, duration_s=0.0)


@pytest.mark.parametrize("path", SNAPSHOTS, ids=lambda path: path.name.partition(".")[0])
def test_the_first_look_misses_nothing_that_is_not_healthy(path: Path) -> None:
    whole = load(path)
    expected, found = judged(whole), judged(first_look(whole))
    if expected.verdict is Verdict.HEALTHY:
        assert found.verdict is Verdict.HEALTHY
        statuses = [(step.step, step.status) for step in found.steps]
        assert statuses == [(step.step, step.status) for step in expected.steps]
    elif path.name.partition(".")[0] not in SEEN_BY_PROBES_ALONE:
        assert found.verdict is not Verdict.HEALTHY


def obj(kind: str, name: str, space: str = "default", **more: object) -> Obj:
    return {"kind": kind, "metadata": {"namespace": space, "name": name}, **more}


def ingress(host: str, service: str, space: str = "default") -> Obj:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    rules = [{"host": host, "http": {"paths": [{"path": "/", "backend": backend}]}}]
    return obj("Ingress", f"i-{host}", space, spec={"rules": rules})


def test_a_host_sees_its_own_objects_alone() -> None:
    whole = KubeEvidence(
        lists={
            "ingresses": Collected(
                value=(
                    *(ingress(f"app-{n}.example.com", f"svc-{n}") for n in range(200)),
                    ingress("*.example.com", "wild", "other"),
                )
            ),
            "services": Collected(
                value=(
                    *(
                        obj("Service", f"svc-{n}", spec={"selector": {"app": f"app-{n}"}})
                        for n in range(200)
                    ),
                    obj("Service", "wild", "other", spec={}),
                )
            ),
            "pods": Collected(
                value=tuple(
                    {
                        "kind": "Pod",
                        "metadata": {
                            "namespace": "default",
                            "name": f"pod-{n}",
                            "labels": {"app": f"app-{n}"},
                        },
                    }
                    for n in range(200)
                )
            ),
            "endpointslices": Collected(
                value=tuple(
                    {
                        "kind": "EndpointSlice",
                        "metadata": {
                            "namespace": "default",
                            "name": f"svc-{n}-x",
                            "labels": {"kubernetes.io/service-name": f"svc-{n}"},
                        },
                        "endpoints": [{"targetRef": {"kind": "Pod", "name": f"pod-{n}"}}],
                    }
                    for n in range(200)
                )
            ),
            "nodes": Collected(why=Why.DENIED),
        }
    )
    found = ClusterIndex(whole, Options()).evidence("app-7.example.com", ())

    def names(resource: str, space: str | None = None) -> list[str]:
        return [item["metadata"]["name"] for item in found.list(resource, space).get()]

    assert names("ingresses") == ["i-app-7.example.com", "i-*.example.com"]
    assert sorted(names("services")) == ["svc-7", "wild"]
    assert names("pods", "default") == ["pod-7"]
    assert names("endpointslices", "default") == ["svc-7-x"]
    assert names("endpointslices", "other") == []
    assert found.list("nodes").why is Why.DENIED
    # A Service that is named and not there is missing, not unseen.
    assert found.one("services", "default", "svc-8").why is Why.NOT_FOUND
