"""Edits of workloads and pods: Traefik's arguments, labels, ports, readiness, the application."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from hopcheck.lab import topology
from hopcheck.lab.mutation.edit import Edit, Name, words
from hopcheck.lab.mutation.values import (
    World,
    add_key,
    label_typo,
    near_number,
    other,
    port_name_typo,
    rename_key,
)
from hopcheck.lab.pods import Behaviour

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]

_APP = "my-app"
_ADDED = (
    "--providers.kubernetesingress.ingressclass=internal",
    "--providers.kubernetesingress.ingressclass=traefik",
    "--providers.kubernetesingress.namespaces=shop",
    "--providers.kubernetesingress.namespaces=default,shop",
    "--providers.kubernetesingress.labelselector=team=shop",
    "--providers.kubernetesingress.allowemptyservices=true",
    "--providers.kubernetesingress.strictprefixmatching=true",
    "--providers.kubernetesingress.disableclusterscoperesources=true",
    "--providers.kubernetesingress.disableingressclasslookup=true",
    "--entryPoints.websecure.proxyprotocol.trustedips=10.0.0.0/8",
    "--entryPoints.web.http.redirections.entrypoint.to=websecure",
    "--entryPoints.web.http.redirections.entrypoint.to=websecur",
    "--entryPoints.websecure.asdefault=true",
    "--entryPoints.web.asdefault=true",
    "--entryPoints.websecure.http.middlewares=default-auth@kubernetescrd",
    "--entryPoints.websecure.http.tls.options=default-modern@kubernetescrd",
    "--providers.kubernetesingres.allowexternalnameservices=true",
    "--serversTransport.maxIdleConnsPerHost=10",
    "--serversTransport.insecureSkipVerify=true",
    "--serversTransport.forwardingTimeouts.responseHeaderTimeout=1ns",
    "--serversTransport.forwardingTimeouts.dialTimeout=1ns",
    "--entryPoints.websecure.http.redirections.entrypoint.to=web",
    "--entryPoints.websecure.http.tls.certresolver=letsencrypt",
    "--entryPoints.websecure.forwardedHeaders.insecure=true",
    "--entryPoints.websecure.transport.respondingTimeouts.readTimeout=1ns",
    "--entryPoints.websecure.http.maxHeaderBytes=64",
    "--entryPoints.websecure.reuseport=true",
    "--entryPoints.extra.address=:8443/tcp",
    "--providers.kubernetesingress.ingressendpoint.ip=192.0.2.1",
    "--providers.kubernetesingress.crossprovidernamespaces=shop",
    "--providers.file.directory=/etc/traefik/dynamic",
    "--hostResolver.cnameFlattening=true",
    "--core.defaultRuleSyntax=v2",
    "--log.level=ERROR",
)
# The lab's own wiring, and the entryPoint by which it sees that Traefik follows.
_WIRING = (".endpoint=", ".token=", ".certauthfilepath=", "--global", "--entrypoints.traefik",
           "providersthrottle", "--api")  # fmt: skip


def _workload_names(namespace: str, workload: str, pods: tuple[str, ...]) -> frozenset[Name]:
    return frozenset(
        {("Deployment", namespace, workload), *(("Pod", namespace, pod) for pod in pods)}
    )


TRAEFIK_NAMES = _workload_names(topology.GATEWAY, topology.TRAEFIK, topology.TRAEFIK_PODS)
APP_NAMES = _workload_names(topology.APP, _APP, topology.APP_PODS) | {
    ("Application", topology.APP, topology.SERVICE)
}


def edit_arguments(lab: Lab, _known: World, chance: Random) -> Edit | None:
    """One edit of Traefik's arguments: left out, misspelt, another port, one more."""
    pod = lab.store.get("pods", topology.GATEWAY, topology.TRAEFIK_PODS[0])
    args: list[str] = pod["spec"]["containers"][0]["args"] if pod else []
    own = [n for n, arg in enumerate(args) if not any(w in arg.lower() for w in _WIRING)]
    where = chance.choice(own)
    flag, equals, value = args[where].partition("=")
    change: Callable[[list[str]], list[str]]
    match chance.choice(("drop", "misspell", "value", "add", "add")):
        case "drop":
            what = f"{flag} left out"
            change = lambda old: [a for a in old if a.partition("=")[0] != flag]  # noqa: E731
        case "misspell":
            name, _, last = flag.rpartition(".")
            new = f"{name}.{label_typo(last, World(), chance)}" if name else flag
            what = f"{flag} -> {new}"
            change = lambda old: [_renamed(a, flag, new) for a in old]  # noqa: E731
        case "value" if "address" in flag:
            port = int(value.partition("/")[0].rpartition(":")[2])
            number = near_number(port, World(), chance)
            what = f"{flag} :{port} -> :{number}"
            change = lambda old: [  # noqa: E731
                a.replace(f":{port}/", f":{number}/") if a.startswith(f"{flag}=") else a
                for a in old
            ]
        case "value" if value in ("true", "false"):
            new = "false" if value == "true" else "true"
            what = f"{flag}{equals}{value} -> {new}"
            change = lambda old: [f"{flag}={new}" if a == args[where] else a for a in old]  # noqa: E731
        case _:
            added = chance.choice(_ADDED)
            what = f"+ {added}"
            change = lambda old: [*old, added]  # noqa: E731

    async def apply(lab: Lab) -> None:
        await lab.set_traefik_args(change)

    full = f"Deployment {topology.GATEWAY}/{topology.TRAEFIK}"
    return Edit(f"{full} args: {what}", TRAEFIK_NAMES, apply, frozenset({"SVC016", "END014"}))


def _renamed(argument: str, flag: str, new: str) -> str:
    name, equals, value = argument.partition("=")
    return f"{new}{equals}{value}" if name == flag else argument


def edit_pods(lab: Lab, known: World, chance: Random) -> Edit | None:
    """One edit of a workload's template and all its pods, or of the labels of one pod."""
    traefik = chance.random() < 0.5
    namespace = topology.GATEWAY if traefik else topology.APP
    workload = topology.TRAEFIK if traefik else _APP
    pods = topology.TRAEFIK_PODS if traefik else topology.APP_PODS
    names = TRAEFIK_NAMES if traefik else APP_NAMES
    hop = frozenset({"SVC016"} if traefik else {"END014"})
    ports = list(topology.ENTRYPOINTS) if traefik else ["http"]
    labels = {"app": workload}
    kind = chance.choice(("label", "label", "one label", "port name", "port", "key", "more"))
    if kind in ("port", "port name"):
        name = chance.choice([*ports, "websecure"]) if traefik else "http"
        return _edit_port(lab, namespace, workload, pods, name, kind, names, hop, chance)
    new: dict[str, str]
    match kind:
        case "key":
            new = rename_key(labels, known, chance)
        case "more":
            new = add_key("team", "shop")(labels, known, chance)
        case _:
            make = chance.choice((label_typo, other("app")))
            new = {"app": make(workload, known, chance)}
    if new == labels:
        return None
    hit = (chance.choice(pods),) if kind == "one label" else pods
    whole = kind != "one label"

    def edit(meta: Obj) -> None:
        meta["labels"] = {k: v for k, v in meta["labels"].items() if k != "app"} | new

    async def apply(lab: Lab) -> None:
        if whole:
            lab.store.patch(
                "deployments",
                namespace,
                workload,
                lambda o: edit(o["spec"]["template"]["metadata"]),
            )
        for pod in hit:
            lab.store.patch("pods", namespace, pod, lambda o: edit(o["metadata"]))

    shown = f"Deployment {namespace}/{workload}" if whole else f"Pod {namespace}/{hit[0]}"
    return Edit(f"{shown} labels: {words(labels)} -> {words(new)}", names, apply, hop)


def _edit_port(
    lab: Lab,
    namespace: str,
    workload: str,
    pods: tuple[str, ...],
    name: str,
    kind: str,
    names: frozenset[Name],
    hop: frozenset[str],
    chance: Random,
) -> Edit | None:
    """A container port's name or number, in the template and in every pod."""
    template = lab.store.get("deployments", namespace, workload)
    if template is None:
        return None
    old = next(
        p["containerPort"]
        for p in template["spec"]["template"]["spec"]["containers"][0]["ports"]
        if p["name"] == name
    )
    new = (
        {"name": port_name_typo(name, World(), chance)}
        if kind == "port name"
        else {"containerPort": near_number(old, World(), chance)}
    )

    def edit(spec: Obj) -> None:
        for port in spec["containers"][0]["ports"]:
            if port["name"] == name:
                port.update(new)

    async def apply(lab: Lab) -> None:
        lab.store.patch(
            "deployments", namespace, workload, lambda o: edit(o["spec"]["template"]["spec"])
        )
        for pod in pods:
            lab.store.patch("pods", namespace, pod, lambda o: edit(o["spec"]))

    what = f"Deployment {namespace}/{workload} port {name} {old}: {words(new)}"
    return Edit(what, names, apply, hop)


_BEHAVIOURS = {
    "listens on another port": Behaviour(port=9090),
    "listens on loopback only": Behaviour(listening=False),
    "is not ready": Behaviour(ready=False),
    "ends at once": Behaviour(exit_code=1, exit_log="Error: config.yaml: unexpected key"),
    "answers 500": Behaviour(status=500, body="Internal error\n"),
    "answers 503": Behaviour(status=503, body="maintenance\n"),
    "answers 404 to this host": Behaviour(only_host="www.example.com"),
    "resets connections": Behaviour(reset=True),
    "does not speak HTTP": Behaviour(not_http=True),
    "redirects to itself": Behaviour(redirect_loop=True),
    "answers 502": Behaviour(status=502, body="upstream is down\n"),
    "answers 401": Behaviour(status=401),
    "answers 400": Behaviour(status=400, body="bad Host\n"),
    "hangs": Behaviour(hang=True),
    "drops packets": Behaviour(dark=True),
    "is killed": Behaviour(exit_code=137, exit_reason="OOMKilled"),
    "is slow, a bit": Behaviour(delay=0.2),
}


def edit_application(_lab: Lab, _known: World, chance: Random) -> Edit | None:
    """One pod of the application, or each of them, behaves otherwise."""
    what = chance.choice(sorted(_BEHAVIOURS))
    pod = chance.choice((None, None, *topology.APP_PODS))

    async def apply(lab: Lab) -> None:
        await lab.set_app(pod, _BEHAVIOURS[what])

    who = f"Pod {topology.APP}/{pod}" if pod else f"Deployment {topology.APP}/{_APP}"
    return Edit(f"{who}: the application {what}", APP_NAMES, apply, frozenset({"END014"}))
