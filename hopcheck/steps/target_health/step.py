"""Step 2: load balancer, listeners, target groups, targets, and whether their ports join."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hopcheck.behaviour.aws.alb_rules import chosen_rule
from hopcheck.behaviour.aws.loadbalancer import front_of
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import (
    NOT_SELECTED,
    ErrorKind,
    Finding,
    Gap,
    Hop,
    Judgement,
    Obj,
    ObjectRef,
    Severity,
    Step,
    Why,
)
from hopcheck.model.aws import Identity
from hopcheck.scene.chosen_route import routing_of
from hopcheck.scene.hairpin import hairpinned, preserving_group
from hopcheck.scene.outcome import (
    Producer,
    certificate_problem,
    outcome_of,
    producer,
    requests_made,
)
from hopcheck.scene.probes import probes_at
from hopcheck.scene.scene import Scene, standard_port
from hopcheck.steps import middlewares
from hopcheck.steps.bounds import between_balancer_and_nodes
from hopcheck.steps.rule import rule
from hopcheck.steps.target_health import security_groups, targets
from hopcheck.steps.target_health.groups import ports_in

_TERMINATES = ("TLS", "HTTPS")


def judge(scene: Scene) -> Judgement:
    """Judge the load balancer that the name leads to; without one, say why there is none."""
    balancer = scene.balancer
    if balancer is None:
        return _without_balancer(scene)
    return _with_balancer(scene, balancer)


def _without_balancer(scene: Scene) -> Judgement:
    target = scene.target
    evidence = _cluster_address(scene)
    if evidence:
        return Judgement(
            Step.TARGET_HEALTH,
            not_applicable=text("na", "no_aws", evidence=evidence),
            facts={"load-balancer.na": True},
        )
    front = front_of(scene.chain)
    if front is not None:
        note = text("na", "cdn", host=target.host, cdn=front)
        return Judgement(
            Step.TARGET_HEALTH,
            not_applicable=note,
            facts={"load-balancer.label": front, "load-balancer.detail": note},
        )
    listed = scene.aws.load_balancers
    facts: dict[str, Any] = {}
    if scene.feeding:
        # The name does not lead there, but what stands behind it can be said all the same.
        return _with_balancer(scene, scene.feeding[0], led_here=False)
    if not listed.seen:
        gap = Gap("aws", listed.why or Why.NOT_SELECTED, listed.detail, params={"party": "aws"})
        return Judgement(Step.TARGET_HEALTH, gaps=(gap,), facts=facts)
    identity = scene.aws.identity.or_else(Identity())
    gap = Gap(
        "load_balancer_unmatched",
        Why.NOT_NEEDED,
        params={
            "host": target.host,
            "account": identity.account or "?",
            "region": identity.region or scene.snapshot.vantage.aws_region or "?",
        },
    )
    return Judgement(Step.TARGET_HEALTH, gaps=(gap,), facts=facts)


def _cluster_address(scene: Scene) -> str:
    """Words of proof that the addresses are the cluster's own, with no AWS in between."""
    for address in scene.addresses:
        node = scene.node_ids.get(address)
        if node is not None:
            return text("address", "node", address=address, node=node["metadata"]["name"])
        for service in scene.services:
            spec, status = service.get("spec") or {}, service.get("status") or {}
            entries = (status.get("loadBalancer") or {}).get("ingress") or ()
            external = spec.get("externalIPs") or ()
            if address in external or any(entry.get("ip") == address for entry in entries):
                meta = service["metadata"]
                full = f"{meta['namespace']}/{meta['name']}"
                return text("address", "service", address=address, service=full)
    return ""


def lb_ref(balancer: Obj) -> ObjectRef:
    """The report's name of a load balancer."""
    return ObjectRef("LoadBalancer", str(balancer.get("LoadBalancerName")))


def listener_ref(balancer: Obj, port: int) -> ObjectRef:
    """The report's name of a listener."""
    return ObjectRef("Listener", f"{balancer.get('LoadBalancerName')}:{port}")


def _with_balancer(scene: Scene, balancer: Obj, *, led_here: bool = True) -> Judgement:
    findings: list[Finding] = []
    gaps: list[Gap] = []
    facts: dict[str, Any] = {
        "load-balancer.label": str(balancer.get("LoadBalancerName")),
        "load-balancer.detail": f"{balancer.get('Type')}, {balancer.get('Scheme')}",
        "load-balancer.members": [
            {"name": address, "state": "ok"} for address in scene.addresses if led_here
        ],
        "load balancer": {
            "name": balancer.get("LoadBalancerName"),
            "dns_name": balancer.get("DNSName"),
            "type": balancer.get("Type"),
            "scheme": balancer.get("Scheme"),
            "state": (balancer.get("State") or {}).get("Code"),
            "zones": [z.get("ZoneName") for z in balancer.get("AvailabilityZones") or ()],
        },
        "matched": {"how": scene.match.how, "relation": scene.match.relation},
    }
    findings += _state(scene, balancer)
    arn = balancer["LoadBalancerArn"]
    listeners = scene.aws.listeners.get(arn, NOT_SELECTED)
    if not listeners.seen:
        gaps.append(
            Gap(
                "listeners",
                listeners.why or Why.NOT_SELECTED,
                listeners.detail,
                params={"lb": balancer.get("LoadBalancerName"), "party": "aws"},
            )
        )
        return Judgement(Step.TARGET_HEALTH, tuple(findings), tuple(gaps), facts=facts)
    facts["listeners"] = [
        {"port": one.get("Port"), "protocol": one.get("Protocol")} for one in listeners.get()
    ]
    listener = scene.listener(balancer, scene.target.port)
    if listener is None:
        findings += _no_listener(scene, balancer, listeners.get())
        return Judgement(Step.TARGET_HEALTH, tuple(findings), tuple(gaps), seen=True, facts=facts)
    findings += _redirected(scene, balancer, listeners.get())
    facts["load-balancer.detail"] += f", {listener.get('Protocol')} {listener.get('Port')}"
    findings += _protocol(scene, balancer, listener)
    findings += _certificate(scene, balancer, listener)
    findings += _alb_rule(scene, balancer, listener)
    if not any(finding.code == "TGT009" for finding in findings):
        verdict = targets.judge_groups(scene, balancer, listener)
        findings += verdict.findings
        gaps += verdict.gaps
        facts |= verdict.facts
    if led_here:
        findings += _hairpin(scene)
        findings += security_groups.judge(scene, balancer, listener)
        findings += between_balancer_and_nodes(scene, balancer)
    return Judgement(Step.TARGET_HEALTH, tuple(findings), tuple(gaps), seen=True, facts=facts)


def _state(scene: Scene, balancer: Obj) -> list[Finding]:
    state = balancer.get("State") or {}
    code = state.get("Code", "active")
    if code == "active":
        return []
    reason = f" ({state['Reason']})" if state.get("Reason") else ""
    impaired = code == "active_impaired"
    # One that serves all the same is no outage: a new one is ready before AWS says so.
    mild = impaired or bool(outcome_of(scene).succeeded)
    return [
        make(
            "TGT001",
            lb_ref(balancer),
            variant="impaired" if impaired else None,
            severity=Severity.WARNING if mild else None,
            lb=balancer.get("LoadBalancerName"),
            state=code,
            reason=reason,
        )
    ]


def _redirected(scene: Scene, balancer: Obj, listeners: Sequence[Obj]) -> list[Finding]:
    """Requests that are redirected to the other scheme's usual port, where no listener is."""
    for collected in scene.snapshot.http.requests:
        exchanges = collected.get().exchanges if collected.seen else ()
        last = exchanges[-1] if len(exchanges) > 1 else None
        if last is None or last.status is not None or last.port in (None, scene.target.port):
            continue
        scheme = urlsplit(last.url).scheme
        if last.port == standard_port(scheme) and scene.listener(balancer, last.port) is None:
            return _no_listener(scene, balancer, listeners, last.port, scheme)
    return []


def _no_listener(
    scene: Scene,
    balancer: Obj,
    listeners: Sequence[Obj],
    port: int | None = None,
    scheme: str | None = None,
) -> list[Finding]:
    port, scheme = port or scene.target.port, scheme or scene.target.scheme
    name = balancer.get("LoadBalancerName")
    arn = balancer["LoadBalancerArn"]
    datagrams = [one for one in listeners if one.get("Port") == port]
    if datagrams:
        return [
            make(
                "TGT003",
                listener_ref(balancer, port),
                lb=name,
                lb_arn=arn,
                port=port,
                protocol=datagrams[0].get("Protocol"),
                scheme=scheme,
                wanted=text("said", "tcp_or_tls"),
                related=(lb_ref(balancer),),
            )
        ]
    entry = scene.wanted_port(scheme)
    return [
        make(
            "TGT002",
            listener_ref(balancer, port),
            lb=name,
            lb_arn=arn,
            port=port,
            ports=listing(sorted(one.get("Port", 0) for one in listeners)),
            entry=(entry.name or entry.port) if entry else scheme,
            related=(lb_ref(balancer),),
        )
    ]


def _protocol(scene: Scene, balancer: Obj, listener: Obj) -> list[Finding]:
    """TLS ended where it must not be, or not where it must; only where requests do not work."""
    if outcome_of(scene).succeeded:
        return []
    found: list[Finding] = []
    for forward in scene.forwards(listener):
        group = scene.group(forward.target_group_arn)
        name = group.get("TargetGroupName", "?")
        ref = ObjectRef("TargetGroup", name)
        for number in sorted(ports_in(scene, forward.target_group_arn)):
            port = next((p for p in scene.ports if p.node_port == number), None)
            if port is None or port.entry_point is None:
                continue
            entry = port.entry_point
            common: dict[str, Any] = {
                "lb": balancer.get("LoadBalancerName"),
                "port": listener.get("Port"),
                "entry": entry.name,
            }
            wrong = _wrong_entry(scene, listener, port)
            if wrong is not None:
                found.append(
                    make(
                        "TGT004",
                        listener_ref(balancer, int(listener["Port"])),
                        tg=name,
                        tg_arn=forward.target_group_arn,
                        target_port=number,
                        lb_arn=balancer["LoadBalancerArn"],
                        scheme=scene.target.scheme,
                        wanted=wrong.name or wrong.port,
                        wanted_port=wrong.node_port,
                        related=(ref, lb_ref(balancer), *_service_refs(scene)),
                        **common,
                    )
                )
            elif listener.get("Protocol") in _TERMINATES and entry.redirect_to is not None:
                found.append(
                    make(
                        "TGT006",
                        listener_ref(balancer, int(listener["Port"])),
                        redirect=entry.redirect_to,
                        host=scene.target.host,
                        path=scene.target.path,
                        related=(ref, *_traefik_refs(scene)),
                        **common,
                    )
                )
            elif listener.get("Protocol") in _TERMINATES and _told_http(scene):
                found.append(
                    make(
                        "TGT006",
                        listener_ref(balancer, int(listener["Port"])),
                        variant="told",
                        redirect=scene.target.url,
                        host=scene.target.host,
                        path=scene.target.path,
                        related=(ref, *_traefik_refs(scene)),
                        **common,
                    )
                )
            elif (mismatch := _mismatch(scene, listener, group, port)) is not None:
                found.append(
                    make(
                        "TGT005",
                        listener_ref(balancer, int(listener["Port"])),
                        variant=mismatch or None,
                        tg=name,
                        lb_arn=balancer["LoadBalancerArn"],
                        tg_protocol=group.get("Protocol"),
                        target_port=number,
                        related=(ref,),
                        **common,
                    )
                )
    return found


def _told_http(scene: Scene) -> bool:
    """Whether the application redirects endlessly what it serves once it is told https.

    So its pods, asked directly, were told; no middleware of the route redirects.
    """
    made = requests_made(scene.snapshot)
    loops = [p for p in made if p.exchanges[-1].error is ErrorKind.TOO_MANY_REDIRECTS]
    pods = [p.exchanges[-1].status for p in probes_at(scene, Hop.POD)]
    served = pods and all(status is not None and status < 300 for status in pods)
    routing = routing_of(scene)
    route = routing.winner
    if not loops or len(loops) < len(made) or not served or route is None:
        return False
    if route.middlewares and not scene.kube.list("middlewares").seen:
        return False
    return middlewares.sound(scene, route)


def _traefik_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    instance = scene.instance
    return (ObjectRef(instance.kind, instance.name, instance.namespace),) if instance else ()


def _service_refs(scene: Scene) -> tuple[ObjectRef, ...]:
    """Traefik's Service: its nodePorts are the other end of the targets' ports."""
    service = scene.traefik_service
    if service is None:
        return ()
    meta = service["metadata"]
    return (ObjectRef("Service", meta["name"], meta.get("namespace")),)


def _mismatch(scene: Scene, listener: Obj, group: Obj, port: Any) -> str | None:
    """The variant of TGT005: "" for plain text to a TLS port, "plain" for the reverse.

    None where both ends agree. A TCP listener passes on what the client speaks.
    """
    if listener.get("Protocol") == "TCP":
        return None
    tls = _speaks_tls(scene, port)
    if group.get("Protocol") in ("TLS", "HTTPS") and not tls:
        return "plain"
    plain = group.get("Protocol") in ("TCP", "HTTP")
    return "" if plain and tls and listener.get("Protocol") in _TERMINATES else None


def _speaks_tls(scene: Scene, port: Any) -> bool:
    wanted = scene.wanted_port("https")
    return bool(port.entry_point is not None and port.entry_point.tls) or wanted == port


def _wrong_entry(scene: Scene, listener: Obj, port: Any) -> Any:
    """The Service port that the listener should reach, where it reaches the other scheme's."""
    if scene.target.port != standard_port(scene.target.scheme):
        return None
    plain_inside = listener.get("Protocol") in (*_TERMINATES, "HTTP")
    if plain_inside:
        return None
    wanted = scene.wanted_port(scene.target.scheme)
    other = scene.wanted_port("http" if scene.target.scheme == "https" else "https")
    if wanted is None or wanted.node_port is None or port == wanted:
        return None
    internal = port.entry_point.name in ("traefik", "metrics") if port.entry_point else False
    return wanted if port == other or internal else None


def _certificate(scene: Scene, balancer: Obj, listener: Obj) -> list[Finding]:
    if listener.get("Protocol") not in _TERMINATES:
        return []
    for collected in scene.snapshot.http.requests:
        if not collected.seen:
            continue
        for exchange in collected.get().exchanges:
            if exchange.tls is None or not exchange.tls.chain or exchange.port is None:
                continue
            problem = certificate_problem(exchange.tls, scene.target.host, scene.snapshot.taken_at)
            if problem is None or problem.value in ("untrusted", "default"):
                continue
            leaf = exchange.tls.chain[0]
            words = text(
                "certificate",
                problem.value,
                not_after=leaf.not_after,
                not_before=leaf.not_before,
                names=listing(leaf.names),
            )
            arns = [c.get("CertificateArn", "") for c in listener.get("Certificates") or ()]
            return [
                make(
                    "TGT008",
                    listener_ref(balancer, int(listener["Port"])),
                    lb=balancer.get("LoadBalancerName"),
                    port=listener["Port"],
                    host=scene.target.host,
                    problem=words,
                    actual=leaf.subject,
                    listener_arn=listener.get("ListenerArn", ""),
                    related=tuple(ObjectRef("Certificate", arn) for arn in arns),
                )
            ]
    return []


def _hairpin(scene: Scene) -> list[Finding]:
    """Time-outs from inside that may be the client's own node: information, no accusation."""
    silent, arn = hairpinned(scene.snapshot), preserving_group(scene)
    if not silent or arn is None:
        return []
    name = str(scene.group(arn).get("TargetGroupName"))
    return [
        make(
            "TGT023",
            ObjectRef("TargetGroup", name),
            tg=name,
            tg_arn=arn,
            fails=listing(sorted(silent)),
        )
    ]


def _alb_rule(scene: Scene, balancer: Obj, listener: Obj) -> list[Finding]:
    rules = scene.aws.rules.get(listener.get("ListenerArn", ""), NOT_SELECTED)
    if not rules.seen or not rules.get():
        return []
    rule = chosen_rule(rules.get(), scene.target.host, scene.target.path)
    actions = rule.actions if rule is not None else ()
    last: Obj = actions[-1] if actions else {}
    kind = last.get("Type", "forward")
    probes = [c.get() for c in scene.snapshot.http.requests if c.seen]
    own = [p for p in probes if p.exchanges and producer(p.exchanges[-1]) is Producer.ALB]
    loops = [p for p in own if p.exchanges[-1].error is ErrorKind.TOO_MANY_REDIRECTS]
    astray = [
        p
        for p in probes
        if len(p.exchanges) > 1
        and producer(p.exchanges[0]) is Producer.ALB
        and p.exchanges[-1].status is None
    ]
    if kind == "fixed-response" and (own or not probes):
        config = last.get("FixedResponseConfig") or {}
        action = text("action", "fixed", status=config.get("StatusCode", "")).strip()
    elif kind == "redirect" and loops:
        action = text("action", "redirect", location=loops[0].exchanges[-1].header("location"))
    elif kind == "redirect" and astray:
        action = text("action", "redirect_dead", location=astray[0].exchanges[-1].url)
    else:
        return []
    return [
        make(
            "TGT009",
            listener_ref(balancer, int(listener["Port"])),
            lb=balancer.get("LoadBalancerName"),
            port=listener["Port"],
            host=scene.target.host,
            path=scene.target.path,
            rule=rule.priority if rule is not None else "default",
            action=action,
            listener_arn=listener.get("ListenerArn", ""),
            related=(lb_ref(balancer),),
        )
    ]


def _judged(scene: Scene) -> Judgement:
    return scene.once(Step.TARGET_HEALTH, lambda: judge(scene))


def sight(scene: Scene) -> Judgement:
    """What was seen of the step."""
    return msgspec.structs.replace(_judged(scene), findings=())


@rule(reads=("dns", "aws", "kube"), uses=("traefik", "http"))
def the_load_balancer_leads_to_healthy_targets(scene: Scene) -> tuple[Finding, ...]:
    """The load balancer listens on the port and its targets are healthy on Traefik's nodePort."""
    return _judged(scene).findings


RULES = (the_load_balancer_leads_to_healthy_targets,)
