"""The application: its Service, endpoints, pods and answers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from hopcheck.lab.pods import AppPod, Behaviour
from hopcheck.lab.setups.gallery import (
    Obj,
    annotate,
    edit_service,
    flags,
    get,
    ingress_only,
    instead_of_ingress,
    put,
    setup,
)
from hopcheck.lab.setups.load_balancers import certificate
from hopcheck.lab.topology import APP, APP_PODS, GATEWAY, HOST, INGRESS, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

FAMILY = "workloads"
_MATCH = f"Host(`{HOST}`)"


def _answers(status: int, words: str) -> None:
    async def arrange(lab: Lab) -> None:
        await lab.set_app(None, Behaviour(status=status, body=words))

    arrange.__doc__ = f"The application answers {status} at /."
    setup(FAMILY, f"answers-{status}")(arrange)


for _status, _words in (
    (204, ""),
    (401, '{"error":"login"}'),
    (403, "forbidden"),
    (404, '{"error":"no such resource"}'),
    (405, "method not allowed"),
    (429, "slow down"),
):
    _answers(_status, _words)


@setup(FAMILY, "answers-go-404")
async def go_404(lab: Lab) -> None:
    """The application is written in Go: its 404 is word for word the same as Traefik's."""
    headers = (("X-Content-Type-Options", "nosniff"),)
    await lab.set_app(None, Behaviour(status=404, body="404 page not found\n", headers=headers))


@setup(FAMILY, "answers-go-404-from-outside", without="direct")
async def go_404_outside(lab: Lab) -> None:
    """The same, and the pods cannot be asked from here: the access log tells."""
    await go_404(lab)


@setup(FAMILY, "login-page")
async def login(lab: Lab) -> None:
    """The application sends everybody to its own /login, by a relative address."""
    await lab.set_app(None, Behaviour(status=302, location="/login", only_at="/"))


@setup(FAMILY, "single-sign-on")
async def sign_on(lab: Lab) -> None:
    """The application sends everybody to another host."""
    await lab.set_app(None, Behaviour(status=302, location="https://sso.example.org/auth?x=1"))


@setup(FAMILY, "slow-answers")
async def slow(lab: Lab) -> None:
    """The application takes a second and a half for each answer."""
    await lab.set_app(None, Behaviour(delay=1.5))


@setup(FAMILY, "large-answer")
async def large(lab: Lab) -> None:
    """The answer is a megabyte."""
    await lab.set_app(None, Behaviour(body="<html>" + "x" * 1_000_000))


@setup(FAMILY, "own-port-name")
async def own_port_name(lab: Lab) -> None:
    """The Service's targetPort is a name, its own port has none."""
    edit_service(lab, lambda spec: spec.update(ports=[{"port": 80, "targetPort": "http"}]))


@setup(FAMILY, "headless")
async def headless(lab: Lab) -> None:
    """The Service is headless."""

    def edit(spec: Obj) -> None:
        spec.pop("clusterIPs", None)
        spec["clusterIP"] = "None"

    edit_service(lab, edit)


@setup(FAMILY, "own-endpoint-slice")
async def own_slice(lab: Lab) -> None:
    """A Service without selector: the EndpointSlice is kept by hand, the server is elsewhere."""
    put(lab, "Service", "outside", "ports: [{name: http, port: 80}]")
    put(
        lab, "EndpointSlice", "outside-1", labels={"kubernetes.io/service-name": "outside"},
        addressType="IPv4",
        ports=[{"name": "http", "port": lab.plan.app[0].ports["http"], "protocol": "TCP"}],
        endpoints=[{"addresses": [pod.address]} for pod in lab.plan.app],
    )  # fmt: skip
    ingress_only(lab, (HOST, "/", "outside"))


@setup(FAMILY, "external-name", "ppppnpp")
async def external_name(lab: Lab) -> None:
    """An ExternalName Service, which Traefik allows."""
    pod = lab.plan.app[0]
    port = pod.ports["http"]
    put(
        lab, "Service", "outside",
        f"{{type: ExternalName, externalName: '{pod.address}', ports: [{{port: {port}}}]}}",
    )  # fmt: skip
    instead_of_ingress(lab, _MATCH, f"[{{name: outside, port: {port}}}]")
    await flags(lab, "--providers.kubernetescrd.allowexternalnameservices=true",
                "--providers.kubernetesingress.allowexternalnameservices=true")  # fmt: skip


@setup(FAMILY, "native-load-balancing")
async def native(lab: Lab) -> None:
    """Traefik sends to the Service's cluster IP (nativelb)."""
    edit_service(
        lab,
        lambda spec: spec.update(ports=[{"name": "http", "port": 8080, "targetPort": "http"}]),
    )
    annotate(lab, "services", SERVICE, service__nativelb="true")
    instead = {"number": 8080}

    def port(obj: Obj) -> None:
        obj["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = instead

    lab.store.patch("ingresses", APP, INGRESS, port)


@setup(FAMILY, "native-by-default")
async def native_by_default(lab: Lab) -> None:
    """The same by Traefik's nativeLBByDefault, and on a route of its own kind."""
    await native(lab)
    instead_of_ingress(lab, _MATCH, "[{name: my-app-service, port: 8080, nativeLB: true}]")
    await flags(lab, "--providers.kubernetesingress.nativelbbydefault=true")


@setup(FAMILY, "node-port-backend")
async def node_port_backend(lab: Lab) -> None:
    """Traefik sends to the Service's nodePort on every node (nodePortLB)."""
    edit_service(lab, lambda spec: spec.update(type="NodePort"))
    instead_of_ingress(lab, _MATCH, "[{name: my-app-service, port: 80, nodePortLB: true}]")


@setup(FAMILY, "https-backend")
async def https_backend(lab: Lab) -> None:
    """The pods speak https with a certificate of their own, which Traefik is told to take."""
    await lab.set_app(None, Behaviour(tls=certificate(lab, "my-app.internal").context))
    put(lab, "ServersTransport", "own", "insecureSkipVerify: true")
    instead_of_ingress(
        lab, _MATCH,
        "[{name: my-app-service, port: 80, scheme: https, serversTransport: own}]",
    )  # fmt: skip


@setup(FAMILY, "https-backend-by-annotation")
async def https_by_annotation(lab: Lab) -> None:
    """The same by the Service's annotations."""
    await lab.set_app(None, Behaviour(tls=certificate(lab, "my-app.internal").context))
    put(lab, "ServersTransport", "own", "insecureSkipVerify: true")
    annotate(lab, "services", SERVICE, service__serversscheme="https",
             service__serverstransport="default-own@kubernetescrd")  # fmt: skip


@setup(FAMILY, "h2c-backend")
async def h2c(lab: Lab) -> None:
    """The pods speak HTTP/2 without TLS and nothing else, as gRPC servers do."""
    await lab.set_app(None, Behaviour(h2c=True))
    instead_of_ingress(lab, _MATCH, "[{name: my-app-service, port: 80, scheme: h2c}]")


@setup(FAMILY, "no-endpoints-object")
async def no_endpoints_object(lab: Lab) -> None:
    """There are EndpointSlices and no Endpoints, as future clusters will have it."""
    if lab.version.startswith(("2.", "3.0.")):
        return  # those versions read Endpoints
    lab.store.delete("endpoints", APP, SERVICE)


@setup(FAMILY, "application-roll-out")
async def roll_out(lab: Lab) -> None:
    """The application is being replaced: pods of three templates, one starting, one going."""
    found = get(lab, "pods", APP, APP_PODS[0])

    def clone(name: str, template: str, phase: str, ready: str, **more: object) -> None:
        labels = {"app": "my-app", "pod-template-hash": template}
        meta = {"name": name, "namespace": APP, "labels": labels, **more}
        conditions = [{"type": "Ready", "status": ready}]
        address = lab.address(70 + len(name))
        status = {"phase": phase, "podIP": address, "conditions": conditions}
        lab.store.put(found | {"metadata": meta, "status": status})

    clone("my-app-new-1", "7788994455", "Running", "False")
    clone(
        "my-app-old-12", "5566778899", "Running", "True", deletionTimestamp="2026-01-12T01:15:00Z"
    )
    clone("my-app-job-123", "5566778899", "Succeeded", "False")
    clone(
        "my-app-gone-1234",
        "5566778899",
        "Failed",
        "False",
    )


@setup(FAMILY, "sidecar")
async def sidecar(lab: Lab) -> None:
    """The pods have a second container that declares no ports, and one that has completed."""
    for name in APP_PODS:

        def edit(obj: Obj) -> None:
            obj["spec"]["containers"].append({"name": "agent", "image": "example/agent:1"})
            obj["spec"]["initContainers"] = [{"name": "migrate", "image": "example/migrate:1"}]

        lab.store.patch("pods", APP, name, edit)


@setup(FAMILY, "network-policies")
async def network_policies(lab: Lab) -> None:
    """Everything is denied by default, Traefik's namespace is admitted by a second policy."""
    put(lab, "NetworkPolicy", "deny", "{podSelector: {}, policyTypes: [Ingress, Egress]}")
    put(
        lab, "NetworkPolicy", "admit",
        "{podSelector: {matchLabels: {app: my-app}}, ingress: [{ports: [{port: http}], from:"
        " [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: api-gateway-system}},"
        " podSelector: {matchExpressions: [{key: app, operator: In, values: [traefik]}]}}]}]}",
    )  # fmt: skip


@setup(FAMILY, "two-port-numbers")
async def two_numbers(lab: Lab) -> None:
    """A named targetPort that is another number in a new pod than in the old ones."""
    edit_service(
        lab, lambda spec: spec.update(ports=[{"name": "http", "port": 80, "targetPort": "http"}])
    )
    found = get(lab, "pods", APP, APP_PODS[0])
    address, name = lab.address(62), "my-app-6f7c9d5b84-z9z9z"
    container = found["spec"]["containers"][0] | {
        "ports": [{"name": "http", "containerPort": 8081}]
    }
    meta = {key: found["metadata"][key] for key in ("labels", "ownerReferences", "namespace")}
    lab.store.put(
        found
        | {"metadata": meta | {"name": name}, "status": {"phase": "Running", "podIP": address}}
        | {"spec": found["spec"] | {"containers": [container]}}
    )
    await lab.add_container(APP, name, AppPod(name, address, 8081))


@setup(FAMILY, "keda-http")
async def keda_http(lab: Lab) -> None:
    """Scaled to zero by KEDA's HTTP add-on: the route leads to its interceptor, which answers."""
    edit_service(lab, lambda spec: spec.update(selector={"app": "sleeper"}))
    labels = "{app: sleeper}"
    put(
        lab, "Deployment", "sleeper",
        f"{{replicas: 0, selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels:"
        f" {labels}}}, spec: {{containers: [{{name: sleeper, image: example/sleeper}}]}}}}}}",
        labels={"scaledobject.keda.sh/name": "sleeper"},
    )  # fmt: skip
    put(lab, "Service", "interceptor", "{selector: {app: my-app}, ports: [{port: 8080}]}")
    ingress_only(lab, (HOST, "/", "interceptor"))
    lab.store.patch(
        "ingresses", APP, INGRESS,
        lambda obj: obj["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(
            port={"number": 8080}
        ),
    )  # fmt: skip


@setup(FAMILY, "maintenance-page")
async def maintenance(lab: Lab) -> None:
    """The application is scaled to zero; a failover Service shows a page in the meantime."""
    put(lab, "Service", "sleeping", "{selector: {app: sleeping}, ports: [{port: 80}]}")
    labels = "{app: sleeping}"
    put(
        lab, "Deployment", "sleeping",
        f"{{replicas: 0, selector: {{matchLabels: {labels}}}, template: {{metadata: {{labels:"
        f" {labels}}}, spec: {{containers: [{{name: s, image: example/s}}]}}}}}}",
    )  # fmt: skip
    put(
        lab, "IngressRoute", "maintenance",
        "{entryPoints: [websecure], tls: {}, routes: [{kind: Rule, priority: 9999, match:"
        f" '{_MATCH}', services: [{{name: my-app-service, port: 80}}]}}]}}", APP,
    )  # fmt: skip
    ingress_only(lab, (HOST, "/", "sleeping"))


@setup(FAMILY, "not-ready-published")
async def published(lab: Lab) -> None:
    """A Service that publishes addresses that are not ready; all of them are."""
    edit_service(lab, lambda spec: spec.update(publishNotReadyAddresses=True))


@setup(FAMILY, "bare-pods")
async def bare(lab: Lab) -> None:
    """The application's pods belong to no workload and declare no ports."""
    for name in APP_PODS:

        def edit(obj: Obj) -> None:
            obj["metadata"].pop("ownerReferences")
            obj["spec"]["containers"][0].pop("ports")

        lab.store.patch("pods", APP, name, edit)
    lab.store.delete("deployments", APP, "my-app")
    lab.store.delete("replicasets", APP, "my-app-6f7c9d5b84")


@setup(FAMILY, "topology-aware")
async def topology_aware(lab: Lab) -> None:
    """Topology-aware routing: zone hints on the Service, internalTrafficPolicy Local."""
    edit_service(
        lab,
        lambda spec: spec.update(internalTrafficPolicy="Local", trafficDistribution="PreferClose"),
    )


@setup(FAMILY, "https-by-port-name")
async def https_by_port_name(lab: Lab) -> None:
    """The pods speak https, which the Service says by its port's name alone."""
    await lab.set_app(None, Behaviour(tls=certificate(lab, "my-app.internal").context))
    port = {"name": "https-web", "port": 8000, "targetPort": "http"}
    edit_service(lab, lambda spec: spec.update(ports=[port]))
    put(lab, "ServersTransport", "own", "insecureSkipVerify: true")
    service = "{name: my-app-service, port: https-web, serversTransport: own}"
    instead_of_ingress(lab, _MATCH, f"[{service}]")


@setup(FAMILY, "many-slices")
async def many_slices(lab: Lab) -> None:
    """A Service with a slice for each endpoint, an empty one, one without conditions."""
    put(lab, "Service", "outside", "ports: [{name: http, port: 80}]")
    port = {"name": "http", "port": lab.plan.app[0].ports["http"], "protocol": "TCP"}
    for number, pod in enumerate(lab.plan.app):
        put(
            lab, "EndpointSlice", f"outside-{number}", addressType="IPv4", ports=[port],
            labels={"kubernetes.io/service-name": "outside"},
            endpoints=[{"addresses": [pod.address], "conditions": {}}],
        )  # fmt: skip
    put(lab, "EndpointSlice", "outside-9", addressType="IPv4", ports=None, endpoints=None,
        labels={"kubernetes.io/service-name": "outside"})  # fmt: skip
    put(lab, "EndpointSlice", "outside-6", addressType="IPv6", ports=[port], endpoints=[],
        labels={"kubernetes.io/service-name": "outside"})  # fmt: skip
    ingress_only(lab, (HOST, "/", "outside"))


@setup(FAMILY, "standby-replica")
async def standby(lab: Lab) -> None:
    """The pods elect a leader; the other one says on purpose that it is not ready."""
    await lab.set_app(APP_PODS[1], Behaviour(ready=False))


@setup(FAMILY, "autoscaling")
async def autoscaling(lab: Lab) -> None:
    """More pods were asked for half a minute ago; a node for the new one is on its way."""
    found = get(lab, "pods", APP, APP_PODS[0])
    made = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=30)
    message = "0/3 nodes are available: 3 Insufficient cpu."
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    meta = {key: found["metadata"][key] for key in ("labels", "ownerReferences", "namespace")}
    meta |= {
        "name": "my-app-6f7c9d5b84-w4x9z",
        "creationTimestamp": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    spec = {key: value for key, value in found["spec"].items() if key != "nodeName"}
    status = {"phase": "Pending", "conditions": [{**waits, "message": message}]}
    lab.store.put(found | {"metadata": meta, "spec": spec, "status": status})


@setup(FAMILY, "second-port-closed-from-outside", without="direct")
async def second_port_closed(lab: Lab) -> None:
    """The pods declare a port for debugging, on which nobody listens, and cannot be asked."""
    port = {"name": "debug", "containerPort": 5005, "protocol": "TCP"}
    for pod in lab.plan.app:
        edit = get(lab, "pods", APP, pod.name)
        edit["spec"]["containers"][0]["ports"].append(port)
        lab.store.put(edit)


@setup(FAMILY, "policy-admits-traefik-alone-from-outside", without="direct")
async def policy_admits_traefik_alone(lab: Lab) -> None:
    """A NetworkPolicy admits Traefik's namespace and neither us nor the API server."""
    space = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: " + GATEWAY + "}}}"
    spec = "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [" + space + "]}]}"
    put(lab, "NetworkPolicy", "traefik-alone", spec)
