"""Faults of load balancers and listeners."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any

from hopcheck.lab.cloud import (
    Certificate,
    Listener,
    LoadBalancer,
    Rule,
    Target,
    TargetGroup,
    Zone,
    admit,
    fixed_response,
    forward,
    redirect,
)
from hopcheck.lab.cloud.model import HealthCheck
from hopcheck.lab.faults.gallery import DEGRADED, HEALTHY, TARGET_HEALTH, Expect, fault
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.settings import BALANCER_GROUP
from hopcheck.lab.topology import APP, HOST, INGRESS, LOAD_BALANCER, TARGETS_HTTP, TARGETS_HTTPS

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]

_BALANCER = Expect("TGT001", "LoadBalancer", LOAD_BALANCER)
_LONG_AGO = dt.datetime(2024, 2, 29, tzinfo=dt.UTC)
_ACM = "arn:aws:acm:ap-northeast-2:123456789012:certificate/"


def _listener(code: str) -> Expect:
    return Expect(code, "Listener", f"{LOAD_BALANCER}:443")


def https_listener(lab: Lab) -> Listener:
    """The listener on 443. Raises LookupError where it is gone."""
    found = lab.cloud.load_balancers[LOAD_BALANCER].listener(443)
    if found is None:
        raise LookupError("no listener on 443: inject into a healthy lab")
    return found


def certificate(lab: Lab, host: str = HOST, *, not_after: dt.datetime | None = None) -> Certificate:
    """A certificate for `host` of the authority that clients trust, as ACM would hold it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lab.certificates.public.issue_cert(host, not_after=not_after).configure_cert(context)
    return Certificate(f"{_ACM}6c1e5b7e-3a52-4d0e-9b1f-2f6f6a3f7c10", context)


def end_tls(lab: Lab, group: str, *, host: str = HOST) -> None:
    """Let the listener on 443 end TLS and send to the target group."""
    listener = https_listener(lab)
    listener.protocol = "TLS"
    listener.certificates = [certificate(lab, host)]
    listener.action = forward(group)


@fault("nlb-state", TARGET_HEALTH, _BALANCER)
async def failed(lab: Lab) -> None:
    """The load balancer could not be set up: state failed, and no address in DNS."""
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.state = "failed"
    balancer.state_reason = "The subnet has no free addresses"


@fault("nlb-state-impaired", TARGET_HEALTH, warns=(_BALANCER,), exit_code=HEALTHY)
async def impaired(lab: Lab) -> None:
    """The load balancer serves, and lacks what it needs to scale: active_impaired."""
    lab.cloud.load_balancers[LOAD_BALANCER].state = "active_impaired"


@fault("nlb-no-443", TARGET_HEALTH, _listener("TGT002"), exit_code=DEGRADED)
async def no_443(lab: Lab) -> None:
    """The NLB's listener on 443 is deleted, that on 80 is there."""
    balancer = lab.cloud.load_balancers[LOAD_BALANCER]
    balancer.listeners = [one for one in balancer.listeners if one.port != 443]


@fault("nlb-listener-protocol", TARGET_HEALTH, _listener("TGT003"), exit_code=DEGRADED)
async def listener_protocol(lab: Lab) -> None:
    """The only listener on 443 is one for UDP."""
    https_listener(lab).protocol = "UDP"


@fault("nlb-swapped", TARGET_HEALTH, _listener("TGT004"))
async def swapped(lab: Lab) -> None:
    """The listeners on 443 and 80 forward to each other's target group."""
    for listener in lab.cloud.load_balancers[LOAD_BALANCER].listeners:
        group = TARGETS_HTTP if listener.port == 443 else TARGETS_HTTPS
        listener.action = forward(group)


@fault("nlb-tls-to-websecure", TARGET_HEALTH, _listener("TGT005"), exit_code=DEGRADED)
async def tls_to_websecure(lab: Lab) -> None:
    """The NLB ends TLS and sends plain text to the entryPoint that expects TLS."""
    end_tls(lab, TARGETS_HTTPS)


@fault("nlb-tls-redirect-loop", TARGET_HEALTH, _listener("TGT006"))
async def redirect_loop(lab: Lab) -> None:
    """The NLB ends TLS and sends to entryPoint web, which redirects everything to https."""
    end_tls(lab, TARGETS_HTTP)
    await redirect_web(lab)


async def redirect_web(lab: Lab) -> None:
    """Let entryPoint web redirect to https, on the port that clients use."""
    words = "--entryPoints.web.http.redirections.entryPoint"
    await lab.set_traefik_args(lambda args: [*args, f"{words}.to=:443", f"{words}.scheme=https"])


@fault("nlb-tls-app-loop", TARGET_HEALTH, _listener("TGT006"))
async def application_loop(lab: Lab) -> None:
    """The NLB ends TLS; the application, told http, redirects to https again and again."""
    end_tls(lab, TARGETS_HTTP)
    await lab.set_app(None, Behaviour(https_only=True))


@fault("nlb-redirect-no-443", TARGET_HEALTH, _listener("TGT002"), asked=(f"http://{HOST}/",))
async def redirect_without_443(lab: Lab) -> None:
    """EntryPoint web redirects to https, and the NLB has no listener on 443."""
    await no_443(lab)
    await redirect_web(lab)


@fault("nlb-sg", TARGET_HEALTH, Expect("TGT007", "SecurityGroup", BALANCER_GROUP))
async def balancer_group(lab: Lab) -> None:
    """The load balancer's security group admits an office's network only."""
    lab.cloud.enforce_security_groups = True
    group = next(one for one in lab.cloud.security_groups if one["GroupId"] == BALANCER_GROUP)
    group["IpPermissions"] = [admit(port, cidrs=["203.0.113.0/24"]) for port in (443, 80)]


@fault(
    "nlb-sg-port",
    TARGET_HEALTH,
    Expect("TGT007", "SecurityGroup", BALANCER_GROUP),
    exit_code=DEGRADED,
)
async def balancer_group_port(lab: Lab) -> None:
    """The load balancer's security group has a rule for port 80 and none for 443."""
    lab.cloud.enforce_security_groups = True
    group = next(one for one in lab.cloud.security_groups if one["GroupId"] == BALANCER_GROUP)
    group["IpPermissions"] = [admit(80, cidrs=["0.0.0.0/0"])]


@fault("nlb-acm-cert", TARGET_HEALTH, _listener("TGT008"))
async def acm_name(lab: Lab) -> None:
    """The NLB ends TLS with a certificate for another host."""
    end_tls(lab, TARGETS_HTTP, host="www.example.com")


@fault("nlb-acm-expired", TARGET_HEALTH, _listener("TGT008"))
async def acm_expired(lab: Lab) -> None:
    """The NLB ends TLS with a certificate that has expired."""
    end_tls(lab, TARGETS_HTTP)
    https_listener(lab).certificates = [certificate(lab, not_after=_LONG_AGO)]


@fault(
    "lb-address-dark",
    TARGET_HEALTH,
    Expect("TGT020", "LoadBalancer", LOAD_BALANCER),
    exit_code=DEGRADED,
)
async def address_dark(lab: Lab) -> None:
    """Packets to one of the load balancer's addresses are lost, and nothing declared says why."""
    lab.cloud.dark.add(list(lab.plan.zones.values())[-1])


@fault("lb-dark", TARGET_HEALTH, Expect("TGT020", "LoadBalancer", LOAD_BALANCER))
async def dark(lab: Lab) -> None:
    """Packets to the load balancer are lost, and nothing declared says why (a network ACL)."""
    lab.cloud.dark.update(lab.plan.zones.values())


# --- an Application Load Balancer in front


def use_alb(lab: Lab, *, protocol: str = "HTTP", host: str = HOST) -> Listener:
    """Put an ALB in the place of the NLB; its listener on 443.

    It ends TLS and sends HTTP to entryPoint web ("HTTPS": to websecure).
    """
    cloud, plan = lab.cloud, lab.plan
    entry = "websecure" if protocol == "HTTPS" else "web"
    port = plan.node_ports[entry]
    targets = [Target(node.instance, port) for node in plan.nodes]
    check = HealthCheck(protocol="HTTPS" if protocol == "HTTPS" else "HTTP", matcher="200-404")
    cloud.add(
        TargetGroup(
            "myapp-alb",
            "HTTPS" if protocol == "HTTPS" else "HTTP",
            port,
            targets=targets,
            check=check,
        )
    )
    listener = Listener(443, "HTTPS", forward("myapp-alb"), certificates=[certificate(lab, host)])
    plain = Listener(80, "HTTP", redirect())
    old = cloud.load_balancers.pop(LOAD_BALANCER)
    zones = [Zone(zone, address) for zone, address in plan.zones.items()]
    cloud.add(
        LoadBalancer(
            LOAD_BALANCER,
            zones,
            type="application",
            listeners=[listener, plain],
            security_groups=old.security_groups,
        )
    )
    balancer = cloud.load_balancers[LOAD_BALANCER]
    lab.dns.zone("example.com").set(HOST, "CNAME", [balancer.dns_name])
    lab.dns.zone("ap-northeast-2.elb.amazonaws.com").set(
        balancer.dns_name, "A", lambda: cloud.addresses(LOAD_BALANCER)
    )
    return listener


@fault("alb-rule-answers", TARGET_HEALTH, _listener("TGT009"))
async def rule_answers(lab: Lab) -> None:
    """The ALB's rule for the host answers itself: a maintenance page."""
    answer = fixed_response(503, "maintenance")
    use_alb(lab).rules.append(Rule(5, answer, hosts=["*.example.com"]))


@fault("alb-no-rule", TARGET_HEALTH, _listener("TGT009"))
async def no_rule(lab: Lab) -> None:
    """The ALB's rule names another host, and its default action answers 404."""
    listener = use_alb(lab)
    listener.rules.append(Rule(10, listener.action, hosts=["www.example.com"]))
    listener.action = fixed_response(404, "no such site")


@fault("alb-rule-elsewhere", TARGET_HEALTH, _listener("TGT009"))
async def rule_elsewhere(lab: Lab) -> None:
    """The ALB's rule for the path forwards to instances of something else."""
    targets = [Target("i-0ffffeeeedddd0001", 8080)]
    lab.cloud.add(TargetGroup("batch-workers", "HTTP", 8080, targets=targets))
    use_alb(lab).rules.append(Rule(5, forward("batch-workers"), paths=["/*"]))


@fault("alb-redirect-loop", TARGET_HEALTH, _listener("TGT009"))
async def redirects_to_itself(lab: Lab) -> None:
    """The ALB's listener on 443 has the redirect to https that is meant for port 80."""
    use_alb(lab).action = redirect()


@fault("alb-redirect-port", TARGET_HEALTH, _listener("TGT009"))
async def redirects_to_port(lab: Lab) -> None:
    """The ALB's listener on 443 redirects to 8443, where nobody listens."""
    use_alb(lab).action = redirect(port="8443")


@fault("alb-cert", TARGET_HEALTH, _listener("TGT008"))
async def alb_certificate(lab: Lab) -> None:
    """The ALB ends TLS with a certificate for another host."""
    use_alb(lab, host="www.example.com")


@fault("alb-dark", TARGET_HEALTH, Expect("TGT020", "LoadBalancer", LOAD_BALANCER))
async def alb_dark(lab: Lab) -> None:
    """Packets to the ALB are lost; its nodes serve the host on entryPoint web alone."""
    use_alb(lab)

    def edit(ingress: Obj) -> None:
        names = ingress["metadata"].setdefault("annotations", {})
        names["traefik.ingress.kubernetes.io/router.entrypoints"] = "web"

    lab.store.patch("ingresses", APP, INGRESS, edit)
    lab.cloud.dark.update(lab.plan.zones.values())


@fault("alb-http-to-websecure", TARGET_HEALTH, _listener("TGT005"))
async def http_to_websecure(lab: Lab) -> None:
    """The ALB's target group speaks HTTP to the entryPoint that expects TLS."""
    use_alb(lab, protocol="HTTPS")
    group = lab.cloud.target_groups["myapp-alb"]
    group.protocol, group.check.protocol = "HTTP", "HTTP"


@fault("alb-https-to-web", TARGET_HEALTH, _listener("TGT005"))
async def https_to_web(lab: Lab) -> None:
    """The ALB's target group speaks HTTPS to the entryPoint that expects plain text."""
    use_alb(lab)
    group = lab.cloud.target_groups["myapp-alb"]
    group.protocol, group.check.protocol = "HTTPS", "HTTPS"
