"""What the real Traefik does with a load of cases: its routers, servers, and answers."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import random
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from hopcheck.behaviour.traefik.version import parse_version
from hopcheck.lab.apiserver.kinds import LEGACY_GROUP
from tests.behaviour.real_traefik import RealTraefik
from tests.conform.grammar import ADDRESSES, CLASSES, NETWORK, PORTS, Case, Obj, Request
from tests.lab.serving import ADMIN, Serving

# The first version that knows a setting, and the one provider that does; all versions, both else.
SINCE = {
    "nativelbbydefault": (3,),
    "disableingressclasslookup": (3,),
    "strictprefixmatching": (3, 5),
}
ONLY = {
    "allowcrossnamespace": "kubernetescrd",
    "strictprefixmatching": "kubernetesingress",
    "disableingressclasslookup": "kubernetesingress",
}
PROVIDERS = ("kubernetesingress", "kubernetescrd")
_AT_ONCE = 8
_HEADER = "X-Case"
_SECONDS = 60.0  # until a Traefik has read a load; machines are shared


@dataclass(frozen=True)
class Answer:
    """To one request: the router that took it, the server asked, the status, or what failed."""

    router: str = ""
    server: str = ""
    status: int = 0
    error: str = ""


@dataclass(frozen=True)
class Seen:
    """Of one case: what Traefik's API shows, by name, and an answer a request."""

    routers: dict[str, Obj]
    services: dict[str, Obj]
    middlewares: dict[str, Obj]
    answers: list[Answer]


def flags(settings: Sequence[str], version: str) -> list[str]:
    """The settings as arguments, as far as that version knows them."""
    known = parse_version(version)
    assert known is not None
    return [
        f"--providers.{provider}.{each}"
        for each in settings
        for provider in PROVIDERS
        if ONLY.get(each.partition("=")[0], provider) == provider
        and known.at_least(*SINCE.get(each, (2,)))
    ]


class Bench:
    """`with Bench(directory) as bench:`; an API server, and a stand-in for every application."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        issued = trustme.CA().issue_cert("*.test")
        self._pem = {
            "@certificate": issued.cert_chain_pems[0].bytes().decode(),
            "@key": issued.private_key_pem.bytes().decode(),
        }
        self._network = f"127.{random.SystemRandom().randint(20, 250)}.{os.getpid() % 250}."
        self._serving = Serving(directory)
        # Traefik 2.11 waits for the lists of the old group too.
        self._serving.server.hidden.discard(LEGACY_GROUP)
        self._stand_ins: list[asyncio.Server] = []

    def __enter__(self) -> "Bench":
        self._serving.__enter__()
        self._serving.run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._stand_ins:
            each.close()
        self._serving.__exit__()

    async def _listen(self) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                # Who speaks TLS or HTTP/2 is turned away at once.
                while await reader.readexactly(1) == b"G" and await reader.readuntil(b"\r\n\r\n"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            writer.close()

        for address, port in itertools.product(ADDRESSES, PORTS):
            own = address.replace(NETWORK, self._network)
            self._stand_ins.append(await asyncio.start_server(answer, own, port))

    def here(self, objects: Sequence[Obj]) -> list[Obj]:
        """The objects with this run's network and certificate."""
        text = json.dumps(objects).replace(NETWORK, self._network)
        for placeholder, pem in self._pem.items():
            text = text.replace(_encoded(placeholder), _encoded(pem))
        return list(json.loads(text))

    @contextlib.contextmanager
    def loaded(self, cases: Sequence[Case]) -> Iterator[None]:
        """The cases' objects on the API server, and nothing else."""
        objects = [*CLASSES, *_READY, *(obj for one in cases for obj in one.objects)]

        async def fill() -> None:
            for obj in self.here(objects):
                self._serving.store.put(obj)

        async def clear() -> None:
            for space in self._serving.store.list("namespaces"):
                self._serving.store.delete("namespaces", None, space["metadata"]["name"])

        self._serving.run(fill(), 120)
        try:
            yield
        finally:
            self._serving.run(clear(), 120)

    def see(
        self, cases: Sequence[Case], version: str, program: str, given: list[str]
    ) -> list[Seen]:
        """What a Traefik of that version makes of the cases that are loaded."""
        access, log = self.directory / f"{version}.access", self.directory / f"{version}.log"
        access.unlink(missing_ok=True)
        args = [f"--accesslog.filepath={access}", "--accesslog.format=json",
                f"--accesslog.fields.headers.names.{_HEADER}=keep", *given]  # fmt: skip
        for provider in PROVIDERS:
            args += [
                f"--providers.{provider}.endpoint={self._serving.server.url}",
                f"--providers.{provider}.token={ADMIN}",
                f"--providers.{provider}.certauthfilepath={self._serving.ca_file}",
            ]
        with RealTraefik(args, log, program) as traefik:
            _wait(traefik, log)
            asked = [request for one in cases for request in one.requests]
            answers = asyncio.run(_ask_all(traefik, asked))
            # Where there is no router some versions write no line.
            told = _told(access, sum(answer.status not in (0, 404) for answer in answers))
            raw = traefik.get("/api/rawdata")
        answers = [
            Answer(*told.get(str(at), ("", "")), answer.status, answer.error)
            for at, answer in enumerate(answers)
        ]
        routers, services, middlewares = (
            _by_case(raw.get(kind) or {}) for kind in ("routers", "services", "middlewares")
        )
        seen, at = [], 0
        for one in cases:
            own = answers[at : at + len(one.requests)]
            at += len(one.requests)
            shown = (part.get(one.mark, {}) for part in (routers, services, middlewares))
            seen.append(Seen(next(shown), next(shown), next(shown), own))
        return seen


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _by_case(named: dict[str, Obj]) -> dict[str, dict[str, Obj]]:
    """By the mark of the case, which each name of one of its objects holds."""
    found: dict[str, dict[str, Obj]] = {}
    for name, obj in named.items():
        marks = [p for p in name.split("-") if p.startswith("k") and p[1:].isdigit()]
        if marks:
            found.setdefault(marks[0], {})[name] = obj
    return found


# Routes of both providers that are always right: when they answer, a load has been read.
_READY_HOST = "ready.test"
_READY: list[Obj] = [
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "namespace": "ready",
            "name": name,
            "annotations": {"kubernetes.io/ingress.class": name},
        },
        "spec": {
            "rules": [
                {
                    "host": _READY_HOST,
                    "http": {
                        "paths": [
                            {
                                "path": "/ingress",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "app", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        },
    }
    for name in ("traefik", "public")
] + [
    {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "IngressRoute",
        "metadata": {
            "namespace": "ready",
            "name": name,
            "annotations": {"kubernetes.io/ingress.class": name},
        },
        "spec": {
            "routes": [
                {
                    "kind": "Rule",
                    "match": f"Host(`{_READY_HOST}`) && PathPrefix(`/crd`)",
                    "services": [{"name": "app", "port": 80}],
                }
            ]
        },
    }
    for name in ("traefik", "public")
]
_READY += [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": "ready", "name": "app"},
        "spec": {"clusterIP": f"{NETWORK}99", "ports": [{"name": "http", "port": 80}]},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "ready",
            "name": "app-0",
            "labels": {"kubernetes.io/service-name": "app"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESSES[0]], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": PORTS[0]}],
    },
    {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"namespace": "ready", "name": "app"},
        "subsets": [
            {
                "addresses": [{"ip": ADDRESSES[0]}],
                "ports": [{"name": "http", "port": PORTS[0]}],
            }
        ],
    },
]


def _wait(traefik: RealTraefik, log: Path) -> None:
    wanted = [
        Request(point, scheme, _READY_HOST, path)
        for point, scheme in (("web", "http"), ("websecure", "https"), ("other", "http"))
        for path in ("/ingress", "/crd")
    ]
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        answers = asyncio.run(_ask_all(traefik, wanted))
        # Where its ClusterIP is asked, nobody is there.
        if all(answer.status in (200, 502) for answer in answers):
            return
        time.sleep(0.1)
    raise AssertionError(f"{answers}\n{log.read_text()[-3000:]}")


def _insecure() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _ask_all(traefik: RealTraefik, requests: Sequence[Request]) -> list[Answer]:
    found: list[Answer] = [Answer()] * len(requests)
    turn = iter(enumerate(requests))
    context = _insecure()

    async def work() -> None:
        kept: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        for at, request in turn:
            port = int(getattr(traefik, request.entry_point))
            if request.scheme == "https":
                found[at] = await _ask(request, at, port, context, {})
            else:
                found[at] = await _ask(request, at, port, None, kept)
        for _, writer in kept.values():
            writer.close()

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return found


async def _ask(
    request: Request,
    number: int,
    port: int,
    context: ssl.SSLContext | None,
    kept: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]],
) -> Answer:
    text = f"GET {request.path} HTTP/1.1\r\nHost: {request.host}\r\n{_HEADER}: {number}\r\n\r\n"
    try:
        if port not in kept:
            named = request.host if context is not None else None
            kept[port] = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname=named
            )
        reader, writer = kept[port]
        writer.write(text.encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        lines = head.decode("latin-1").split("\r\n")
        lengths = [line[15:] for line in lines if line.lower().startswith("content-length:")]
        if lengths:
            await reader.readexactly(int(lengths[0]))
        if not lengths or context is not None:
            kept.pop(port)[1].close()
        return Answer(status=int(lines[0].split()[1]))
    except (OSError, EOFError, TimeoutError) as error:
        if port in kept:
            kept.pop(port)[1].close()
        return Answer(error=type(error).__name__)


def _told(access: Path, count: int) -> dict[str, tuple[str, str]]:
    """Router and server of each request, by the access log, which must have a line for `count`."""
    end = time.monotonic() + 20
    while True:
        found: dict[str, tuple[str, str]] = {}
        lines = access.read_text("utf-8").splitlines() if access.exists() else []
        for line in lines:
            with contextlib.suppress(ValueError):
                entry: dict[str, Any] = json.loads(line)
                number = entry.get(f"request_{_HEADER}")
                if number is not None and entry.get("RequestHost") != _READY_HOST:
                    router, server = entry.get("RouterName"), entry.get("ServiceAddr")
                    found[number] = (router or "", server or "")
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.1)
