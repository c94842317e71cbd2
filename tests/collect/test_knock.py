"""Whether a pod's port takes connections, in the words of a real API server's pod proxy."""

import asyncio

import pytest

from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes.client import Answer, KubeClient
from hopcheck.collect.kubernetes.knock import knock
from hopcheck.config.options import Options
from hopcheck.model import Collected, ErrorKind, Hop, Probe, Why
from hopcheck.scene.probes import HopTarget

TO = "error trying to reach service: "  # k8s.io/apimachinery, pkg/util/proxy/transport.go


class Server(KubeClient):
    """An API server that says the same of every port; `asked` are the ports it was asked about."""

    def __init__(self, run: Run, says: Answer | Unavailable, late: int = 0) -> None:
        super().__init__(run)
        self.says, self.asked, self.late = says, list[int](), late

    async def _ask(self, path, params, accept, *, relayed=False):  # type: ignore[no-untyped-def]
        assert relayed
        self.asked.append(int(path.partition("/proxy")[0].rpartition(":")[2]))
        if self.asked[-1] == self.late:
            await asyncio.Event().wait()
        if isinstance(self.says, Unavailable):
            raise self.says
        return self.says


def target(port: int = 8443, address: str = "10.85.0.2", space: str = "default") -> HopTarget:
    return HopTarget(
        Hop.POD, f"web {address}:{port}", address, port, "http", namespace=space, name="web"
    )


def asked(
    says: Answer | Unavailable, *targets: HopTarget, late: int = 0
) -> tuple[tuple[Collected[Probe], ...], list[int]]:
    async def main() -> tuple[tuple[Collected[Probe], ...], list[int]]:
        run = Run(Options())
        server = Server(run, says, late)
        return await knock(server, run, targets), server.asked

    return asyncio.run(main())


def unreachable(words: str) -> Unavailable:
    return Unavailable(Why.UNREACHABLE, TO + words)


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("dial tcp 10.85.0.2:8443: connect: connection refused", "10.85.0.2"),
        ("dial tcp 10.85.0.2:8443: getsockopt: connection refused", "10.85.0.2"),  # Go before 1.11
        ("dial tcp [fd00::a]:8443: connect: connection refused", "fd00::a"),
    ],
)
def test_the_pods_own_address_refuses(words: str, address: str) -> None:
    ((found,), _) = asked(unreachable(words), target(address=address))
    probe = found.get()
    (exchange,) = probe.exchanges
    assert (exchange.error, exchange.error_phase) == (ErrorKind.REFUSED, "connect")
    assert exchange.error_text == TO + words
    assert (probe.via, probe.name, probe.port) == ("apiserver-proxy", "web", 8443)


@pytest.mark.parametrize(
    "words",
    [
        "dial tcp 10.85.0.2:8443: i/o timeout",
        "dial tcp 10.85.0.2:8443: connect: no route to host",
        "dial tcp 10.85.0.2:8443: connect: connection timed out",
        # Somebody on the way (konnectivity, a proxy) was refused, not the pod's port.
        "dial tcp 10.0.0.9:8132: connect: connection refused",
        "dial tcp 10.85.0.2:84431: connect: connection refused",
        "No agent available",
        "context deadline exceeded",
    ],
)
def test_what_says_nothing_of_the_pod_is_not_known(words: str) -> None:
    ((found,), _) = asked(unreachable(words), target())
    assert not found.seen
    assert found.why is Why.UNREACHABLE


BROKEN = "net/http: HTTP/1.x transport connection broken: "


@pytest.mark.parametrize(
    "says",
    [
        Answer(200, {}, b"ok"),
        Answer(400, {}, b"Client sent an HTTP request to an HTTPS server.\n"),
        Answer(502, {}, b"Bad Gateway"),
        Answer(503, {}, b"no healthy upstream"),
        unreachable(BROKEN + r'malformed HTTP response "\x15\x03\x01\x00\x02\x02"'),  # TLS
        unreachable(BROKEN + r'malformed HTTP response "\x00\x00\x06\x04\x00\x00"'),  # gRPC
        unreachable(BROKEN + 'malformed HTTP status code "ready"'),
        unreachable("EOF"),
        unreachable("read tcp 10.85.0.1:40112->10.85.0.2:8443: read: connection reset by peer"),
    ],
)
def test_whoever_takes_the_connection_listens(says: Answer | Unavailable) -> None:
    ((found,), _) = asked(says, target())
    (exchange,) = found.get().exchanges
    # What was said there is no answer to the host's request.
    assert (exchange.error, exchange.status, exchange.body) == (None, None, "")


def test_what_a_role_forbids_is_asked_once_a_namespace() -> None:
    pods = [target(8000 + n, space=space) for space in ("one", "two") for n in range(3)]
    found, ports = asked(Unavailable(Why.DENIED, "pods is forbidden"), *pods)
    assert {one.why for one in found} == {Why.DENIED}
    assert ports == [8000, 8000]


def test_one_that_hangs_takes_no_time_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hopcheck.collect.kubernetes.knock._PATIENCE", 0.2)
    found, ports = asked(Answer(200, {}, b""), *map(target, (1, 2, 3)), late=1)
    assert [one.why for one in found] == [Why.TIMED_OUT, None, None]
    assert sorted(ports) == [1, 2, 3]
