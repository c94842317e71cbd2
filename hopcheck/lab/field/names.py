"""Reports about records: which load balancer they name, and who is told what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hopcheck.lab.cloud import Listener, LoadBalancer, Target, TargetGroup, Zone, forward
from hopcheck.lab.faults.gallery import DNS
from hopcheck.lab.field.gallery import Mend, Named, report
from hopcheck.lab.setups.gallery import Obj, edit_traefik_service
from hopcheck.lab.setups.names import lead
from hopcheck.lab.topology import GATEWAY, HOST, REGION, TARGETS_HTTP, TARGETS_HTTPS, TRAEFIK

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_RECORD = Named(DNS, "DNSRecord", HOST)
_NEW = {"web": 31655, "websecure": 31443}
_NAME = "k8s-apigatew-traefik-5b1c0e7d42"


@report(
    "f21",
    _RECORD,
    happens="(no answer|reset|refused)( .*)?",
    says=_NAME,
    innocent=(
        f"Service {GATEWAY}/{TRAEFIK}",
        f"TargetGroup {TARGETS_HTTPS}",
        f"TargetGroup {TARGETS_HTTP}",
    ),
)
async def former_balancer(lab: Lab) -> Mend:
    """Traefik's Service was made anew; the record still names the former load balancer."""
    listeners = []
    for entry, number in (("websecure", 443), ("web", 80)):
        port, name = _NEW[entry], f"{_NAME}-{number}"
        targets = [Target(node.instance, port) for node in lab.plan.nodes]
        lab.cloud.add(TargetGroup(name, "TCP", port, targets=targets))
        listeners.append(Listener(number, "TCP", forward(name)))
    zones = [Zone(name, lab.address(32 + n)) for n, name in enumerate(lab.plan.zones)]
    balancer = LoadBalancer(_NAME, zones, listeners=listeners)
    lab.cloud.add(balancer)
    lab.dns.zone(f"elb.{REGION}.amazonaws.com").set(
        balancer.dns_name, "A", lambda: lab.cloud.addresses(_NAME)
    )

    def anew(obj: Obj) -> None:
        obj["spec"]["type"] = "LoadBalancer"
        for port in obj["spec"]["ports"]:
            port["nodePort"] = _NEW.get(port["name"], port["nodePort"])
        obj["status"] = {"loadBalancer": {"ingress": [{"hostname": balancer.dns_name}]}}

    edit_traefik_service(lab, anew)

    async def mend() -> None:
        lead(lab, "CNAME", balancer.dns_name)

    return mend


@report("f22", _RECORD, happens=r"200 \+ no address")
async def one_view_lacks_it(lab: Lab) -> Mend:
    """One of two resolvers says that the name does not exist: a private zone hides it."""
    second = await lab.add_resolver()
    records = second.zone("example.com").records[HOST]
    second.zone("example.com").delete(HOST)

    async def mend() -> None:
        second.zone("example.com").records[HOST] = records

    return mend
