"""What is not there by the deadline is unknown; what is known stays as it was told."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from hopcheck.collect.aws.read import without
from hopcheck.collect.gather import Collection
from hopcheck.config.options import HostRun, Options
from hopcheck.engine.checklist import shipped_rules
from hopcheck.engine.host import Session
from hopcheck.model import (
    AwsEvidence,
    Collected,
    DnsEvidence,
    KubeEvidence,
    Status,
    Step,
    Target,
    Why,
)
from tests.recorded import snapshot as recorded


class _Shared:
    """A shared view whose cluster is there, whose replicas never are, and AWS as given."""

    run = None

    def __init__(self, aws: AwsEvidence | None) -> None:
        self._aws = aws

    async def index(self, _: Options) -> "_Shared":
        return self

    def evidence(self, *_: object) -> KubeEvidence:
        return KubeEvidence(lists={"services": Collected(why=Why.DENIED)})

    async def aws(self, *_: object) -> tuple[AwsEvidence, dict[str, Any]]:
        if self._aws is None:
            await asyncio.Event().wait()
        return self._aws or AwsEvidence(), {}

    async def replica_index(self, _: Options) -> None:
        await asyncio.Event().wait()


DENIED = without(Collected(why=Why.DENIED, detail="no elasticloadbalancing:Describe*"))


@pytest.mark.parametrize(("aws", "why"), [(DENIED, Why.DENIED), (None, Why.TIMED_OUT)])
def test_the_deadline_overwrites_no_reason(aws: AwsEvidence | None, why: Why) -> None:
    async def joined() -> Collection:
        options = replace(Options(), deadline=0.2)
        collection = Collection(Target(host="myapp.example.com"), options, frozenset())
        collection.shared = _Shared(aws)  # type: ignore[assignment]
        collection.dns = DnsEvidence()
        await collection.join()
        return collection

    found = asyncio.run(joined())
    assert found.aws.load_balancers.why is why
    assert found.kube.lists["services"].why is Why.DENIED


PARTIES = {
    "dns": "hopcheck.collect.dns.read.collect_dns",
    "kube": "hopcheck.collect.kubernetes.read.collect_kube",
    "aws": "hopcheck.collect.aws.read.collect_aws",
    "traefik": "hopcheck.collect.traefik.collect_traefik",
    "http": "hopcheck.collect.web.probe.request_host",
}


@pytest.mark.parametrize(
    ("hang", "unknown"),
    [
        ({"aws", "traefik"}, {Step.TARGET_HEALTH, Step.TRAEFIK_LOGS}),
        ({"http"}, {Step.REQUEST}),
        (set(PARTIES), set(Step)),
    ],
    ids=["aws and traefik", "http", "all"],
)
def test_the_last_net_keeps_what_was_gathered_and_says_what_was_not(
    monkeypatch: pytest.MonkeyPatch, hang: set[str], unknown: set[Step]
) -> None:
    """Parties whose calls end by no limit of theirs."""
    seen = recorded("healthy")
    for party, where in PARTIES.items():

        async def told(*_: object, party: str = party, **__: object) -> Any:
            if party in hang:
                await asyncio.Event().wait()
            evidence = getattr(seen, party)
            return (evidence, seen.dns.names) if party == "aws" else evidence

        monkeypatch.setattr(where, told)
    options = Options(deadline=0.2, timeout=0.1, direct_probes=False)
    session = Session((HostRun(seen.target, options, reports=""),))
    (host,) = session.hosts.values()
    host.select(shipped_rules())
    for step in Step:
        session.step(seen.target.url, step)
    report = host.report
    assert report is not None
    told_of = {step.step: step for step in report.steps if step.status is Status.UNKNOWN}
    assert set(told_of) == unknown
    for step in told_of.values():
        assert "not selected" not in (step.reason or "")
        assert "no Traefik" not in (step.reason or "")
        assert "in time" in (step.reason or "") or "timed out" in (step.reason or ""), step.reason
    assert not [finding for step in report.steps for finding in step.findings]
