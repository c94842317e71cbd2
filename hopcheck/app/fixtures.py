"""The shared fixtures of all checks, yours included: evidence is collected once a host.

`target` is the host under diagnosis (a test that uses any of these is run once for each host);
`snapshot` is all evidence; `dns_evidence`, `aws_evidence`, `kube_evidence`, `traefik_evidence`
and `http_evidence` are one party's. A check names what it reads in its mark:
``@pytest.mark.hop(reads=("dns", "http"))``; what no selected check reads is not collected.
"""

from __future__ import annotations

import warnings

import pytest

from hopcheck.catalogue.catalogue import text
from hopcheck.engine.host import Session
from hopcheck.model import (
    AwsEvidence,
    DnsEvidence,
    HttpEvidence,
    KubeEvidence,
    Severity,
    Snapshot,
    Status,
    Step,
    StepResult,
    Target,
    TraefikEvidence,
)

SESSION = pytest.StashKey[Session]()


class HopWarning(UserWarning):
    """A step passed with a warning."""


class Conclusion:
    """The result of a step, ready to become the outcome of its check."""

    def __init__(self, result: StepResult) -> None:
        self.result = result

    def conclude(self) -> None:
        """Fail, warn, skip or pass, as the contract maps a status to pytest's outcomes."""
        result = self.result
        reason = result.reason or ""
        if result.status is Status.FAIL:
            pytest.fail(self.describe(Severity.ERROR), pytrace=False)
        if result.status is Status.WARN:
            warnings.warn(self.describe(Severity.WARNING), HopWarning, stacklevel=2)
        if result.status is Status.UNKNOWN:
            pytest.skip(f"unknown: {reason}")
        if result.status is Status.NOT_APPLICABLE:
            pytest.skip(f"not_applicable: {reason}")

    def describe(self, severity: Severity) -> str:
        """The step's findings of `severity` with their fixes, as plain text."""
        lines = []
        for finding in self.result.findings:
            if finding.severity is severity:
                lines.append(f"{finding.code} {finding.object}: {finding.message}")
                lines.append(f"  {text('note', 'fix', fix=finding.fix)}")
                lines.extend(f"  $ {command}" for command in finding.commands)
        return "\n".join(lines)


@pytest.fixture(scope="session")
def hop_session(request: pytest.FixtureRequest) -> Session:
    """The invocation's hosts, options and evidence."""
    from hopcheck.app.fixtures import SESSION

    return request.config.stash[SESSION]


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, hop_session: Session) -> Target:
    """The host under diagnosis (parametrized by --host and --url)."""
    return hop_session.hosts[request.param].run.target


@pytest.fixture(scope="session")
def snapshot(target: Target, hop_session: Session) -> Snapshot:
    """All evidence of the host, as far as the selected checks read it."""
    return hop_session.ensure_collected(target.url).snapshot()


@pytest.fixture(scope="session")
def dns_evidence(snapshot: Snapshot) -> DnsEvidence:
    """What the resolvers answered."""
    return snapshot.dns


@pytest.fixture(scope="session")
def aws_evidence(snapshot: Snapshot) -> AwsEvidence:
    """Load balancers, listeners, target groups and targets."""
    return snapshot.aws


@pytest.fixture(scope="session")
def kube_evidence(snapshot: Snapshot) -> KubeEvidence:
    """The cluster's objects on the host's way."""
    return snapshot.kube


@pytest.fixture(scope="session")
def traefik_evidence(snapshot: Snapshot) -> TraefikEvidence:
    """Each Traefik replica's API, metrics and log."""
    return snapshot.traefik


@pytest.fixture(scope="session")
def http_evidence(snapshot: Snapshot) -> HttpEvidence:
    """The requests and their answers."""
    return snapshot.http


@pytest.fixture
def checklist_step(
    request: pytest.FixtureRequest, target: Target, hop_session: Session
) -> Conclusion:
    """The judged step of the check's `hop` mark; a defect of the suite is an error, not a failure.

    (It is raised here, in set-up, which pytest reports as an error.)
    """
    mark = request.node.get_closest_marker("hop")
    step = Step(mark.kwargs["step"])
    result = hop_session.step(target.url, step)
    request.node.user_properties += [
        ("step", step.value),
        ("host", target.host),
        ("status", result.status.value),
        *(("code", finding.code) for finding in result.findings),
    ]
    return Conclusion(result)
