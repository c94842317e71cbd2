"""Which finding explains which: the only place where hops are held against each other.

The knowledge stands in the tables `EDGES`, `CONDITIONS` and `ORDER`; the code only applies it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import msgspec
from msgspec import Struct

from hopcheck.model import Finding, ObjectRef, Severity


class Condition(Struct, frozen=True):
    """What must hold of cause and effect, and how the page of causes says it."""

    words: str
    holds: Callable[[Finding, Finding], bool]


class Rank(Struct, frozen=True):
    """One rule of the order of root causes: a smaller `place` comes first."""

    because: str
    place: Callable[[Finding], int]


class Edge(Struct, frozen=True):
    """`causes` explain `effects` (code patterns) where `when` (a name in CONDITIONS) holds."""

    causes: tuple[str, ...]
    effects: tuple[str, ...]
    because: str
    when: str = "always"


# Symptoms: never what to fix. With no cause in sight nothing is accused (contract: root_causes).
SYMPTOMS = frozenset({"REQ004", "REQ009", "REQ012"})
# Observations of the application: where it could not be told whose they are, their object is the
# Host, and they accuse nobody.
OF_THE_HOST = frozenset({"REQ001", "REQ003", "REQ014"})
# Bounded gaps and general observations: root causes only when nothing more precise is known.
LAST_RESORT = frozenset({"TGT017", "TGT020", "SVC016", "END014", "LOG002", "REQ008", "ING022"})

# States somebody wants: no fault, and yet why nothing is routed.
INTENDED = frozenset({"END011"})

_ROUTE_DROPPED = ("ING00[1-7]", "ING01[0-4]", "ING02[0-2]")
_NO_ENDPOINTS = ("END001", "END002", "END004", "END005", "END007", "END012")
_TRAEFIK_DOWN = (
    "SVC001",
    "SVC002",
    "SVC003",
    "SVC004",
    "SVC005",
    "SVC006",
    "SVC007",
    "SVC008",
    "SVC010",
    "SVC014",
    "SVC015",
)
_WRONG_PLACE = ("DNS002", "DNS005", "DNS006")
_LOAD_BALANCER = (
    "TGT001",
    "TGT002",
    "TGT003",
    "TGT007",
    "TGT009",
    "TGT01[0-4]",
    "TGT018",
    "TGT019",
    "TGT024",
)

EDGES: tuple[Edge, ...] = (
    Edge(("SVC008", "SVC010"), ("SVC007",), "Traefik does not start or never becomes ready"),
    Edge(("SVC001", "SVC003", "SVC014"), ("TGT014",), "there is no nodePort for the targets"),
    Edge(_TRAEFIK_DOWN, ("TGT017",), "no Traefik pod answers behind the targets"),
    Edge(
        ("TGT007", "TGT01[0-6]", "TGT018", "TGT001"),
        ("TGT017",),
        "the health check cannot succeed",
    ),
    Edge(("TGT014", "TGT010"), ("TGT019",), "the targets are not Traefik's"),
    Edge(
        ("TGT004", "TGT005", "SVC005"),
        ("ING011",),
        "the request arrives at another entryPoint than it should",
    ),
    Edge(("TGT019",), ("TGT017",), "nobody is at these addresses"),
    Edge(
        ("DNS006",),
        ("TGT00[2-9]", "TGT01[0-9]", "TGT02[04]"),
        "it is another load balancer that was looked at",
    ),
    Edge(("TGT001",), ("DNS00[23]",), "the load balancer has no address", "related"),
    Edge(("DNS007",), ("REQ00[4-9]", "REQ010"), "one resolver's addresses do not serve"),
    Edge(("SVC011", "SVC012"), ("LOG00[123]", "ING022"), "the provider delivers nothing"),
    Edge(_ROUTE_DROPPED, ("LOG002", "ING022"), "Traefik drops the route"),
    Edge(_NO_ENDPOINTS, ("LOG002", "LOG003", "ING022"), "Traefik drops a route without servers"),
    Edge(
        ("END011",),
        ("LOG002", "LOG003", "ING022", "REQ009", "TGT020", "SVC016"),
        "the application is scaled to zero on purpose",
    ),
    Edge(_TRAEFIK_DOWN, ("LOG001", "LOG002"), "Traefik does not run"),
    Edge(("LOG001",), ("LOG003",), "the replica is stale"),
    Edge(
        (
            *_ROUTE_DROPPED,
            *_NO_ENDPOINTS,
            "ING008",
            "ING009",
            "SVC005",
            "SVC011",
            "SVC012",
            "LOG00[12]",
            "TGT004",
            "TGT005",
            *_WRONG_PLACE,
        ),
        ("REQ009",),
        "Traefik has no router for the request",
        "status_404",
    ),
    Edge(
        (*_NO_ENDPOINTS, "ING00[45]", "ING020", "LOG003"),
        ("REQ009",),
        "no server is usable",
        "status_503",
    ),
    Edge(
        ("END003", "END008", "END010", "END013", "END014", "REQ003", "REQ015", "LOG003", "ING008"),
        ("REQ009",),
        "the pods refuse or do not answer Traefik",
        "status_5xx",
    ),
    Edge(
        ("ING014", "END009", "END008", "END013", "ING020"),
        ("REQ009",),
        "Traefik fails before the pods",
        "status_500",
    ),
    Edge(("TGT018", "TGT005"), ("REQ009", "REQ008"), "PROXY protocol or TLS at one end only"),
    Edge(("DNS00[1-6]", "DNS008"), ("REQ004", "REQ012"), "the name leads elsewhere"),
    Edge(
        (*_WRONG_PLACE, "TGT004", "TGT005", "TGT009"),
        ("REQ005", "REQ006", "REQ007", "REQ008", "REQ010", "REQ014", "REQ001", "REQ002", "REQ003"),
        "somebody else answers",
        "by_request",
    ),
    Edge(
        (*_LOAD_BALANCER, *_TRAEFIK_DOWN),
        ("REQ004", "REQ008", "REQ010", "REQ012"),
        "nothing accepts the connection",
    ),
    Edge(
        ("TGT017", "TGT020", "SVC016"),
        ("REQ004", "REQ008", "REQ010"),
        "nothing behind the load balancer answers",
    ),
    Edge(
        ("TGT008",),
        ("REQ005", "REQ006", "REQ013", "REQ012"),
        "the listener's certificate is what clients see",
    ),
    Edge(("TGT006", "TGT009"), ("REQ011",), "the load balancer's side makes the loop"),
    Edge(
        ("ING016", "ING019", "ING00[1236]", "SVC011", "SVC012", "TGT004", "ING020"),
        ("REQ005", "REQ006", "REQ007"),
        "Traefik has no certificate for the host",
    ),
    Edge(
        ("LOG00[12]",),
        ("REQ005", "REQ006", "REQ007", "REQ008"),
        "a replica without the route lacks its certificate too",
    ),
    # Not the other way round: a host without a certificate can well have a router.
    Edge(
        ("REQ009",),
        ("REQ007",),
        "what has no router for the host has no certificate for it either",
        "cause_404",
    ),
    # The log's word on a Secret is history; a stale replica presents the default certificate now.
    Edge(("LOG001",), ("ING016", "ING019"), "a replica without the route lacks its certificate"),
    Edge(
        ("ING011",),
        ("REQ005", "REQ006", "REQ007"),
        "the route that brings the certificate is not loaded for TLS",
        "brings_certificate",
    ),
    Edge(("ING018",), ("REQ008",), "strict SNI"),
    Edge(("ING020",), ("REQ008",), "Traefik ends handshakes for a router with broken TLS options"),
    Edge(
        (
            *_ROUTE_DROPPED,
            *_TRAEFIK_DOWN,
            *_NO_ENDPOINTS,
            *_LOAD_BALANCER,
            "TGT00[4568]",
            "REQ005",
            "REQ007",
            "REQ008",
            "ING01[589]",
            "END003",
            "END008",
        ),
        ("REQ012",),
        "https takes another way than http",
    ),
    Edge(
        ("ING008", "ING009", "ING014"),
        ("REQ001", "REQ002", "REQ014", "REQ016"),
        "another route answers",
        "by_request",
    ),
    Edge(
        ("TGT014",),
        ("REQ00[5-9]", "REQ01[04]"),
        "some targets lead to another entryPoint",
        "some_targets",
    ),
    Edge(
        ("END013",),
        ("REQ001", "REQ002", "REQ003", "REQ011", "REQ014"),
        "the endpoints that do not serve get their share of the requests",
    ),
    Edge(("ING009",), ("LOG001",), "equal priorities"),
    Edge(("END003",), ("END013", "REQ015", "END014"), "the port is wrong for all of them"),
    Edge(("END008", "END010", "REQ015", "END013", "END009"), ("END014",), "the pods' end is known"),
    Edge(("END010",), ("REQ003", "END013"), "packets are dropped"),
    Edge(("END013",), ("REQ003",), "the pods that do not answer"),
    Edge(("END008",), ("REQ014", "REQ016"), "a TLS server answers plain HTTP with an error"),
    Edge(("END001", "END012", "END007"), ("END004", "END005"), "no pod is selected"),
    Edge(("ING015",), ("REQ004", "REQ014"), "the redirect leads to a closed port"),
    # The bounded gaps explain symptoms, and everything precise explains the gaps.
    Edge(
        (*_LOAD_BALANCER, *_TRAEFIK_DOWN, "TGT00[4568]", "DNS00[5678]"),
        ("TGT020", "SVC016"),
        "the hop in between is known to be wrong",
    ),
    Edge(
        (*_NO_ENDPOINTS, *_ROUTE_DROPPED, "SVC01[12]"),
        ("TGT020", "END014"),
        "the request cannot succeed at any hop",
        "all_addresses",
    ),
    Edge(("END014",), ("REQ009",), "Traefik does not reach the pods"),
    Edge(("SVC016", "TGT020"), ("TGT017",), "the way to the targets is cut"),
)

CONDITIONS: dict[str, Condition] = {
    "always": Condition("", lambda _cause, _effect: True),
    "related": Condition(
        "the effect names the cause's object", lambda cause, effect: cause.object in effect.related
    ),
    "brings_certificate": Condition(
        # An Ingress's certificate is loaded whatever becomes of its routers.
        "the route is an IngressRoute, or names no Secret",
        lambda cause, effect: (
            cause.object.kind == "IngressRoute"
            or not any(ref.kind == "Secret" for ref in effect.related)
        ),
    ),
    "cause_404": Condition(
        "Traefik answers 404", lambda cause, _effect: cause.params.get("status") == 404
    ),
    "status_404": Condition(
        "Traefik answers 404", lambda _cause, effect: effect.params.get("status") == 404
    ),
    "status_503": Condition(
        "Traefik answers 503", lambda _cause, effect: effect.params.get("status") == 503
    ),
    "status_5xx": Condition(
        "Traefik answers 502, 503 or 504",
        lambda _cause, effect: effect.params.get("status") in (502, 503, 504),
    ),
    "status_500": Condition(
        "Traefik answers 500 or 502",
        lambda _cause, effect: effect.params.get("status") in (500, 502),
    ),
    "by_request": Condition(
        # What the pods say when they are asked directly is nobody else's answer.
        "a client's request showed the effect",
        lambda _cause, effect: effect.params.get("variant") != "direct",
    ),
    "all_addresses": Condition(
        "it is not that some addresses of the load balancer are silent",
        lambda _cause, effect: effect.params.get("variant") != "part",
    ),
    "some_targets": Condition(
        "some targets of the group, not all of them",
        lambda cause, _effect: cause.params.get("variant") == "entry",
    ),
}


def explains(cause: Finding, effect: Finding) -> Edge | None:
    """The first edge of the table by which `cause` explains `effect`."""
    for edge in EDGES:
        if (
            any(fnmatchcase(effect.code, pattern) for pattern in edge.effects)
            and any(fnmatchcase(cause.code, pattern) for pattern in edge.causes)
            and CONDITIONS[edge.when].holds(cause, effect)
        ):
            return edge
    return None


def _symptom(finding: Finding) -> bool:
    """Whether a finding says what is seen and not whose fault it is."""
    unowned = finding.code in OF_THE_HOST and finding.object.kind == "Host"
    return unowned or finding.code in SYMPTOMS


def attribute(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Number the findings, set `caused_by` and mark root causes; the order is kept.

    Only errors (and states that are wanted) explain, and only errors are root causes. A general
    finding (LAST_RESORT) is one only where no precise finding is.
    """
    counts: dict[str, int] = {}
    numbered: list[Finding] = []
    for finding in findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
        numbered.append(
            msgspec.structs.replace(finding, id=f"{finding.code}-{counts[finding.code]}")
        )
    errors = [finding for finding in numbered if finding.severity is Severity.ERROR]
    causing = [*errors, *(finding for finding in numbered if finding.code in INTENDED)]
    causes = {
        effect.id: tuple(
            cause.id for cause in causing if cause.id != effect.id and explains(cause, effect)
        )
        for effect in numbered
    }
    precise = [
        finding
        for finding in errors
        if not causes[finding.id] and finding.code not in LAST_RESORT and not _symptom(finding)
    ]
    result = []
    for finding in numbered:
        root = (
            finding.severity is Severity.ERROR
            and not causes[finding.id]
            and not _symptom(finding)
            and (finding.code not in LAST_RESORT or not precise)
        )
        result.append(
            msgspec.structs.replace(finding, caused_by=causes[finding.id], root_cause=root)
        )
    return tuple(result)


def last_resorts(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Mark general findings as root causes where no precise one is left among `findings`."""
    if any(finding.root_cause and finding.code not in LAST_RESORT for finding in findings):
        return tuple(findings)
    return tuple(
        msgspec.structs.replace(finding, root_cause=True)
        if finding.severity is Severity.ERROR
        and finding.code in LAST_RESORT
        and not finding.caused_by
        else finding
        for finding in findings
    )


ORDER: tuple[Rank, ...] = (
    Rank(
        "what stops every request comes before what stops a share of them",
        lambda finding: int(finding.share not in (None, 1.0)),
    ),
    Rank(
        "then the way's own order: what is nearer to the client hides what is behind it",
        lambda finding: finding.step.number,
    ),
)


def root_causes(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The root causes in the order in which to fix them, by the table `ORDER`."""
    return tuple(
        sorted(
            (finding for finding in findings if finding.root_cause),
            key=lambda finding: [rank.place(finding) for rank in ORDER],
        )
    )


def stable_owner(finding: Finding) -> ObjectRef:
    """The nearest object that outlives restarts: workload for a Pod, target group for a Target."""
    wanted = {
        "Pod": ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Service"),
        "Target": ("TargetGroup",),
    }.get(finding.object.kind)
    if wanted is None:
        return finding.object
    for related in finding.related:
        if related.kind in wanted:
            return related
    return ObjectRef(kind=finding.object.kind, name="", namespace=finding.object.namespace)


def fingerprint(host: str, roots: Sequence[Finding]) -> str:
    """16 hex digits from host, codes and stable owners alone: equal for the same trouble."""
    parts = sorted(f"{finding.code} {stable_owner(finding)}" for finding in roots)
    # A lone surrogate (broken UTF-8 in a name) counts as U+FFFD, which is what evidence.json holds.
    whole = "\n".join([host, *parts]).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return hashlib.sha256(whole.encode()).hexdigest()[:16]
