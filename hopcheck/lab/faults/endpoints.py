"""Faults of the application's Service, slices and pods, and of the network in front of them."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hopcheck.lab.faults import parts
from hopcheck.lab.faults.gallery import (
    DEGRADED,
    ENDPOINTS,
    FROM_OUTSIDE,
    HEALTHY,
    INGRESS,
    Expect,
    fault,
)
from hopcheck.lab.pods import AppPod, Behaviour
from hopcheck.lab.topology import APP, GATEWAY, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]
_SCHEME = f"{parts.PREFIX}/service.serversscheme"
_IMAGE = "registry.example.com/my-app:1.4.3"


def _service(code: str) -> Expect:
    return Expect(code, "Service", SERVICE, APP)


def _deployment(code: str) -> Expect:
    return Expect(code, "Deployment", "my-app", APP)


def _set_target(lab: Lab, target: int | str) -> None:
    parts.edit_service(lab, lambda spec: spec["ports"][0].update(targetPort=target))


# --- the Service


@fault("svc-selector", ENDPOINTS, _service("END001"))
async def selector(lab: Lab) -> None:
    """The selector of the application's Service matches no pod."""
    parts.edit_service(lab, lambda spec: spec.update(selector={"app": "myapp"}))


@fault("svc-selector-503", ENDPOINTS, _service("END001"))
async def selector_empty_allowed(lab: Lab) -> None:
    """The same with allowEmptyServices, the chart's default: 503 instead of 404."""
    flag = "--providers.kubernetesingress.allowemptyservices=true"
    await lab.set_traefik_args(lambda args: [*args, flag])
    parts.edit_service(lab, lambda spec: spec.update(selector={"app": "myapp"}))


@fault("svc-targetport-name", ENDPOINTS, _service("END002"))
async def target_port_name(lab: Lab) -> None:
    """The Service's targetPort names a container port that does not exist."""
    _set_target(lab, "web")


@fault("svc-targetport-num", ENDPOINTS, _service("END003"))
async def target_port_number(lab: Lab) -> None:
    """The Service's targetPort is a number on which the pods do not listen."""
    _set_target(lab, 8081)


@fault("svc-targetport-num-outside", ENDPOINTS, _service("END003"), asked=FROM_OUTSIDE)
async def target_port_number_outside(lab: Lab) -> None:
    """The same, and the pods cannot be asked from here: the API server's pod proxy tells."""
    _set_target(lab, 8081)


@fault("svc-externalname-denied", ENDPOINTS, _service("END007"))
async def external_name(lab: Lab) -> None:
    """The Service is an ExternalName, and Traefik does not allow these."""
    parts.make_external(lab)


@fault("svc-externalname-silent", ENDPOINTS, _service("END014"))
async def external_silent(lab: Lab) -> None:
    """The Service is an ExternalName, which Traefik allows, and nobody answers there: 502."""

    def edit(spec: Obj) -> None:
        name = lab.plan.stale_address
        spec.clear()
        spec.update(type="ExternalName", externalName=name, ports=[{"name": "http", "port": 80}])

    parts.edit_service(lab, edit)
    flag = "--providers.kubernetesingress.allowexternalnameservices=true"
    await lab.set_traefik_args(lambda args: [*args, flag])


@fault("svc-no-selector", ENDPOINTS, _service("END012"))
async def no_selector(lab: Lab) -> None:
    """The Service has no selector, and nobody keeps a slice for it."""
    parts.edit_service(lab, lambda spec: spec.pop("selector"))
    for one in lab.store.list("endpointslices", APP, {"kubernetes.io/service-name": SERVICE}):
        lab.store.delete("endpointslices", APP, one["metadata"]["name"])
    lab.store.delete("endpoints", APP, SERVICE)


@fault("svc-slice-port-name", ENDPOINTS, _service("END012"))
async def slice_port_name(lab: Lab) -> None:
    """The Service has no selector; its slice, kept by hand, gives the port another name."""
    parts.edit_service(lab, lambda spec: spec.pop("selector"))
    for one in lab.store.list("endpointslices", APP, {"kubernetes.io/service-name": SERVICE}):
        lab.store.delete("endpointslices", APP, one["metadata"]["name"])
        meta: Obj = {"name": f"{SERVICE}-1", "namespace": APP}
        meta["labels"] = {"kubernetes.io/service-name": SERVICE}
        ports = [port | {"name": "web"} for port in one["ports"]]
        lab.store.put(one | {"metadata": meta, "ports": ports})
    lab.store.delete("endpoints", APP, SERVICE)


@fault("svc-port-other", ENDPOINTS, _service("END003"))
async def port_other(lab: Lab) -> None:
    """The Ingress names another port of the Service, behind which nobody listens."""
    port = {"name": "admin", "port": 9102, "targetPort": 9102, "protocol": "TCP"}
    parts.edit_service(lab, lambda spec: spec["ports"].append(port))
    service = {"name": SERVICE, "port": {"name": "admin"}}
    parts.edit_path(lab, backend={"service": service})


# --- what is spoken


def _tls(lab: Lab, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    lab.certificates.public.issue_cert(*names).configure_cert(context)
    return context


@fault("svc-scheme-missing", ENDPOINTS, _service("END008"))
async def scheme_missing(lab: Lab) -> None:
    """The pods speak https and close what is no TLS, Traefik speaks http: 502."""
    await lab.set_app(None, Behaviour(tls=_tls(lab, "my-app.default.svc")))


@fault("svc-scheme-missing-400", ENDPOINTS, _service("END008"))
async def scheme_missing_400(lab: Lab) -> None:
    """The pods speak https and answer http with 400, as Go's and nginx do."""
    await lab.set_app(None, Behaviour(refuses_plain=True))


@fault("svc-scheme-wrong", ENDPOINTS, _service("END008"))
async def scheme_wrong(lab: Lab) -> None:
    """An annotation lets Traefik speak https, the pods speak http: 500."""
    parts.annotate(lab, _SCHEME, "https", "services")


@fault("svc-backend-cert", ENDPOINTS, _service("END009"))
async def backend_certificate(lab: Lab) -> None:
    """Traefik speaks https to the pods and does not trust their certificate: 500."""
    await lab.set_app(None, Behaviour(tls=_tls(lab, "my-app.default.svc")))
    parts.annotate(lab, _SCHEME, "https", "services")


@fault("svc-transport-missing", INGRESS, Expect("ING020", "Service", SERVICE, APP))
async def transport_missing(lab: Lab) -> None:
    """An annotation of the Service names a ServersTransport that does not exist."""
    key = f"{parts.PREFIX}/service.serverstransport"
    parts.annotate(lab, key, f"{APP}-internal-ca@kubernetescrd", "services")


@fault("svc-not-http", ENDPOINTS, _service("END008"))
async def not_http(lab: Lab) -> None:
    """The pods' port speaks something else than HTTP."""
    await lab.set_app(None, Behaviour(not_http=True))


# --- the pods


@fault("ep-none-ready", ENDPOINTS, _deployment("END004"))
async def none_ready(lab: Lab) -> None:
    """The readiness probe fails in every pod of the application."""
    await lab.set_app(None, Behaviour(ready=False))


@fault("ep-publishNotReady", ENDPOINTS, _deployment("END004"))
async def publish_not_ready(lab: Lab) -> None:
    """No pod is ready; publishNotReadyAddresses shows them as ready, Traefik does not use them."""
    await lab.set_app(None, Behaviour(ready=False))
    parts.edit_service(lab, lambda spec: spec.update(publishNotReadyAddresses=True))


@fault("ep-crashloop", ENDPOINTS, _deployment("END005"))
async def crash_loop(lab: Lab) -> None:
    """Every pod of the application ends at once: CrashLoopBackOff."""
    log = "panic: DATABASE_URL is not set"
    await lab.set_app(None, Behaviour(exit_code=2, exit_log=log))


@fault("ep-oom", ENDPOINTS, _deployment("END005"))
async def out_of_memory(lab: Lab) -> None:
    """The kernel kills every pod of the application for its memory."""
    await lab.set_app(None, Behaviour(exit_code=137, exit_reason="OOMKilled"))


@fault("ep-pending", ENDPOINTS, _deployment("END005"))
async def pending(lab: Lab) -> None:
    """No node has room for the application's pods."""
    message = "0/3 nodes are available: 3 Insufficient memory."

    def unscheduled(pod: Obj) -> None:
        pod["spec"].pop("nodeName", None)
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        pod["status"] = {"phase": "Pending", "conditions": [{**condition, "message": message}]}

    _hold(lab, unscheduled)


@fault("ep-imagepull", ENDPOINTS, _deployment("END005"))
async def image_pull(lab: Lab) -> None:
    """The image of the application does not exist in the registry."""
    message = f'Back-off pulling image "{_IMAGE}": not found'

    def waiting(pod: Obj) -> None:
        status = pod["status"]
        status["phase"] = "Pending"
        for condition in status["conditions"]:
            if condition["type"] in ("Ready", "ContainersReady"):
                condition |= {"status": "False", "reason": "ContainersNotReady"}
        container = status["containerStatuses"][0]
        why = {"reason": "ImagePullBackOff", "message": message}
        container |= {"ready": False, "started": False, "state": {"waiting": why}}

    _hold(lab, waiting)


@fault("ep-config-missing", ENDPOINTS, _deployment("END005"))
async def config_missing(lab: Lab) -> None:
    """The application's container refers to a ConfigMap that does not exist."""

    def waiting(pod: Obj) -> None:
        status = pod["status"]
        status["phase"] = "Pending"
        for condition in status["conditions"]:
            if condition["type"] in ("Ready", "ContainersReady"):
                condition |= {"status": "False", "reason": "ContainersNotReady"}
        why = {
            "reason": "CreateContainerConfigError",
            "message": 'configmap "my-app-settings" not found',
        }
        status["containerStatuses"][0] |= {"ready": False, "state": {"waiting": why}}

    _hold(lab, waiting)


def _hold(lab: Lab, change: Callable[[Obj], None]) -> None:
    for pod in lab.plan.app:
        lab.kubelet.hold(APP, pod.name, change)


# --- the network


@fault("np-blocks-traefik", ENDPOINTS, Expect("END010", "NetworkPolicy", "default-deny", APP))
async def network_policy(lab: Lab) -> None:
    """A NetworkPolicy admits the application's own namespace only: packets are dropped."""
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "default-deny", "namespace": APP},
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {}}]}],
            },
        }
    )
    await lab.set_app(None, Behaviour(dark=True))


@fault("np-egress", ENDPOINTS, Expect("END010", "NetworkPolicy", "egress-dns-only", GATEWAY))
async def egress_policy(lab: Lab) -> None:
    """A NetworkPolicy of Traefik's namespace lets out DNS alone: no packet reaches the pods."""
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "egress-dns-only", "namespace": GATEWAY},
            "spec": {
                "podSelector": {},
                "policyTypes": ["Egress"],
                "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}],
            },
        }
    )
    await lab.set_app(None, Behaviour(dark=True))


# --- a part of them


@fault("svc-selector-wide", ENDPOINTS, _service("END013"), exit_code=DEGRADED)
async def selector_wide(lab: Lab) -> None:
    """The Service's selector also takes a pod of another workload, which listens nowhere."""
    found = lab.store.get("pods", APP, lab.plan.app[0].name)
    if found is None:
        raise LookupError("no pod of the application: inject into a healthy lab")
    name, address = "worker-5c9d7b8f6-k2x8p", lab.address(88)
    owner = {"kind": "ReplicaSet", "name": "worker-5c9d7b8f6", "controller": True}
    meta = {key: found["metadata"][key] for key in ("namespace", "creationTimestamp")}
    meta |= {"name": name, "labels": {"app": "my-app", "role": "worker"}}
    meta["ownerReferences"] = [found["metadata"]["ownerReferences"][0] | owner]
    lab.store.put(found | {"metadata": meta, "status": {"phase": "Running", "podIP": address}})
    worker = AppPod(name, address, lab.plan.app[0].ports["http"])
    worker.behaviour = Behaviour(listening=False)
    await lab.add_container(APP, name, worker)


@fault("ep-some-refuse", ENDPOINTS, _service("END013"), exit_code=DEGRADED)
async def some_refuse(lab: Lab) -> None:
    """Two of five ready endpoints refuse connections."""
    pods = await lab.scale_app(5)
    for name in pods[3:]:
        await lab.set_app(name, Behaviour(listening=False))


@fault("ep-one-hangs", ENDPOINTS, _service("END013"), exit_code=DEGRADED)
async def one_hangs(lab: Lab) -> None:
    """One of the ready endpoints accepts requests and never answers."""
    await lab.set_app(lab.plan.app[-1].name, Behaviour(hang=True))


@fault("ep-one-not-ready", ENDPOINTS, exit_code=HEALTHY, warns=(_deployment("END006"),))
async def one_not_ready(lab: Lab) -> None:
    """The readiness probe fails in one of the pods; the others serve."""
    await lab.set_app(lab.plan.app[-1].name, Behaviour(exit_code=1, exit_log="panic: disk full"))
