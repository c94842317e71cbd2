"""The host's request: sent as a client sends it, and the same to any hop that can be reached.

A request that failed is evidence: a `Collected` with a Probe whose last Exchange has `error` set.
A `Collected` without value means only that it could not be tried or not be finished in time.
`exchange.py` sends one request; here are redirects, and who is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote, urljoin, urlsplit

from msgspec.structs import replace

from hopcheck.collect.ask import Run
from hopcheck.collect.web.exchange import Progress, Request, Scheme, send
from hopcheck.model import (
    Collected,
    ErrorKind,
    Exchange,
    Hop,
    HttpEvidence,
    Probe,
    Target,
    Why,
)
from hopcheck.model.redact import redact_url
from hopcheck.scene import http_versions
from hopcheck.scene.probes import HopTarget

MAX_ADDRESSES = 8
MAX_CONCURRENT_HOPS = 20
HOP_TIMEOUT = 2.0  # also of a request that compares the versions of HTTP
MAX_REQUESTS = 10  # of one probe, redirects included
_PORTS: dict[str, int] = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


# --- redirects -----------------------------------------------------------------------------


def _same_host(one: str, other: str) -> bool:
    if not other.isascii():
        try:
            other = other.encode("idna").decode("ascii")
        except UnicodeError:
            return False
    return one.lower().rstrip(".") == other.lower().rstrip(".")


def _path(path: str) -> str:
    """The path and query as they may be sent: no spaces, no control characters, ASCII."""
    return quote(path or "/", safe="%/?:@!$&'()*+,;=~-._[]|", errors="replace")


def _authority(host: str, port: int, scheme: str) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port == _PORTS[scheme] else f"{bracketed}:{port}"


def _cookies(request: Request, progress: Progress) -> tuple[tuple[str, str], ...]:
    """The cookies to send next: a redirect that sets one is no loop to a browser either."""
    jar = dict(request.cookies)
    for name, value in progress.headers:
        if name == "set-cookie":
            key, equals, content = value.partition(";")[0].partition("=")
            if equals:
                jar[key.strip()] = content.strip()
    return tuple(sorted(jar.items()))


def _connection(run: Run, host: str, address: str, port: int, *, override: bool) -> tuple[str, int]:
    """Where to connect to: by --connect-to as for a client, or by rules for this address only."""
    if override:
        return run.options.connection(host, address, port)
    for rule in run.options.connect_to:
        if rule.host == address and rule.port in (None, port):
            return rule.to_host or address, rule.to_port or port
    return address, port


def _next(
    run: Run, request: Request, progress: Progress, *, override: bool
) -> Request | str | None:
    """Where the answer leads: a request to the same host, another host's URL, or nowhere."""
    location = progress.header("location")
    if progress.status not in _REDIRECTS or not location:
        return None
    try:
        url = urljoin(request.url, location.strip())
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # a broken Location leads nowhere
        return None
    if parts.scheme not in _PORTS or not _same_host(request.host, host):
        return redact_url(url)
    scheme: Scheme = "https" if parts.scheme == "https" else "http"
    port = port or _PORTS[scheme]
    return replace(
        request,
        scheme=scheme,
        authority=_authority(request.host, port, scheme),
        path=_path(parts.path + (f"?{parts.query}" if parts.query else "")),
        port=port,
        connect_to=_connection(run, request.host, request.address, port, override=override),
        cookies=_cookies(request, progress),
    )


async def _follow(
    run: Run,
    request: Request,
    *,
    timeout: float,  # noqa: ASYNC109  # of one exchange; all of them have twice that
    dns_s: float | None,
    follow: bool,
    override: bool,
) -> tuple[tuple[Exchange, ...], str | None]:
    """The exchanges in turn, and the other host that the last one leads to."""
    clock = run.awake
    end = clock() + 2 * timeout
    exchanges: list[Exchange] = []
    asked = {(request.url, request.cookies)}
    while True:
        deadline = min(clock() + timeout, end)
        exchange, progress = await send(run, request, deadline, dns_s)
        dns_s = None
        following = _next(run, request, progress, override=override)
        if isinstance(following, str):
            return (*exchanges, exchange), following
        if following is None or not follow or exchange.error is not None:
            return (*exchanges, exchange), None
        again = (following.url, following.cookies)
        if again in asked or len(exchanges) + 1 == MAX_REQUESTS:
            looped = replace(
                exchange,
                error=ErrorKind.TOO_MANY_REDIRECTS,
                error_text=redact_url(following.url),
            )
            return (*exchanges, looped), None
        asked.add(again)
        exchanges.append(exchange)
        request = following


# --- probes --------------------------------------------------------------------------------


async def probe(
    run: Run,
    *,
    hop: Hop,
    member: str,
    address: str,
    port: int,
    scheme: Scheme,
    host: str,
    path: str,
    authority: str | None = None,
    namespace: str | None = None,
    name: str | None = None,
    proxy_protocol: bool = False,
    connect_override: bool = True,
    follow: bool = False,
    verify: bool = True,
    forwarded: tuple[tuple[str, str], ...] = (),
    dns_s: float | None = None,
    timeout: float | None = None,  # noqa: ASYNC109  # seconds for one exchange
    http1: bool | None = None,
) -> Collected[Probe]:
    """Send the request for `host` and `path` to `address`:`port`; never raises.

    SNI is `host`; the Host header is `authority` (default: `host`, with the port where it is not
    the scheme's). `connect_override`: --connect-to applies as for a client's connection; without
    it only rules for this very address do. `verify` False: the certificate is shown, not judged.
    `forwarded`: further headers. `timeout` defaults to --timeout, `http1` (HTTP/2 is not offered)
    to --http1.1.
    """
    limit = run.options.timeout if timeout is None else timeout
    request = Request(
        scheme=scheme,
        authority=authority or _authority(host, port, scheme),
        host=host,
        path=_path(path),
        address=address,
        port=port,
        connect_to=_connection(run, host, address, port, override=connect_override),
        proxy_protocol=proxy_protocol,
        verify=verify,
        forwarded=forwarded,
        http1=run.options.http1 if http1 is None else http1,
    )

    async def call() -> Probe:
        exchanges, elsewhere = await _follow(
            run, request, timeout=limit, dns_s=dns_s, follow=follow, override=connect_override
        )
        return Probe(
            hop=hop,
            member=member,
            address=address,
            port=port,
            scheme=scheme,
            exchanges=exchanges,
            redirected_to=elsewhere,
            namespace=namespace,
            name=name,
            proxy_protocol=proxy_protocol,
        )

    source = f"GET {redact_url(request.url)} @{_authority(address, port, 'http')}"
    # The exchanges' own limits fire first; only the run's deadline can cut them off.
    return await run.ask(source, call, timeout=2 * limit + 1)


Ask = Callable[[bool], Awaitable[Collected[Probe]]]


async def _compared(first: Collected[Probe], ask: Ask) -> tuple[Collected[Probe], ...]:
    """The requests at one address by the two versions of HTTP in turns, `first` among them.

    They end with the one that shows that it is not the version. `ask` sends one, by HTTP/1.1 alone
    where it is given True.
    """
    made = [first]
    http2 = http_versions.by_http2(first.get())
    for other in http_versions.TURNS[1:]:
        made.append(await ask(http2 == other))
        if not made[-1].seen or not http_versions.told([one.get() for one in made]):
            break
    return tuple(made)


def _settled(made: Sequence[Collected[Probe]]) -> Collected[Probe]:
    """The request to say of the address: by the version that works, where only one does."""
    seen = [one.get() for one in made if one.seen]
    if http_versions.only_version(seen) and not http_versions.first_works(seen):
        return made[1]
    return made[0]


async def request_host(
    target: Target,
    run: Run,
    addresses: Sequence[str],
    dns_s: float | None,
    *,
    both: bool = True,
) -> HttpEvidence:
    """The host's request to each of its addresses: HttpEvidence without hops.

    `both` False: the other scheme is not asked (NOT_NEEDED), nor HTTP/1.1 where HTTP/2 works.

    At most 8 addresses are asked (the last result is then marked truncated). `dns_s` is the time
    that resolving took, counted into each first exchange. The other scheme is asked at the first
    address on its own default port, where the URL has its default port; else NOT_NEEDED. Where the
    request fails by one version of HTTP and works by the other, the one that works is the
    address's.
    """
    wanted = list(dict.fromkeys(addresses))
    if not wanted:
        instead, _ = run.options.connection(target.host, target.host, target.port)
        if instead == target.host:
            missing: Collected[Probe] = Collected(
                why=Why.UNREACHABLE, source=f"GET {redact_url(target.url)}"
            )
            return HttpEvidence(other_scheme=missing)
        wanted = [instead]  # as with curl, --connect-to needs no record

    async def one(
        address: str,
        scheme: Scheme,
        port: int,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # seconds for one exchange
        http1: bool | None = None,
    ) -> Collected[Probe]:
        return await probe(
            run,
            hop=Hop.LOAD_BALANCER,
            member=address,
            address=address,
            port=port,
            scheme=scheme,
            host=target.host,
            path=target.path,
            follow=True,
            dns_s=dns_s,
            timeout=timeout,
            http1=http1,
        )

    async def by_versions(number: int, address: str) -> tuple[Collected[Probe], ...]:
        first = await one(address, target.scheme, target.port)
        if not first.seen:
            return (first,)
        http2 = http_versions.by_http2(first.get())
        works = http_versions.works(first.get(), http2=http2)
        if works is False or (works and http2 and both and number == 0):
            limit = min(HOP_TIMEOUT, run.options.timeout)
            return await _compared(
                first,
                lambda http1: one(address, target.scheme, target.port, timeout=limit, http1=http1),
            )
        return (first,)

    other: Scheme = "http" if target.scheme == "https" else "https"

    async def alternative() -> Collected[Probe]:
        if not both or target.port != _PORTS[target.scheme]:
            return Collected(why=Why.NOT_NEEDED, source=f"GET {other}://{target.host}")
        return await one(wanted[0], other, _PORTS[other])

    asked = (by_versions(*each) for each in enumerate(wanted[:MAX_ADDRESSES]))
    second, made = await asyncio.gather(alternative(), asyncio.gather(*asked))
    requests = [_settled(group) for group in made]
    if len(wanted) > MAX_ADDRESSES:
        requests[-1] = replace(requests[-1], truncated=True)
    return HttpEvidence(
        requests=tuple(requests),
        other_scheme=second,
        versions=tuple(each for group in made if len(group) > 1 for each in group),
        ca_file=run.options.ca_file is not None,
    )


async def probe_hops(
    target: Target, run: Run, hops: Sequence[HopTarget]
) -> tuple[Collected[Probe], ...]:
    """HttpEvidence.hops: the same request to each member, in order; at most 20 at once.

    Each gets at most 2 s, and redirects are not followed. A hop that HTTP/2 alone breaks counts as
    reached: which version fails is said of the host's own request. To the application (Service,
    pod) it is sent as Traefik would: with X-Forwarded-* headers, and the certificate is not
    verified, which a ServersTransport may well not do either.
    """
    slots = asyncio.Semaphore(MAX_CONCURRENT_HOPS)
    authority = _authority(target.host, target.port, target.scheme)
    behind = (
        ("X-Forwarded-Host", authority),
        ("X-Forwarded-Port", str(target.port)),
        ("X-Forwarded-Proto", target.scheme),
    )

    async def ask(hop: HopTarget, *, http1: bool | None = None) -> Collected[Probe]:
        application = hop.hop in (Hop.SERVICE, Hop.POD)
        return await probe(
            run,
            hop=hop.hop,
            member=hop.member,
            address=hop.address,
            port=hop.port,
            scheme=hop.scheme,
            host=target.host,
            path=target.path,
            authority=authority,
            namespace=hop.namespace,
            name=hop.name,
            proxy_protocol=hop.proxy_protocol,
            connect_override=False,
            verify=not application,
            forwarded=behind if application or hop.forwarded else (),
            timeout=min(HOP_TIMEOUT, run.options.timeout),
            http1=http1,
        )

    async def one(hop: HopTarget) -> Collected[Probe]:
        async with slots:
            first = await ask(hop)
            if not first.seen or not http_versions.unanswered_by_http2(first.get()):
                return first
            again = await ask(hop, http1=True)
        answered = again.seen and again.get().exchanges[-1].error is None
        return again if answered else first

    return tuple(await asyncio.gather(*(one(hop) for hop in hops)))
