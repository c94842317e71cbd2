"""How the lab describes itself to AWS, DNS and its clients, and how its objects come back."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import yaml

from hopcheck.lab import topology
from hopcheck.lab.apiserver import ApiServer, Store
from hopcheck.lab.apiserver.kinds import BY_KEY, BY_KIND
from hopcheck.lab.certificates import Certificates
from hopcheck.lab.cloud import (
    Cloud,
    Listener,
    LoadBalancer,
    Target,
    TargetGroup,
    Zone,
    admit,
    forward,
    instance,
    security_group,
)
from hopcheck.lab.dns import DnsServer
from hopcheck.lab.nodes import Nodes, unprivileged
from hopcheck.lab.topology import Plan

Obj = dict[str, Any]

NODE_GROUP = "sg-0a1b2c3d4e5f60001"
BALANCER_GROUP = "sg-0a1b2c3d4e5f60002"

# What controllers write: made again from the rest.
_DERIVED = frozenset({"endpoints", "endpointslices", "events"})
_ANYWHERE = ("0.0.0.0/0",)


def describe_cloud(cloud: Cloud, plan: Plan) -> None:
    """The page's NLB: TCP 443 and 80 to the nodePorts of websecure and web, instance targets."""
    for name, entry in ((topology.TARGETS_HTTP, "web"), (topology.TARGETS_HTTPS, "websecure")):
        port = plan.node_ports[entry]
        targets = [Target(node.instance, port) for node in plan.nodes]
        cloud.add(TargetGroup(name, "TCP", port, targets=targets))
    cloud.add(
        LoadBalancer(
            topology.LOAD_BALANCER,
            [Zone(zone, address) for zone, address in plan.zones.items()],
            listeners=[
                Listener(443, "TCP", forward(topology.TARGETS_HTTPS)),
                Listener(80, "TCP", forward(topology.TARGETS_HTTP)),
            ],
            security_groups=[BALANCER_GROUP],
        )
    )
    cloud.security_groups = [
        security_group(
            BALANCER_GROUP,
            "myapp-nlb",
            [admit(443, cidrs=_ANYWHERE), admit(80, cidrs=_ANYWHERE)],
        ),
        # Instance targets keep the clients' addresses: the nodes must admit them.
        security_group(NODE_GROUP, "workers", [admit((30000, 32767), cidrs=_ANYWHERE)]),
    ]
    cloud.instances = [
        instance(node.instance, node.zone, node.address, security_groups=[NODE_GROUP])
        for node in plan.nodes
    ]


def describe_dns(dns: DnsServer, cloud: Cloud) -> None:
    """The host's CNAME to the NLB, and AWS's own name for it."""
    balancer = cloud.load_balancers[topology.LOAD_BALANCER]
    dns.zone("example.com").set(topology.HOST, "CNAME", [balancer.dns_name])
    # By name, not by object: a restored model is another object.
    dns.zone(f"elb.{topology.REGION}.amazonaws.com").set(
        balancer.dns_name, "A", lambda: cloud.addresses(topology.LOAD_BALANCER)
    )


def write_kubeconfig(path: Path, server: ApiServer, certificates: Certificates, token: str) -> None:
    """A kubeconfig with one context, `lab`."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "lab",
                        "cluster": {
                            "server": server.url,
                            "certificate-authority": str(certificates.cluster_ca),
                        },
                    }
                ],
                "users": [{"name": "oncall", "user": {"token": token}}],
                "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "oncall"}}],
                "current-context": "lab",
            }
        )
    )
    path.chmod(0o600)


def environment(kubeconfig: Path, cloud: Cloud, directory: Path) -> dict[str, str]:
    """Variables that point kubectl, boto3 and hopcheck to the lab, and away from the user's."""
    return {
        "KUBECONFIG": str(kubeconfig),
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_REGION": cloud.region,
        "AWS_DEFAULT_REGION": cloud.region,
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Files that do not exist: no profile of the user's is read.
        "AWS_CONFIG_FILE": str(directory / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "aws-credentials"),
    }


def arguments(dns: DnsServer, cloud: Cloud, nodes: Nodes, ca_file: Path) -> list[str]:
    """The options of ``hopcheck diagnose``: the resolver, the CA, and where low ports really are.

    Ports below 1024 cannot be bound without root: curl's --connect-to leads to the real ones.
    The first rule that matches wins, so those of single addresses come first.
    """
    rules = [f"{address}:{port}::{unprivileged(port)}" for address, port in nodes.shifted()]
    for port in (443, 80):
        real = {
            zone.address: cloud.bound_port(balancer, zone.address, port)
            for balancer in cloud.load_balancers.values()
            for zone in balancer.zones
        }
        usual = next(iter(real.values()), unprivileged(port))
        rules += [f"{one}:{port}::{number}" for one, number in real.items() if number != usual]
        rules.append(f":{port}::{usual}")
    return [
        "--resolver",
        f"{dns.address}:{dns.port}",
        *(word for rule in rules for word in ("--connect-to", rule)),
        "--ca-file",
        str(ca_file),
        "--direct-probes",
    ]


def kept_objects(store: Store) -> list[Obj]:
    """Every object that no controller would make again, namespaces first."""
    order = sorted(BY_KEY, key=lambda key: key != "namespaces")
    return [obj for key in order if key not in _DERIVED for obj in store.list(key)]


def restore_objects(store: Store, objects: list[Obj]) -> None:
    """Make the store hold exactly `objects` and what controllers make of them."""
    wanted = {(_resource(obj), _place(obj)) for obj in objects}
    for event in store.list("events"):
        store.delete("events", *_place(event))
    for obj in kept_objects(store):
        if (_resource(obj), _place(obj)) not in wanted:
            with contextlib.suppress(LookupError):  # gone with its namespace
                store.delete(_resource(obj), *_place(obj))
    for obj in objects:
        store.put(obj)


def _resource(obj: Obj) -> str:
    return BY_KIND[obj["apiVersion"], obj["kind"]].key


def _place(obj: Obj) -> tuple[str | None, str]:
    return obj["metadata"].get("namespace"), obj["metadata"]["name"]
