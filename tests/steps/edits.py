"""Recorded evidence, edited by hand: what the lab cannot show, or nobody recorded."""

import copy
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from hopcheck.model import Snapshot
from hopcheck.report.evidence import load
from hopcheck.scene.http_versions import TURNS

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
LB = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:loadbalancer/net/myapp-nlb/"
TRAEFIK_NS = "api-gateway-system"
CERTIFICATE = {
    "subject": "CN=myapp.example.com",
    "issuer": "CN=R11,O=Let's Encrypt,C=US",
    "names": ["myapp.example.com"],
    "not_before": "2026-10-01T00:00:00Z",
    "not_after": "2026-12-30T00:00:00Z",
    "sha256": "00" * 32,
    "self_signed": False,
}


def collected(value: Any) -> dict[str, Any]:
    return {"value": value, "source": "edited"}


class Edit:
    """A snapshot as plain JSON, with the edits that scenarios need; `snapshot()` gives it back."""

    def __init__(self, name: str = "healthy") -> None:
        recorded = load(SNAPSHOTS / f"{name}.json.gz")
        self.data: dict[str, Any] = json.loads(msgspec.json.encode(recorded))
        self.dns, self.aws = self.data["dns"], self.data["aws"]
        self.lists: dict[str, Any] = self.data["kube"]["lists"]
        self.http, self.target = self.data["http"], self.data["target"]
        self.replicas: list[dict[str, Any]] = self.data["traefik"]["replicas"]

    def snapshot(self) -> Snapshot:
        return msgspec.convert(self.data, Snapshot)

    # --- kubernetes

    def items(self, resource: str) -> list[dict[str, Any]]:
        return self.lists.setdefault(resource, collected([]))["value"]

    def one(self, resource: str, name: str) -> dict[str, Any]:
        return next(o for o in self.items(resource) if o["metadata"]["name"] == name)

    @property
    def ingress(self) -> dict[str, Any]:
        return self.one("ingresses", "my-app-ingress")

    @property
    def service(self) -> dict[str, Any]:
        return self.one("services", "my-app-service")

    @property
    def traefik_service(self) -> dict[str, Any]:
        return self.one("services", "traefik")

    @property
    def traefik_pods(self) -> list[dict[str, Any]]:
        return [p for p in self.items(f"pods@{TRAEFIK_NS}") if "traefik" in p["metadata"]["name"]]

    @property
    def app_pods(self) -> list[dict[str, Any]]:
        return self.items("pods@default")

    @property
    def endpoints(self) -> list[dict[str, Any]]:
        return self.items("endpointslices@default")[0]["endpoints"]

    def annotate(self, **annotations: str) -> None:
        """Traefik's annotations on the Ingress; "__" stands for a dot."""
        own = self.ingress["metadata"].setdefault("annotations", {})
        for key, value in annotations.items():
            own["traefik.ingress.kubernetes.io/" + key.replace("__", ".")] = value

    def add(self, resource: str, kind: str, name: str, spec: Any, ns: str = "default") -> None:
        self.items(resource).append(
            {"kind": kind, "metadata": {"name": name, "namespace": ns}, "spec": spec}
        )

    def arguments(self, *more: str, without: str = "\0") -> None:
        """Add arguments to Traefik's pods, and take those out that hold `without`."""
        for pod in self.traefik_pods:
            container = pod["spec"]["containers"][0]
            container["args"] = [*(a for a in container["args"] if without not in a), *more]

    def version(self, version: str) -> None:
        for pod in self.traefik_pods:
            pod["spec"]["containers"][0]["image"] = f"docker.io/traefik:v{version}"
        for replica in self.replicas:
            replica["version"] = collected(version)

    def not_ready(self, pods: Iterable[dict[str, Any]], **waiting: str) -> None:
        """Pods whose container waits (or only fails its probe, without `waiting`)."""
        for pod in pods:
            status = pod["status"]
            for condition in status["conditions"]:
                if condition["type"] in ("Ready", "ContainersReady"):
                    condition["status"] = "False"
            one = status["containerStatuses"][0]
            one["ready"] = False
            if waiting:
                one["state"] = {"waiting": waiting}
                one["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
                one["restartCount"] = 7

    def second_application(self, name: str = "landing") -> dict[str, Any]:
        """Another Service with a pod of its own; its Ingress backend is returned."""
        service = copy.deepcopy(self.service)
        service["metadata"]["name"] = name
        service["spec"]["selector"] = {"app": name}
        self.items("services").append(service)
        pod = copy.deepcopy(self.app_pods[0])
        pod["metadata"] |= {"name": f"{name}-5d8c7b9f46-x7z2p", "labels": {"app": name}}
        pod["status"]["podIP"] = "127.230.240.63"
        self.app_pods.append(pod)
        slices = self.items("endpointslices@default")
        own = copy.deepcopy(slices[0])
        own["metadata"] |= {
            "name": f"{name}-q8d5w",
            "labels": {"kubernetes.io/service-name": name},
        }
        own["endpoints"] = own["endpoints"][:1]
        own["endpoints"][0]["addresses"] = ["127.230.240.63"]
        slices.append(own)
        return {"service": {"name": name, "port": {"number": 80}}}

    def on_node(self, node: str, *pods: str) -> None:
        """The application's pods of these names (all) are on a node."""
        for pod in self.app_pods:
            if not pods or pod["metadata"]["name"] in pods:
                pod["spec"]["nodeName"] = node

    # --- aws

    @property
    def lb(self) -> dict[str, Any]:
        return self.aws["load_balancers"]["value"][0]

    def listener(self, port: int = 443) -> dict[str, Any]:
        listeners = next(iter(self.aws["listeners"].values()))["value"]
        return next(one for one in listeners if one["Port"] == port)

    def group(self, name: str = "myapp-websecure") -> dict[str, Any]:
        groups = self.aws["target_groups"]["value"]
        return next(g for g in groups if g["TargetGroupName"] == name)

    def health(self, name: str = "myapp-websecure") -> list[dict[str, Any]]:
        return self.aws["target_health"][self.group(name)["TargetGroupArn"]]["value"]

    def set_health(self, state: str, reason: str, description: str = "", last: int = 99) -> None:
        for described in self.health()[-last:]:
            described["TargetHealth"] = {
                "State": state,
                "Reason": reason,
                "Description": description,
            }

    def forward(self, listener: dict[str, Any], name: str) -> None:
        arn = self.group(name)["TargetGroupArn"]
        listener["DefaultActions"] = [{"Type": "forward", "TargetGroupArn": arn}]

    # --- what was observed

    def probes(self, *hops: str) -> list[dict[str, Any]]:
        found = [c["value"] for c in self.http["requests"]] if "client" in hops else []
        return found + [c["value"] for c in self.http["hops"] if c["value"]["hop"] in hops]

    def answer(
        self,
        status: int,
        body: str = "",
        *,
        hops: tuple[str, ...] = ("client", "node", "traefik-pod"),
        only: int | None = None,
        **headers: str,
    ) -> None:
        """The probes at these hops (the first `only` of them) end with this answer."""
        for probe in self.probes(*hops)[:only]:
            own = {"content-type": "text/plain; charset=utf-8", **headers}
            exchange = probe["exchanges"][-1]
            exchange |= {
                "status": status,
                "body": body,
                "body_bytes": len(body),
                "headers": [[k.replace("_", "-"), v] for k, v in own.items()],
            }

    def takes(self, seconds: float, *hops: str) -> None:
        """The answers at these hops take so long."""
        for probe in self.probes(*hops):
            probe["exchanges"][-1]["timing"] = {"first_byte": seconds, "total": seconds}

    def traefik_404(self, *, default_certificate: bool = False) -> None:
        self.answer(404, "404 page not found\n", x_content_type_options="nosniff")
        if default_certificate:
            self.certificate(
                subject="CN=TRAEFIK DEFAULT CERT", issuer="CN=TRAEFIK DEFAULT CERT",
                names=["4d5f.traefik.default"], self_signed=True,
            )  # fmt: skip
            self.unverified(18, "self-signed certificate")

    def fail(
        self,
        error: str,
        text: str,
        phase: str = "connect",
        hops: tuple[str, ...] = ("client",),
        only: int | None = None,
    ) -> None:
        """The probes at these hops (the first `only` of them) end before an answer."""
        for probe in self.probes(*hops)[:only]:
            exchange = probe["exchanges"][-1]
            exchange |= {"status": None, "headers": [], "body": "", "body_bytes": 0}
            exchange |= {"error": error, "error_text": text, "error_phase": phase}
            if phase in ("dns", "connect", "tls"):
                exchange["tls"] = None

    def time_out(self, *hops: str) -> None:
        self.fail("connect_timeout", "no answer within 5 s", hops=hops or ("client",))

    def certificate(self, **changes: Any) -> None:
        for probe in self.probes("client", "node", "traefik-pod"):
            for exchange in probe["exchanges"]:
                if exchange["tls"]:
                    exchange["tls"]["chain"] = [{**CERTIFICATE, **changes}]

    def unverified(self, code: int, words: str) -> None:
        for probe in self.probes("client", "node", "traefik-pod"):
            for exchange in probe["exchanges"]:
                if exchange["tls"]:
                    exchange["tls"] |= {
                        "verified": False,
                        "verify_code": code,
                        "verify_error": words,
                    }

    def no_other_scheme(self) -> None:
        self.http["other_scheme"] = {"value": None, "why": "not_needed"}

    def versions(self, *, works: str, **failure: Any) -> None:
        """At every address both versions of HTTP were asked, and one alone works."""
        made = []
        for probe in self.probes("client"):
            for other in TURNS:
                asked = copy.deepcopy(probe)
                version = "HTTP/2" if (works == "HTTP/2") == (not other) else "HTTP/1.1"
                exchange = asked["exchanges"][-1]
                exchange["http_version"] = version
                if version != works:
                    exchange |= {"status": None, "headers": [], "body": "", "body_bytes": 0}
                    exchange |= {"error_phase": "first_byte", **failure}
                made.append(collected(asked))
        self.http["versions"] = made

    def only_pods(self) -> None:
        """Of the hops behind the load balancer only the application's pods were asked."""
        self.http["hops"] = [c for c in self.http["hops"] if c["value"]["hop"] == "pod"]

    def without_pods(self) -> None:
        """The application's pods were not asked."""
        self.http["hops"] = [c for c in self.http["hops"] if c["value"]["hop"] != "pod"]

    def only_http(self) -> None:
        """The same run with http asked for."""
        self.target |= {"scheme": "http", "port": 80, "scheme_asked": True}
        first = self.http["other_scheme"]["value"]
        second = copy.deepcopy(first)
        second["address"] = second["member"] = "127.230.240.31"
        self.http["requests"] = [collected(first), collected(second)]
        self.no_other_scheme()
        for probe in self.probes("client", "node", "traefik-pod"):
            probe["scheme"] = "http"
            for exchange in probe["exchanges"]:
                exchange["tls"] = None

    # --- traefik's own word

    def routers(self) -> list[dict[str, Any]]:
        """The host's routers of every replica, as the API gives them."""
        return [
            r for x in self.replicas for r in x["routers"]["value"] if r["provider"] != "internal"
        ]

    def unroute(self) -> None:
        """Traefik's API shows no router of the host."""
        for replica in self.replicas:
            own = replica["routers"]["value"]
            replica["routers"]["value"] = [r for r in own if r["provider"] == "internal"]

    def log(self, raw: str, message: str, level: str = "error", **fields: str) -> None:
        line = {"raw": raw, "level": level, "message": message, "fields": fields}
        for replica in self.replicas:
            replica["log"]["value"].append({**line, "kind": "traefik"})
