"""Faults of the Ingress and of what it refers to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults.gallery import INGRESS, Expect, fault
from hopcheck.lab.topology import APP, SECRET
from hopcheck.lab.topology import INGRESS as NAME

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]
_PREFIX = "traefik.ingress.kubernetes.io"


def _ingress(code: str) -> Expect:
    return Expect(code, "Ingress", NAME, APP)


def _edit(lab: Lab, change: Callable[[Obj], None]) -> None:
    lab.store.patch("ingresses", APP, NAME, lambda obj: change(obj["spec"]))


def _edit_service(lab: Lab, change: Callable[[Obj], None]) -> None:
    _edit(lab, lambda spec: change(spec["rules"][0]["http"]["paths"][0]["backend"]["service"]))


def _annotate(lab: Lab, name: str, value: str) -> None:
    def edit(obj: Obj) -> None:
        obj["metadata"].setdefault("annotations", {})[f"{_PREFIX}/{name}"] = value

    lab.store.patch("ingresses", APP, NAME, edit)


@fault("ing-no-host", INGRESS, _ingress("ING001"))
async def no_host(lab: Lab) -> None:
    """The Ingress's host is edited: no rule names the one that is asked for."""
    _edit(lab, lambda spec: spec["rules"][0].update(host="my-app.example.com"))


@fault("ing-class-other", INGRESS, _ingress("ING002"))
async def class_other(lab: Lab) -> None:
    """The Ingress belongs to another controller's class."""
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "nginx"},
            "spec": {"controller": "k8s.io/ingress-nginx"},
        }
    )
    _edit(lab, lambda spec: spec.update(ingressClassName="nginx"))


@fault("ing-class-missing", INGRESS, _ingress("ING002"))
async def class_missing(lab: Lab) -> None:
    """The Ingress names a class that does not exist."""
    _edit(lab, lambda spec: spec.update(ingressClassName="traefik-public"))


@fault("ing-svc-missing", INGRESS, _ingress("ING004"))
async def service_missing(lab: Lab) -> None:
    """The Ingress's backend names a Service that does not exist."""
    _edit_service(lab, lambda service: service.update(name="my-app-svc"))


@fault("ing-port-number", INGRESS, _ingress("ING005"))
async def port_number(lab: Lab) -> None:
    """The Ingress's backend names a port number that the Service does not have."""
    _edit_service(lab, lambda service: service.update(port={"number": 8080}))


@fault("ing-port-name", INGRESS, _ingress("ING005"))
async def port_name(lab: Lab) -> None:
    """The Ingress's backend names a port name that the Service does not have."""
    _edit_service(lab, lambda service: service.update(port={"name": "web"}))


@fault("ing-path-exact", INGRESS, _ingress("ING007"))
async def path_exact(lab: Lab) -> None:
    """The Ingress's only path is an Exact one that the request does not have."""
    _edit(
        lab,
        lambda spec: spec["rules"][0]["http"]["paths"][0].update(path="/api", pathType="Exact"),
    )


@fault("ing-ep-bad", INGRESS, _ingress("ING010"))
async def entrypoint_bad(lab: Lab) -> None:
    """The Ingress's annotation names an entryPoint that does not exist."""
    _annotate(lab, "router.entrypoints", "https")


@fault("ing-mw-missing", INGRESS, _ingress("ING013"))
async def middleware_missing(lab: Lab) -> None:
    """The Ingress's annotation names a middleware that does not exist."""
    _annotate(lab, "router.middlewares", f"{APP}-compress@kubernetescrd")


@fault("tls-secret-missing", INGRESS, _ingress("ING016"))
async def secret_missing(lab: Lab) -> None:
    """The TLS Secret that the Ingress names is deleted: the default certificate is shown."""
    lab.store.delete("secrets", APP, SECRET)
