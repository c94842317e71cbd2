"""Many hosts on the lab's one way: an Ingress, a Service and two slices for each, shared pods.

The Services are dual-stack, so that the controller makes two slices each (one per family; that of
IPv6 is empty, as no pod has such an address). All hosts are names under one wildcard certificate.
"""

from __future__ import annotations

import base64
from typing import Any

from hopcheck.lab import topology
from hopcheck.lab.lab import Lab

Obj = dict[str, Any]

DOMAIN = "fleet.example.com"
_SECRET = "fleet-tls"  # noqa: S105  # the name of a Secret


def host(number: int) -> str:
    """The name of one of the hosts."""
    return f"app-{number:04d}.{DOMAIN}"


def add_hosts(lab: Lab, count: int) -> list[str]:
    """Put `count` hosts into the cluster and the DNS; `lab.settle()` waits for Traefik."""
    issued = lab.certificates.public.issue_cert(f"*.{DOMAIN}")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    lab.store.put(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"namespace": topology.APP, "name": _SECRET},
            "type": "kubernetes.io/tls",
            "data": {
                "tls.crt": base64.b64encode(chain).decode(),
                "tls.key": base64.b64encode(issued.private_key_pem.bytes()).decode(),
            },
        }
    )
    names = [host(number) for number in range(count)]
    balancer = lab.cloud.load_balancers[topology.LOAD_BALANCER]
    zone = lab.dns.zone("example.com")
    for name in names:
        zone.set(name, "CNAME", [balancer.dns_name])
        lab.store.put(_service(name.partition(".")[0]))
        lab.store.put(_ingress(name))
    return names


def _service(name: str) -> Obj:
    port = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": topology.APP, "name": name},
        "spec": {
            "type": "ClusterIP",
            "selector": {"app": "my-app"},
            "ports": [port],
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "PreferDualStack",
        },
    }


def _ingress(name: str) -> Obj:
    backend = {"service": {"name": name.partition(".")[0], "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": topology.APP, "name": name.partition(".")[0]},
        "spec": {
            "ingressClassName": topology.TRAEFIK,
            "tls": [{"hosts": [name], "secretName": _SECRET}],
            "rules": [
                {
                    "host": name,
                    "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
                }
            ],
        },
    }
