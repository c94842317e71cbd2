"""What several faults are made of: edits, a second application, an IngressRoute."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hopcheck.lab.topology import APP, APP_PODS, HOST, INGRESS, SECRET, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]
PREFIX = "traefik.ingress.kubernetes.io"
OTHER = "other-app"  # a second application: its Service and the label of its pod
ROUTE = "my-app"  # the IngressRoute that takes the Ingress's place


def custom(kind: str, name: str, spec: Obj, namespace: str = APP) -> Obj:
    """An object of Traefik's own API group."""
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def edit_ingress(lab: Lab, change: Callable[[Obj], None]) -> None:
    """Change the Ingress's spec."""
    lab.store.patch("ingresses", APP, INGRESS, lambda obj: change(obj["spec"]))


def edit_path(lab: Lab, **values: object) -> None:
    """Change the Ingress's only path."""
    edit_ingress(lab, lambda spec: spec["rules"][0]["http"]["paths"][0].update(values))


def edit_service(lab: Lab, change: Callable[[Obj], None]) -> None:
    """Change the spec of the application's Service."""
    lab.store.patch("services", APP, SERVICE, lambda obj: change(obj["spec"]))


def annotate(lab: Lab, key: str, value: str, resource: str = "ingresses") -> None:
    """Set an annotation of the Ingress or, by its plural, of the application's Service."""

    def edit(obj: Obj) -> None:
        obj["metadata"].setdefault("annotations", {})[key] = value

    lab.store.patch(resource, APP, INGRESS if resource == "ingresses" else SERVICE, edit)


def second_app(lab: Lab) -> Obj:
    """Make one of the application's two pods another application; an Ingress backend to it.

    Raises LookupError where the lab has one pod only.
    """
    if len(lab.plan.app) < len(APP_PODS):
        raise LookupError("this lab has one address only, and so one pod of the application")

    def label(pod: Obj) -> None:
        pod["metadata"]["labels"]["app"] = OTHER

    lab.store.patch("pods", APP, APP_PODS[1], label)
    lab.store.put(service(OTHER, selector={"app": OTHER}))
    return {"service": {"name": OTHER, "port": {"number": 80}}}


def service(name: str, namespace: str = APP, **spec: object) -> Obj:
    """A ClusterIP Service with the application's port."""
    port = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "ClusterIP", "ports": [port], **spec},
    }


def copied_app(lab: Lab, name: str, namespace: str) -> None:
    """The same application in another namespace: a Service whose slice somebody else keeps."""
    lab.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    lab.store.put(service(name, namespace))
    pod = lab.plan.app[-1]
    lab.store.put(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-x7k2p",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": pod.ports["http"], "protocol": "TCP"}],
            "endpoints": [{"addresses": [pod.address], "conditions": {"ready": True}}],
        }
    )


def ingress_route(
    lab: Lab, *, spec: Obj | None = None, backend: Obj | None = None, **route: object
) -> None:
    """Serve the host by an IngressRoute instead of the Ingress, changed in what is given."""
    lab.store.delete("ingresses", APP, INGRESS)
    first = {
        "kind": "Rule",
        "match": f"Host(`{HOST}`)",
        "services": [{"name": SERVICE, "port": 80, **(backend or {})}],
        **route,
    }
    own = {"entryPoints": ["websecure"], "routes": [first], "tls": {"secretName": SECRET}}
    lab.store.put(custom("IngressRoute", ROUTE, {**own, **(spec or {})}))


def set_secret(lab: Lab, data: dict[str, bytes]) -> None:
    """Replace what the TLS Secret holds."""

    def edit(secret: Obj) -> None:
        secret["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        # The API server takes no Secret of type kubernetes.io/tls without its two entries.
        tls = {"tls.crt", "tls.key"} <= data.keys()
        secret["type"] = "kubernetes.io/tls" if tls else "Opaque"

    lab.store.patch("secrets", APP, SECRET, edit)


def make_external(lab: Lab) -> None:
    """Make the application's Service an ExternalName."""

    def edit(spec: Obj) -> None:
        port = spec["ports"][0]
        spec.clear()
        spec.update(type="ExternalName", externalName="legacy.example.net", ports=[port])

    edit_service(lab, edit)
