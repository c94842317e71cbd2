"""The shared fixtures of all checks, yours included: what they need is made once a host.

`target` is the host under diagnosis: a check that uses any of these runs once for each host.

Evidence: `snapshot` is all of it; `dns_evidence`, `aws_evidence`, `kube_evidence`,
`traefik_evidence` and `http_evidence` are one party's. What no selected check reads is not
collected; a check that reads by other means names it: ``@pytest.mark.hop(reads=("dns", "http"))``.

Clients, made from the run's own options when they are first used: `kube`
(kubernetes.client.ApiClient), `aws` (boto3.Session), `resolver` (dns.resolver.Resolver) and `http`
(httpx.Client, which goes where the host's name leads in this run).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from hopcheck.catalogue.catalogue import text
from hopcheck.config.options import Options
from hopcheck.engine.host import HostSession, Session
from hopcheck.model import (
    AwsEvidence,
    DnsEvidence,
    Finding,
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
from hopcheck.report.labels import follows
from hopcheck.steps.rule import Rule

if TYPE_CHECKING:
    from hopcheck.collect import clients

SESSION = pytest.StashKey[Session]()
_NOT_SEEN = (Status.UNKNOWN, Status.NOT_APPLICABLE)


class HopWarning(UserWarning):
    """A step passed with a warning."""


def step_of(node: pytest.Item) -> Step:
    """The step of a shipped check: test_target_health is of target-health. Raises ValueError."""
    name = getattr(node, "originalname", None) or node.name
    return Step(name.removeprefix("test_").replace("_", "-"))


class StepChecklist(NamedTuple):
    """A judged step, ready to become the outcome of its check (`steps.rule.Checklist`)."""

    result: StepResult
    host: HostSession
    rules: tuple[Rule, ...]
    subtests: pytest.Subtests | None  # None: nobody looks at single rules

    def conclude(self) -> None:
        """Fail, warn, skip or pass, as the contract maps a status to pytest's outcomes."""
        if self.subtests is not None:
            scene = self.host.scene()
            for rule in self.rules:
                about = {(finding.code, finding.object) for finding in rule(scene)}
                with self.subtests.test(rule.sentence):
                    self._hold([f for f in self.result.findings if (f.code, f.object) in about])
        status = self.result.status
        if status is Status.FAIL:
            pytest.fail(self.describe(Severity.ERROR), pytrace=False)
        if status is Status.WARN:
            warnings.warn(self.describe(Severity.WARNING), HopWarning, stacklevel=2)
        if status in _NOT_SEEN:
            pytest.skip(f"{status.value}: {self.result.reason or ''}")

    def _hold(self, findings: list[Finding]) -> None:
        """Whether one rule holds: not passed where its step was not seen."""
        errors = [one for one in findings if one.severity is Severity.ERROR]
        bad = [f"{f.code} {f.object}: {f.message}\n  {self._advice(f)}" for f in errors]
        if bad:
            pytest.fail("\n".join(bad), pytrace=False)
        if self.result.status in _NOT_SEEN:
            pytest.skip(self.result.status.value)

    def _advice(self, finding: Finding) -> str:
        """The fix; of a consequence, whose it is."""
        report = self.host.report
        consequence = follows(report, finding) if report is not None else ""
        return consequence or text("note", "fix", fix=finding.fix)

    def describe(self, severity: Severity) -> str:
        """The step's findings of `severity` with their fixes, as plain text."""
        lines = []
        for finding in self.result.findings:
            if finding.severity is severity:
                lines.append(f"{finding.code} {finding.object}: {finding.message}")
                lines.append(f"  {self._advice(finding)}")
                lines.extend(f"  $ {command}" for command in finding.commands)
        return "\n".join(lines)


@pytest.fixture(scope="session")
def hop_session(request: pytest.FixtureRequest) -> Session:
    """The invocation's hosts, options and evidence."""
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


@pytest.fixture(scope="session")
def hop_options(target: Target, hop_session: Session) -> Options:
    """The options that hold for the host."""
    return hop_session.hosts[target.url].run.options


@pytest.fixture(scope="session")
def kube(hop_options: Options) -> Iterator[clients.Kube]:
    """A kubernetes.client.ApiClient for the run's cluster; without credentials the check skips."""
    from hopcheck.collect import clients

    try:
        client = clients.kube(hop_options)
    except Exception as error:  # noqa: BLE001  # whatever it is: the cluster was not seen
        pytest.skip(f"unknown: {text('why', 'not_configured')}: {error}")
    yield client
    with suppress(Exception):  # connections that are gone already
        client.close()


@pytest.fixture(scope="session")
def aws(hop_options: Options) -> clients.Aws:
    """A boto3.Session of the run's profile and region."""
    from hopcheck.collect import clients

    return clients.aws(hop_options)


@pytest.fixture(scope="session")
def resolver(hop_options: Options) -> clients.Resolver:
    """A dns.resolver.Resolver that asks the run's resolvers."""
    from hopcheck.collect import clients

    return clients.resolver(hop_options)


@pytest.fixture(scope="session")
def http(hop_options: Options) -> Iterator[clients.Http]:
    """An httpx.Client that goes where the host's name leads in this run."""
    from hopcheck.collect import clients

    with clients.http(hop_options) as client:
        yield client


@pytest.fixture
def checklist(
    request: pytest.FixtureRequest, target: Target, hop_session: Session
) -> StepChecklist:
    """The step of a shipped check, judged by the RULES of its file.

    A defect of the suite is raised here, in set-up, which pytest reports as an error.
    """
    step, rules = step_of(request.node), request.module.RULES
    result = hop_session.step(target.url, step)
    request.node.user_properties += [
        ("step", step.value),
        ("host", target.host),
        ("status", result.status.value),
        *(("code", finding.code) for finding in result.findings),
    ]
    return StepChecklist(result, hop_session.hosts[target.url], rules, _subtests(request))


def _subtests(request: pytest.FixtureRequest) -> pytest.Subtests | None:
    """Subtests for the terminal alone: in a junit.xml each would be one more result of its case.

    None where nobody looks, and where a worker's reports reach both.
    """
    config, manager = request.config, request.config.pluginmanager
    junit = [one for one in manager.get_plugins() if type(one).__module__ == "_pytest.junitxml"]
    worker = hasattr(config, "workerinput")
    if worker and config.getoption("xmlpath", None):
        return None
    if not worker and not manager.hasplugin("terminalreporter"):
        return None
    subtests: pytest.Subtests = request.getfixturevalue("subtests")
    subtests._ihook = _WithoutSome(request.node.ihook, manager, junit)  # type: ignore[assignment]
    return subtests


class _WithoutSome:
    """pytest's hooks, of which some plugins are told no report."""

    def __init__(
        self, hooks: Any, manager: pytest.PytestPluginManager, deaf: Sequence[object]
    ) -> None:
        self._hooks = hooks
        self.pytest_runtest_logreport = manager.subset_hook_caller("pytest_runtest_logreport", deaf)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hooks, name)
