"""Which finding explains which: the only place where hops are held against each other.

The knowledge stands in the tables `EDGES`, `CONDITIONS` and `ORDER`; the code only applies it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

import msgspec
from msgspec import Struct

from hopcheck.catalogue.catalogue import text
from hopcheck.model import Finding, ObjectRef, Severity


class Condition(Struct, frozen=True):
    """What must hold of cause and effect; its words are in the texts."""

    key: str
    holds: Callable[[Finding, Finding], bool]

    @property
    def words(self) -> str:
        """How the page of causes says it."""
        return text("when", self.key)


class Rank(Struct, frozen=True):
    """One rule of the order of root causes: a smaller `place` comes first."""

    why: str  # a key of the texts
    place: Callable[[Finding], int]

    @property
    def because(self) -> str:
        """The rule in words."""
        return text("because", self.why)


class Edge(Struct, frozen=True):
    """`causes` explain `effects` (code patterns) where `when` (a name in CONDITIONS) holds."""

    causes: tuple[str, ...]
    effects: tuple[str, ...]
    why: str  # a key of the texts
    when: str = "always"

    @property
    def because(self) -> str:
        """Why, in words."""
        return text("because", self.why)


# Symptoms: never what to fix. With no cause in sight nothing is accused (contract: root_causes).
SYMPTOMS = frozenset({"REQ004", "REQ009", "REQ012"})
# Observations whose owner could not be told (an answer's, or why a route is not loaded): then their
# object is the Host, and they accuse nobody.
OF_THE_HOST = frozenset({"LOG002", "REQ001", "REQ003", "REQ014"})
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
    Edge(("SVC008", "SVC010"), ("SVC007",), "traefik_not_ready"),
    Edge(
        ("SVC008",),
        ("SVC005", "SVC014", "ING010", "ING011"),
        "argument_refused",
        "argument_names",
    ),
    Edge(("SVC001", "SVC003", "SVC014"), ("TGT014",), "no_node_port"),
    Edge(_TRAEFIK_DOWN, ("TGT017",), "no_pod_behind"),
    Edge(
        ("TGT007", "TGT01[0-6]", "TGT018", "TGT001"),
        ("TGT017",),
        "health_check",
    ),
    Edge(("TGT014", "TGT010"), ("TGT019",), "foreign_targets"),
    Edge(
        ("TGT004", "TGT005", "SVC005"),
        ("ING011",),
        "other_entry_point",
    ),
    Edge(("TGT019",), ("TGT017",), "nobody"),
    Edge(
        ("DNS006",),
        ("TGT00[2-9]", "TGT01[0-9]", "TGT02[04]"),
        "other_balancer",
    ),
    Edge(("TGT001",), ("DNS00[23]",), "no_address", "related"),
    Edge(("DNS007",), ("REQ00[4-9]", "REQ010"), "one_resolver"),
    Edge(("SVC011", "SVC012"), ("LOG00[123]", "ING022"), "provider"),
    Edge(_ROUTE_DROPPED, ("LOG002", "ING022"), "route_dropped"),
    Edge(_NO_ENDPOINTS, ("LOG002", "LOG003", "ING022"), "no_servers"),
    Edge(
        ("END011",),
        ("LOG002", "LOG003", "ING022", "REQ009", "TGT020", "SVC016"),
        "scaled",
    ),
    Edge(_TRAEFIK_DOWN, ("LOG001", "LOG002"), "traefik_down"),
    Edge(("LOG001",), ("LOG003",), "stale"),
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
        "no_router",
        "status_404",
    ),
    Edge(
        (*_NO_ENDPOINTS, "ING00[45]", "ING020", "LOG003"),
        ("REQ009",),
        "no_server",
        "status_5xx",
    ),
    Edge(
        ("END003", "END008", "END010", "END013", "END014", "REQ003", "REQ015", "LOG003", "ING008"),
        ("REQ009",),
        "pods_refuse",
        "status_5xx",
    ),
    Edge(
        ("ING014", "END009", "END008", "END013", "ING020"),
        ("REQ009",),
        "before_pods",
        "status_500",
    ),
    Edge(("TGT018", "TGT005"), ("REQ009", "REQ008", "END008"), "one_end"),
    Edge(("DNS00[1-6]", "DNS008"), ("REQ004", "REQ012"), "leads_elsewhere"),
    Edge(
        (*_WRONG_PLACE, "TGT004", "TGT005", "TGT009"),
        ("REQ005", "REQ006", "REQ007", "REQ008", "REQ010", "REQ014", "REQ001", "REQ002", "REQ003"),
        "somebody_else",
        "by_request",
    ),
    Edge(
        (*_LOAD_BALANCER, *_TRAEFIK_DOWN),
        ("REQ004", "REQ008", "REQ010", "REQ012"),
        "nothing_accepts",
    ),
    Edge(
        ("TGT017", "TGT020", "SVC016"),
        ("REQ004", "REQ008", "REQ010"),
        "nothing_behind",
    ),
    Edge(
        ("TGT008",),
        ("REQ005", "REQ006", "REQ013", "REQ012"),
        "listener_certificate",
    ),
    Edge(("TGT006", "TGT009"), ("REQ011",), "loop"),
    # Traefik 3 breaks such a loop by an answer of its own, 418.
    Edge(("TGT006",), ("REQ014",), "loop", "by_request"),
    Edge(
        ("ING016", "ING019", "ING00[1236]", "SVC011", "SVC012", "TGT004", "ING020"),
        ("REQ005", "REQ006", "REQ007"),
        "no_certificate",
    ),
    Edge(
        ("LOG00[12]",),
        ("REQ005", "REQ006", "REQ007", "REQ008"),
        "replica_certificate_too",
    ),
    # Not the other way round: a host without a certificate can well have a router.
    Edge(
        ("REQ009",),
        ("REQ007",),
        "no_router_no_certificate",
        "cause_404",
    ),
    # The log's word on a Secret is history; a stale replica presents the default certificate now.
    Edge(("LOG001",), ("ING016", "ING019"), "replica_certificate"),
    Edge(
        ("ING011",),
        ("REQ005", "REQ006", "REQ007"),
        "route_not_tls",
        "brings_certificate",
    ),
    Edge(("ING018",), ("REQ008", "LOG002"), "strict_sni"),
    Edge(("ING020",), ("REQ008",), "tls_options"),
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
        "other_scheme",
    ),
    Edge(
        ("ING008", "ING009", *_ROUTE_DROPPED),
        ("REQ001", "REQ002", "REQ014", "REQ016"),
        "other_route",
        "by_request",
    ),
    Edge(
        ("TGT014",),
        ("REQ00[5-9]", "REQ01[04]"),
        "some_elsewhere",
        "some_targets",
    ),
    Edge(
        ("END013",),
        ("REQ001", "REQ002", "REQ003", "REQ011", "REQ014"),
        "their_share",
    ),
    Edge(("ING014",), ("REQ011", "END014"), "middleware_between"),
    Edge(("TGT002", "ING015"), ("REQ011",), "closed_port"),
    Edge(
        ("ING008",),
        (*_NO_ENDPOINTS, "END003", "END008", "END013", "REQ015", "REQ003"),
        "not_meant",
        "its_backend",
    ),
    Edge(("ING009",), ("REQ009",), "turns", "status_5xx"),
    Edge(("ING009",), ("LOG001",), "equal"),
    Edge(("END003",), ("END013", "REQ015", "END014"), "port_of_all"),
    Edge(("END008", "END010", "REQ015", "END013", "END009"), ("END014",), "pods_end"),
    Edge(("END010",), ("REQ003", "END013"), "dropped"),
    Edge(("END013",), ("REQ003",), "silent_pods"),
    Edge(("END008",), ("REQ014", "REQ016"), "tls_server"),
    Edge(("END001", "END012", "END007"), ("END004", "END005"), "no_pod"),
    Edge(("ING015",), ("REQ004", "REQ014"), "closed_port"),
    # The bounded gaps explain symptoms, and everything precise explains the gaps.
    Edge(
        (*_LOAD_BALANCER, *_TRAEFIK_DOWN, "TGT00[4568]", "DNS00[5678]"),
        ("TGT020", "SVC016"),
        "hop_known",
    ),
    Edge(
        (*_NO_ENDPOINTS, *_ROUTE_DROPPED, "SVC01[12]"),
        ("TGT020", "END014"),
        "no_hop",
        "all_addresses",
    ),
    Edge(("END014",), ("REQ009",), "pods_unreached"),
    Edge(("SVC016", "TGT020"), ("TGT017",), "targets_cut"),
)

CONDITIONS: dict[str, Condition] = {
    one.key: one
    for one in (
        Condition("always", lambda _cause, _effect: True),
        Condition("related", lambda cause, effect: cause.object in effect.related),
        Condition(
            "brings_certificate",
            # An Ingress's certificate is loaded whatever becomes of its routers.
            lambda cause, effect: (
                cause.object.kind == "IngressRoute"
                or not any(ref.kind == "Secret" for ref in effect.related)
            ),
        ),
        Condition("cause_404", lambda cause, _effect: cause.params.get("status") == 404),
        Condition("status_404", lambda _cause, effect: effect.params.get("status") == 404),
        Condition(
            "status_5xx",
            lambda _cause, effect: effect.params.get("status") in (502, 503, 504),
        ),
        Condition(
            "status_500",
            lambda _cause, effect: effect.params.get("status") in (500, 502),
        ),
        Condition(
            "by_request",
            # What the pods say when they are asked directly is nobody else's answer.
            lambda _cause, effect: effect.params.get("variant") != "direct",
        ),
        Condition(
            "all_addresses",
            lambda _cause, effect: effect.params.get("variant") != "part",
        ),
        Condition(
            "argument_names",
            lambda cause, effect: any(
                str(effect.params.get(key)).lower()
                in re.split(r"[.=-]+", str(cause.params.get("flag")).lower())
                for key in ("wanted", "entry", "asked")
            ),
        ),
        Condition(
            "its_backend",
            lambda cause, effect: bool(
                {(r.namespace, r.name) for r in cause.related if r.kind == "Service"}
                & {
                    (r.namespace, r.name)
                    for r in (effect.object, *effect.related)
                    if r.kind in ("Service", "Application")
                }
            ),
        ),
        Condition(
            "some_targets",
            lambda cause, _effect: cause.params.get("variant") == "entry",
        ),
    )
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
        "whole_first",
        lambda finding: int(finding.share not in (None, 1.0)),
    ),
    Rank(
        "way",
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
