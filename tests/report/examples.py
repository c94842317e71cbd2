"""Example reports: healthy, broken with consequences, degraded with a share, unknown, hostile."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from hopcheck.model import (
    Change,
    Coverage,
    Evidence,
    Finding,
    Hop,
    ObjectRef,
    PathHop,
    PathMember,
    Report,
    Severity,
    Status,
    Step,
    StepResult,
    Target,
    Vantage,
    Verdict,
)

HOST = "myapp.example.com"
NLB = "k8s-ingress-4f2a-1234567890.elb.eu-central-1.amazonaws.com"
TITLES = {
    Step.DNS: "The name leads to the load balancer",
    Step.TARGET_HEALTH: "The load balancer's targets are healthy",
    Step.TRAEFIK_SERVICE: "Traefik's Service leads to ready Traefik pods",
    Step.INGRESS: "A rule matches the host, and its references resolve",
    Step.ENDPOINTS: "The application's Service has ready endpoints",
    Step.TRAEFIK_LOGS: "Every Traefik replica has loaded the route",
    Step.REQUEST: "The request succeeds as a client sends it",
}
FACTS: dict[Step, dict[str, Any]] = {
    Step.DNS: {
        "addresses": ["203.0.113.10", "203.0.113.11", "203.0.113.12"],
        "chain": [{"owner": HOST, "target": NLB, "ttl": 60}],
        "resolvers": {"10.0.0.2:53": "NOERROR", "1.1.1.1:53": "NOERROR"},
        "getaddrinfo differs": False,
    },
    Step.TARGET_HEALTH: {
        "load_balancer": "k8s-ingress-4f2a",
        "targets": [
            {"target": "i-0a1:30001", "state": "healthy", "reason": None},
            {"target": "i-0b2:30001", "state": "healthy", "reason": None},
        ],
    },
    Step.REQUEST: {
        "status": 200,
        "timings": [
            {
                "address": f"203.0.113.{10 + n}",
                "dns": 0.012,
                "connect": 0.004 + n / 1000,
                "tls": 0.031,
                "first_byte": 0.052,
                "total": 0.101 + n / 1000,
            }
            for n in range(3)
        ],
    },
}


def finding(code: str, step: Step, obj: ObjectRef, **more: Any) -> Finding:
    """A finding with plausible words."""
    values: dict[str, Any] = {
        "id": f"{code}-1",
        "code": code,
        "severity": Severity.ERROR,
        "step": step,
        "title": "Something is wrong",
        "message": "Something is wrong here.",
        "expected": "all is well",
        "actual": "it is not",
        "object": obj,
        "params": {"secret": "never in report.json"},
    }
    return Finding(**{**values, **more})


SELECTOR = finding(
    "END001",
    Step.ENDPOINTS,
    ObjectRef("Service", "my-app-service", "default", "spec.selector"),
    title="The Service selects no pod",
    message="Service default/my-app-service selects app=my-ap; no pod in default has these "
    "labels. 3 ready pods of Deployment my-app differ from it in one label only.",
    expected="at least one ready pod with the labels app=my-ap",
    actual="0 of 14 pods in the namespace match; 3 pods are labelled app=my-app",
    related=(ObjectRef("Deployment", "my-app", "default"),),
    fix="Set spec.selector of Service default/my-app-service to app=my-app, or label the pods "
    "app=my-ap.",
    commands=(
        "kubectl -n default get service my-app-service -o jsonpath='{.spec.selector}'",
        "kubectl -n default get pods --show-labels",
        "kubectl -n default get endpointslices -l kubernetes.io/service-name=my-app-service",
    ),
    evidence=(
        Evidence("GET /api/v1/namespaces/default/services/my-app-service", "selector: app=my-ap"),
        Evidence("GET /api/v1/namespaces/default/pods", "3 pods: app=my-app"),
    ),
    docs_url="https://hopcheck.example/findings/END001",
    root_cause=True,
    owner="team-checkout",
)
NOT_LOADED = finding(
    "LOG001",
    Step.TRAEFIK_LOGS,
    ObjectRef("Pod", "traefik-7c9d-abcde", "api-gateway-system"),
    title="Traefik has not loaded the route",
    caused_by=("END001-1",),
    evidence=(
        Evidence(
            "GET …/pods/traefik-7c9d-abcde/log",
            '{"level":"error","msg":"Skipping service: no endpoints found"}\n' * 3,
        ),
    ),
)
ANSWER_404 = finding(
    "REQ002",
    Step.REQUEST,
    ObjectRef("Host", HOST),
    title="Traefik answers 404: no router matched",
    actual="404 page not found, 19 bytes, from all 3 addresses",
    expected="a status among 200-399,401,403,405,429",
    commands=(
        f"curl -v --resolve {HOST}:443:203.0.113.10 https://{HOST}/ # one of three addresses",
    ),
    caused_by=("END001-1",),
    share=1.0,
)
CERT_SOON = finding(
    "REQ009",
    Step.REQUEST,
    ObjectRef("Certificate", HOST),
    severity=Severity.WARNING,
    title="The certificate expires in 6 days",
    fix="Renew it.",
)


def path(states: dict[Hop, str] | None = None, nodes: int = 2) -> tuple[PathHop, ...]:
    """Nine hops; `nodes` members on the node hop."""
    state = dict.fromkeys(Hop, "ok") | (states or {})
    members = {
        Hop.DNS: tuple(PathMember(f"203.0.113.{10 + n}", "ok") for n in range(3)),
        Hop.NODE: tuple(
            PathMember(f"ip-10-0-1-{n}:30001", "broken" if n % 9 == 8 else "ok", "10.0.1.9 refused")
            for n in range(nodes)
        ),
        Hop.TRAEFIK_POD: (
            PathMember("traefik-7c9d-abcde", "ok", "3.7.15"),
            PathMember("traefik-7c9d-fghij", "ok", "3.7.15"),
        ),
    }
    labels = {
        Hop.DNS: HOST,
        Hop.LOAD_BALANCER: "k8s-ingress-4f2a:443",
        Hop.TARGET_GROUP: "k8s-websecure",
        Hop.NODE: f"{nodes} nodes, nodePort 30001",
        Hop.TRAEFIK_SERVICE: "api-gateway-system/traefik",
        Hop.TRAEFIK_POD: "2 pods, entryPoint websecure :8443",
        Hop.ROUTE: "Ingress default/my-app-ingress",
        Hop.SERVICE: "default/my-app-service:80",
        Hop.POD: "3 pods of Deployment my-app",
    }
    return tuple(
        PathHop(hop, labels[hop], state[hop], "", members.get(hop, ()))  # type: ignore[arg-type]
        for hop in Hop
    )


def report(
    verdict: Verdict,
    headline: str,
    findings: tuple[Finding, ...] = (),
    statuses: dict[Step, tuple[Status, str | None]] | None = None,
    **more: Any,
) -> Report:
    """A whole report; a step with no entry in `statuses` passed."""
    steps = tuple(
        StepResult(
            step,
            step.number,
            TITLES[step],
            *(statuses or {}).get(step, (Status.PASS, None)),
            duration_s=0.1 * step.number,
            facts=FACTS.get(step, {}),
            findings=tuple(one for one in findings if one.step is step),
        )
        for step in Step
    )
    values: dict[str, Any] = {
        "target": Target(HOST),
        "started_at": "2026-02-25T03:00:00Z",
        "duration_s": 1.234,
        "complete": True,
        "vantage": Vantage(
            kube_context="prod-eu",
            aws_account="123456789012",
            aws_region="eu-central-1",
            resolvers=("10.0.0.2:53",),
        ),
        "verdict": verdict,
        "headline": headline,
        "coverage": Coverage(7),
        "fingerprint": f"{HOST} END001",
        "root_causes": tuple(one for one in findings if one.root_cause),
        "path": path(),
        "steps": steps,
    }
    return Report(**{**values, **more})


HEALTHY = report(
    Verdict.HEALTHY,
    "healthy; 7 of 7 steps seen",
    (CERT_SOON,),
    {Step.REQUEST: (Status.WARN, None)},
    fingerprint=HOST,
)
BROKEN = report(
    Verdict.BROKEN,
    "Every request answers 404 because Service default/my-app-service selects no pod",
    (SELECTOR, NOT_LOADED, ANSWER_404),
    {
        Step.TARGET_HEALTH: (Status.PASS, "target group attributes: AccessDenied"),
        Step.ENDPOINTS: (Status.FAIL, None),
        Step.TRAEFIK_LOGS: (Status.FAIL, None),
        Step.REQUEST: (Status.FAIL, None),
    },
    path=path(
        {Hop.ROUTE: "consequence", Hop.SERVICE: "broken", Hop.POD: "unknown"},
    ),
    since="2026-02-25T02:18:00Z",
    last_healthy="2026-02-25T02:13:00Z",
    compared_with="2026-02-25T02:13:00Z",
    changes=(
        Change(
            ObjectRef("Service", "my-app-service", "default"),
            "spec.selector.app",
            "my-app",
            "my-ap",
            "2026-02-25T02:14:22Z",
            "kubectl-edit",
        ),
        Change(
            ObjectRef("Middleware", "limits", "default"),
            "exists",
            False,
            True,
            "2026-02-24T23:50:01Z",
            "helm",
        ),
        Change(
            ObjectRef("DNSRecord", HOST), "A", ["203.0.113.9"], ["203.0.113.10", "203.0.113.11"]
        ),
    ),
)
DEGRADED = report(
    Verdict.DEGRADED,
    "4 of 40 nodes refuse on nodePort 30001, about 10 % of requests fail",
    (
        finding(
            "TGT007",
            Step.TARGET_HEALTH,
            ObjectRef("SecurityGroup", "sg-0123456789abcdef0", None, "IpPermissions"),
            title="The nodes' security group does not admit the load balancer",
            fix="Allow TCP 30001 from sg-0fedcba9876543210 in sg-0123456789abcdef0.",
            commands=("aws ec2 describe-security-groups --group-ids sg-0123456789abcdef0",),
            share=0.1,
            root_cause=True,
        ),
    ),
    {Step.TARGET_HEALTH: (Status.FAIL, None)},
    path=path({Hop.NODE: "partial"}, nodes=40),
)
UNKNOWN = report(
    Verdict.UNKNOWN,
    "It could not be told: the Kubernetes API and AWS were not seen",
    (),
    {
        step: (Status.UNKNOWN, "no kubeconfig: set KUBECONFIG or --kubeconfig")
        for step in Step
        if step is not Step.DNS
    }
    | {Step.TARGET_HEALTH: (Status.NOT_APPLICABLE, "the addresses belong to no load balancer")},
    coverage=Coverage(2),
    vantage=Vantage(),
    complete=False,
    path=(),
)
EXAMPLES = {"healthy": HEALTHY, "broken": BROKEN, "degraded": DEGRADED, "unknown": UNKNOWN}

HOSTILE = (
    "</script><script>document.title='owned'</script><img src=http://127.0.0.1:9/x onerror="
    "\"document.title='owned'\">\x1b[31m\x1b]0;owned\x07\x1b]8;;http://127.0.0.1:9/\x1b\\link"
    "\x00\x08\x9b2J\u202etxt.exe\u2066\ud800\ufffe]]>&amp;{{7*7}}{%raw%}[bold]`@x`|*_\r\nnext"
)


def hostile(text: str = HOSTILE) -> Report:
    """BROKEN with `text` in every free field of every part, keys of facts included."""

    def infect(value: Any, key: str = "") -> Any:
        if isinstance(value, msgspec.Struct):
            fields = {name: infect(getattr(value, name), name) for name in value.__struct_fields__}
            if isinstance(value, PathHop):
                fields["state"] = value.state  # an enumeration, no text
            return type(value)(**fields)
        if isinstance(value, tuple):
            return tuple(infect(item, key) for item in value)
        if isinstance(value, str) and not isinstance(value, StrEnum) and key not in FIXED:
            return f"{value} {text}"
        return value

    sick = infect(BROKEN)
    facts = {text: text, "list": [text, {text: [text]}], "map": {"a": {text: text}}}
    steps = tuple(msgspec.structs.replace(one, reason=text, facts=facts) for one in sick.steps)
    whole: Report = msgspec.structs.replace(sick, steps=steps)
    return whole


FIXED = {
    "scheme",
    "code",
    "id",
    "caused_by",
    "started_at",
    "since",
    "last_healthy",
    "compared_with",
    "redaction",
    "at",
}
