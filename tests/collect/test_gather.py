"""What is not there by the deadline is unknown; what is known stays as it was told."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from hopcheck.collect.aws.read import without
from hopcheck.collect.gather import Collection
from hopcheck.config.options import Options
from hopcheck.model import AwsEvidence, Collected, DnsEvidence, KubeEvidence, Target, Why


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
