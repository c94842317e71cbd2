"""What the requests say: who answered, and whether an answer counts as a success."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from hopcheck.behaviour.traefik.logs import moment
from hopcheck.behaviour.traefik.rules import matches
from hopcheck.config.target import is_address
from hopcheck.model import EXPECTED, ErrorKind, Exchange, Hop, Probe, Snapshot, Target, TlsInfo
from hopcheck.model.traefik import Router
from hopcheck.scene.chain import GroupLink
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.middlewares import ASKING, acting, may_answer, passes
from hopcheck.scene.scene import Scene


class Producer(StrEnum):
    """Who wrote the answer, as far as the answer itself tells (knowledge: path-rules)."""

    APPLICATION = "application"
    TRAEFIK = "traefik"
    ALB = "alb"
    CLOUDFRONT = "cloudfront"
    CLOUDFLARE = "cloudflare"
    NOBODY = "nobody"


# Status -> exact body (white space stripped) of Traefik's own answers; bodies seen live on 3.7.15.
TRAEFIK_BODIES = {
    400: "400 Bad Request",
    404: "404 page not found",
    418: "",  # behind the redirect of an entryPoint, where the request is https already
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "no available server",
    504: "Gateway Timeout",
}
# Its proxy's words have no newline, which Go's http.Error writes, and so many an application does.
_BY_ITS_PROXY = frozenset({500, 502, 504})
_NOT_TRAEFIKS = ("x-powered-by", "etag")  # headers that applications write


def producer(exchange: Exchange) -> Producer:
    """Who wrote this answer. Any Go program can write Traefik's 404: see `application_404`."""
    if exchange.status is None:
        return Producer.NOBODY
    server = (exchange.header("server") or "").lower()
    if server.startswith("awselb/"):
        return Producer.ALB
    if server == "cloudfront" and exchange.status >= 400:
        return Producer.CLOUDFRONT
    if server == "cloudflare" and 520 <= exchange.status <= 530:
        return Producer.CLOUDFLARE
    body = exchange.body.strip()
    if body == TRAEFIK_BODIES.get(exchange.status):
        exact = exchange.status not in _BY_ITS_PROXY or exchange.body == body
        if not exact or any(exchange.header(name) for name in _NOT_TRAEFIKS):
            return Producer.APPLICATION
        if exchange.status == 404:
            # A proxy in front (nginx, Cloudflare) names itself and passes the rest on.
            nosniff = exchange.header("x-content-type-options") == "nosniff"
            return Producer.TRAEFIK if nosniff else Producer.APPLICATION
        if server == "":
            return Producer.TRAEFIK
    if exchange.status == 421 and body in ("Misdirected Request", ""):
        return Producer.TRAEFIK
    return Producer.APPLICATION


# What TLS servers say to plain HTTP: Go's net/http, nginx, Apache httpd, Envoy and Tomcat.
_SAYS_TLS = (
    "client sent an http request to an https server",
    "plain http request was sent to https port",
    "speaking plain http to an ssl-enabled server port",
    "this combination of host and port requires tls",
)


def says_tls(exchange: Exchange) -> bool:
    """Whether the answer is a TLS server's to a request in plain HTTP."""
    words = exchange.body.lower()
    return exchange.status == 400 and any(said in words for said in _SAYS_TLS)


def expected(status: int, expect: str) -> bool:
    """Whether `status` is in a set such as "200-399,401,403"."""
    ranges = (part.strip().partition("-") for part in expect.split(","))
    return any(low and int(low) <= status <= int(high or low) for low, _, high in ranges)


class CertificateProblem(StrEnum):
    """What is wrong with a certificate as presented."""

    DEFAULT = "default"  # Traefik's own default certificate
    TEMPORARY = "temporary"  # cert-manager's, until the one that is asked for is issued
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    NAME = "name"
    AUTHORITY = "authority"  # for tests alone, or not the one that is said to be meant
    INCOMPLETE = "incomplete"  # without the certificate of its issuer: programs refuse it
    UNTRUSTED = "untrusted"  # here, and nothing says which authority is meant


def name_matches(pattern: str, host: str) -> bool:
    """RFC 6125: a wildcard stands for exactly one left-most label."""
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern.startswith("*."):
        return "." in host and host.split(".", 1)[1] == pattern[2:]
    return pattern == host


_SELF_SIGNED = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
_NO_ISSUER = (20, 21)  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, ..._VERIFY_LEAF_SIGNATURE
# The issuer of the certificates with which cert-manager bridges the time until one is issued.
_TEMPORARY = re.compile(r"\bCN=cert-manager\.local\b")
_STAGING = re.compile(r"\(STAGING\)|\bFake LE\b")
# Organisations whose certificates are meant for everybody: the system's store is their measure.
_PUBLIC = re.compile(
    r"O=\W*(Let's Encrypt|ZeroSSL|DigiCert|Sectigo|COMODO CA|GlobalSign|Google Trust|Amazon\b|"
    r"GoDaddy|Starfield|Entrust|IdenTrust|Buypass|SSL Corp|Certum|Asseco|Actalis|HARICA|SwissSign)"
)


def certificate_problem(tls: TlsInfo, snapshot: Snapshot) -> CertificateProblem | None:
    """The gravest problem of the leaf for the host at the time of the run; None: it is fine."""
    if not tls.chain:
        return None
    leaf, host, now = tls.chain[0], snapshot.target.host, snapshot.taken_at
    if "TRAEFIK DEFAULT CERT" in leaf.subject:
        return CertificateProblem.DEFAULT
    if _TEMPORARY.search(leaf.issuer) and not tls.verified:
        return CertificateProblem.TEMPORARY
    if leaf.not_after < now:
        return CertificateProblem.EXPIRED
    if leaf.not_before > now:
        return CertificateProblem.NOT_YET_VALID
    if not any(name_matches(name, host) for name in leaf.names):
        return CertificateProblem.NAME
    if tls.verify_code == _SELF_SIGNED and not leaf.self_signed:
        # The connection that was refused saw another certificate than the one that was looked at:
        # two replicas answer differently, and this one is fine.
        return None
    return None if tls.verified else _distrust(tls, snapshot)


def _distrust(tls: TlsInfo, snapshot: Snapshot) -> CertificateProblem:
    """What keeps the chain from being trusted, as far as it is said which authority is meant."""
    leaf, more = tls.chain[0], tls.chain[1:]
    if any(_STAGING.search(one.issuer) for one in tls.chain):
        return CertificateProblem.AUTHORITY
    said = snapshot.http.ca_file or _PUBLIC.search(tls.chain[-1].issuer)
    alone = not leaf.self_signed and not any(one.subject == leaf.issuer for one in more)
    if alone and tls.verify_code in _NO_ISSUER and (said or more):
        return CertificateProblem.INCOMPLETE
    return CertificateProblem.AUTHORITY if said else CertificateProblem.UNTRUSTED


def certificate_fails(problem: CertificateProblem | None) -> bool:
    """Whether every client would refuse: browsers often have the issuer's certificate.

    And 'untrusted' may be only this machine's view.
    """
    return problem not in (None, CertificateProblem.UNTRUSTED, CertificateProblem.INCOMPLETE)


def probe_certificate(probe: Probe, snapshot: Snapshot) -> CertificateProblem | None:
    """The first certificate problem on the way of a probe that a client would refuse, or any."""
    seen = (certificate_problem(e.tls, snapshot) for e in probe.exchanges if e.tls is not None)
    problems = [problem for problem in seen if problem is not None]
    grave = (problem for problem in problems if certificate_fails(problem))
    return next(grave, problems[0] if problems else None)


def application_404(snapshot: Snapshot, exchange: Exchange) -> bool:
    """Whether a 404 that reads like Traefik's is the application's own.

    The access log decides: the application's has a router. Else Traefik's API does: without a
    router for the host it is Traefik's. Else it is the application's where one of its pods, asked
    directly, gives the same body.
    """
    for fields in _access_lines(snapshot, exchange):
        return bool(fields.get("RouterName")) and fields.get("OriginStatus") == "404"
    known = [one.routers.get() for one in snapshot.traefik.replicas if one.routers.seen]
    if known and not any(_routed(router, snapshot.target) for own in known for router in own):
        return False
    return any(last.status == 404 and last.body == exchange.body for last in by_pods(snapshot))


# Traefik can be told to refuse these in a path, and 3.6.4 to 3.6.6 did so by themselves.
_ENCODED = re.compile(r"%(2F|5C|00|3B|25|3F|23)", re.IGNORECASE)


def refused_path(snapshot: Snapshot, exchange: Exchange) -> bool:
    """Whether a 400 with nothing in it is Traefik's refusal of an encoded character in the path.

    The application's own where the access log has its status, or a pod gives the same answer.
    """
    if exchange.status != 400 or exchange.body or not _ENCODED.search(exchange.url):
        return False
    for fields in _access_lines(snapshot, exchange):
        return fields.get("OriginStatus", "0") == "0"
    return not any(last.status == 400 for last in by_pods(snapshot))


def refused_by_middleware(snapshot: Snapshot, exchange: Exchange, address: str) -> bool:
    """Whether a 500 with nothing in it comes from a forwardAuth whose service does not answer.

    Proof: the log of the call to `address`; or the access log shows no answer of the application;
    or all of its pods, asked directly, answer well.
    """
    if exchange.status != 500 or exchange.body:
        return False
    for replica in snapshot.traefik.replicas:
        if any(f"Error calling {address}" in line.raw for line in replica.log.or_else(()) or ()):
            return True
    for fields in _access_lines(snapshot, exchange):
        return fields.get("OriginStatus", "0") == "0"
    answers = by_pods(snapshot)
    return bool(answers) and all((last.status or 500) < 500 for last in answers)


def origin_answered(snapshot: Snapshot, exchange: Exchange) -> bool | None:
    """Whether this run's answers of that kind came from the application, by the access log.

    None where no line tells (the log is off, of the common format, or filtered).
    """
    for fields in _access_lines(snapshot, exchange):
        if fields.get("RouterName") and "OriginStatus" in fields:
            return fields.get("OriginStatus") == str(exchange.status)
    return None


def client_seen(snapshot: Snapshot, exchange: Exchange) -> str | None:
    """From which address Traefik saw such a request of this run come, by the access log."""
    seen = (f.get("ClientHost", "") for f in _access_lines(snapshot, exchange))
    return next(filter(is_address, seen), None)


def _access_lines(snapshot: Snapshot, exchange: Exchange) -> Iterator[Mapping[str, str]]:
    """Access-log lines (JSON) of this run's requests that were answered so, newest first.

    Of the exchange's path and status, replica by replica. Older ones speak of what the route was
    then.
    """
    path, status = urlsplit(exchange.url).path or "/", exchange.status
    began = moment(snapshot.taken_at) or 0
    for replica in snapshot.traefik.replicas:
        for line in reversed(replica.log.or_else(()) or ()):
            fields = line.fields
            if (
                line.kind == "access"
                and fields.get("RequestHost", "").partition(":")[0] == snapshot.target.host
                and fields.get("RequestPath", "").partition("?")[0] == path
                and fields.get("DownstreamStatus") == str(status)
                and (moment(line.time or "") or 0) >= began
            ):
                yield fields


def by_pods(snapshot: Snapshot) -> list[Exchange]:
    """The last exchange with each of the application's pods that was asked directly."""
    hops = (collected.get() for collected in snapshot.http.hops if collected.seen)
    pods = (probe for probe in hops if probe.hop is Hop.POD and probe.via == "direct")
    return [probe.exchanges[-1] for probe in pods if probe.exchanges]


def _routed(router: Router, target: Target) -> bool:
    """Whether a router of Traefik's API may serve the host and path."""
    if router.status == "disabled" or router.provider == "internal":
        return False
    return matches(router.rule, target.host, target.path) is not False


def turned_away(scene: Scene, exchange: Exchange) -> bool:
    """Whether a 4xx is the doing of what stands before the application: a middleware, a front.

    By the access log; else by its own words, which applications send with a type at least (so
    does Traefik 2); else because the pods serve the same and a middleware can answer so.
    """
    status, snapshot = exchange.status or 0, scene.snapshot
    if not 400 <= status < 500 or says_tls(exchange) or refused_path(snapshot, exchange):
        return False
    who = producer(exchange)
    if who is not Producer.APPLICATION:
        return who is not Producer.TRAEFIK  # what Traefik says of itself is no middleware's word
    if (asked := origin_answered(snapshot, exchange)) is not None:
        return not asked
    pods = [answer.status or 0 for answer in by_pods(snapshot)]
    own = exchange.body == _PHRASES.get(status)
    if own and status not in pods and not any(map(exchange.header, ("server", *_NOT_TRAEFIKS))):
        return not exchange.header("content-type") or may_answer(scene, status)
    if status == 404 or not pods or not may_answer(scene, status):
        return False
    return all(200 <= answer < 300 for answer in pods)


# All that an allow list and a limit say, whose status can be set (Go's http.StatusText).
_PHRASES = {
    401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 410: "Gone",
    413: "Request Entity Too Large", 418: "I'm a teapot", 429: "Too Many Requests",
}  # fmt: skip


def asks_for_credentials(scene: Scene, exchange: Exchange) -> bool:
    """Whether a 401 before the application is a route's that is meant to ask who it is."""
    if exchange.status != 401 or not turned_away(scene, exchange):
        return False
    if producer(exchange) is Producer.ALB:
        rule = scene.rule(scene.way.listener) if scene.way is not None else None
        return any(one.type.startswith("authenticate") for one in (rule.actions if rule else ()))
    return bool(exchange.header("www-authenticate")) or passes(scene, *ASKING)


def astray(probe: Probe) -> bool:
    """Whether a redirect on the same host led to another path, and the answer is from there."""
    paths = [urlsplit(exchange.url).path or "/" for exchange in probe.exchanges]
    return len(paths) > 1 and paths[-1] != paths[0]


def succeeded(scene: Scene, probe: Probe) -> bool:
    """Whether a client would call this request a success (contract: verdict)."""
    snapshot, target = scene.snapshot, scene.target
    if certificate_fails(probe_certificate(probe, snapshot)):
        return False
    if probe.redirected_to is not None:
        return True
    if not probe.exchanges:
        return False
    last = probe.exchanges[-1]
    if last.error is not None or last.status is None:
        return False
    who = producer(last)
    if who is Producer.TRAEFIK and last.status == 404:
        who = Producer.APPLICATION if application_404(snapshot, last) else who
    if who is Producer.TRAEFIK:
        return False
    unasked = not target.path_asked and not astray(probe)
    own_404 = last.status == 404 and unasked and who is Producer.APPLICATION
    if own_404 and (scene.meant is not None or disowned(scene, last)):
        return False  # a stranger's: what another load balancer leads to, or the pods contradict
    if not own_404 and not expected(last.status, target.expect_status):
        return False
    if target.expect_status != EXPECTED:
        return True  # whoever gave it: somebody named it
    return not turned_away(scene, last) or asks_for_credentials(scene, last)


def disowned(scene: Scene, exchange: Exchange) -> bool:
    """Whether an answer is not the application's: its pods, asked directly, all answer well.

    Not where Traefik, asked directly, gives it too (applications answer by what its headers say),
    where a middleware may have changed what they are asked, or where Traefik's log says so.
    """
    hops = (one.get() for one in scene.snapshot.http.hops if one.seen and one.get().exchanges)
    behind = (one for one in hops if one.hop in (Hop.NODE, Hop.TRAEFIK_POD))
    if any(one.exchanges[-1].status == exchange.status for one in behind):
        return False
    route = routing_of(scene).winner
    if route is None or route.uncertain or acting(scene, route) or not pods_serve(scene):
        return False
    return not origin_answered(scene.snapshot, exchange)


def pods_serve(scene: Scene) -> bool:
    """Whether the application's pods, asked directly, all answer as expected."""
    pods, expect = by_pods(scene.snapshot), scene.target.expect_status
    return bool(pods) and all(expected(answer.status or 0, expect) for answer in pods)


class Outcome(Struct, frozen=True):
    """The requests from here: how many could be made, how many succeeded."""

    made: int = 0
    succeeded: int = 0
    other_scheme_serves: bool = False


_NO_WAY_IN = (
    ErrorKind.REFUSED,
    ErrorKind.CONNECT_TIMEOUT,
    ErrorKind.UNREACHABLE,
    ErrorKind.RESET,
    ErrorKind.TLS_PROTOCOL,
)


def tried(probe: Probe) -> bool:
    """Whether the request really left this machine."""
    at_home = (ErrorKind.LOCAL, ErrorKind.RESOLVE)
    return bool(probe.exchanges) and probe.exchanges[-1].error not in at_home


# Requests from inside the cluster that cannot come back: the load balancer's hairpin.
# With preserve_client_ip a target that connects to itself through an NLB gets no answer
# (NLB guide, "Client IP preservation": NAT loopback is not supported). Whether a run in a pod hits
# its own node depends on the target that the NLB chooses, so such a time-out proves nothing.
def preserving_group(scene: Scene) -> GroupLink | None:
    """A target group on the host's way that keeps client addresses on cluster nodes."""
    if scene.way is None or scene.way.balancer.type != "network" or scene.meant is not None:
        return None
    for group in scene.way.groups:
        kept = group.attributes.get("preserve_client_ip.enabled") == "true"
        if kept and any(target.kind is not None for target in group.targets):
            return group
    return None


def hairpinned(snapshot: Snapshot) -> frozenset[str]:
    """Addresses whose connect time-out may be the hairpin; none for a run from outside.

    A nodePort that does not answer from here either speaks for another fault.
    """
    if not snapshot.vantage.in_cluster:
        return frozenset()
    asked = [c.get() for c in snapshot.http.requests if c.seen and c.get().exchanges]
    late = ErrorKind.CONNECT_TIMEOUT
    silent = {probe.address for probe in asked if probe.exchanges[-1].error is late}
    if not silent or preserving_group(Scene(snapshot)) is None:
        return frozenset()
    nodes = [c.get() for c in snapshot.http.hops if c.seen and c.get().hop is Hop.NODE]
    answered = [p for p in nodes if p.exchanges and p.exchanges[-1].error is None]
    return frozenset(silent) if answered or not nodes else frozenset()


def requests_made(snapshot: Snapshot) -> list[Probe]:
    """The host's requests that left this machine and whose outcome says something."""
    probes = [c.get() for c in snapshot.http.requests if c.seen and tried(c.get())]
    loops = hairpinned(snapshot)
    return [probe for probe in probes if probe.address not in loops]


def _no_listener_or_route(probe: Probe) -> bool:
    last = probe.exchanges[-1]
    return last.error in _NO_WAY_IN or (last.status == 404 and producer(last) is Producer.TRAEFIK)


def outcome_of(scene: Scene) -> Outcome:
    """How the host's requests went, counted once a host: no version of Traefik changes it."""
    return scene.shared.once("outcome", lambda: outcomes(scene))


def outcomes(scene: Scene) -> Outcome:
    """Count the host's requests, one for each address."""
    snapshot, target = scene.snapshot, scene.target
    probes = requests_made(snapshot)
    good = [probe for probe in probes if succeeded(scene, probe)]
    other = snapshot.http.other_scheme
    serves = (
        not target.scheme_asked
        and target.scheme == "https"
        and bool(probes)
        and not good
        and all(_no_listener_or_route(probe) for probe in probes)
        and other.seen
        and tried(other.get())
        and all(exchange.tls is None for exchange in other.get().exchanges)
        and succeeded(scene, other.get())
    )
    return Outcome(
        made=len(probes),
        succeeded=len(good),
        other_scheme_serves=serves,
    )
