"""``hopcheck doctor``: which credentials, rights and parties are there, in one screen.

Read only: a right is tried by listing one object, not by asking for a review (which is a create).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hopcheck.behaviour.traefik.discovery import traefik_pods
from hopcheck.catalogue.catalogue import text
from hopcheck.collect.ask import Run, Unavailable
from hopcheck.config.options import Options
from hopcheck.model import Collected, Step, Why
from hopcheck.model.kubernetes import Pod

if TYPE_CHECKING:
    from hopcheck.collect.kubernetes.client import KubeClient

# What is tried -> its path; the steps that need it stand beside.
_NEEDED = {
    "services": "/api/v1/services",
    "pods": "/api/v1/pods",
    "endpointslices": "/apis/discovery.k8s.io/v1/endpointslices",
    "ingresses": "/apis/networking.k8s.io/v1/ingresses",
    "ingressclasses": "/apis/networking.k8s.io/v1/ingressclasses",
}
_OPTIONAL = {
    "nodes": "/api/v1/nodes",
    "namespaces": "/api/v1/namespaces",
    "events": "/api/v1/events",
    "networkpolicies": "/apis/networking.k8s.io/v1/networkpolicies",
    "deployments": "/apis/apps/v1/deployments",
    "ingressroutes": "/apis/traefik.io/v1alpha1/ingressroutes",
    "middlewares": "/apis/traefik.io/v1alpha1/middlewares",
    "httproutes": "/apis/gateway.networking.k8s.io/v1/httproutes",
}
# Name -> (operation, key, the parameter whose ARN one must know to ask).
_AWS = {
    "DescribeLoadBalancers": ("describe_load_balancers", "LoadBalancers", None),
    "DescribeTargetGroups": ("describe_target_groups", "TargetGroups", None),
    "DescribeListeners": ("describe_listeners", "Listeners", "LoadBalancerArn"),
    "DescribeTargetHealth": (
        "describe_target_health",
        "TargetHealthDescriptions",
        "TargetGroupArn",
    ),
}
_WORDS = 200  # characters of what a server says
_OF_A_POD = ("pods/log", "pods/proxy")
_CLUSTER_SCOPED = ("nodes", "namespaces", "ingressclasses")


class _Seen:
    """What the doctor found, by party."""

    def __init__(self) -> None:
        self.server: Collected[str] = Collected(why=Why.NOT_SELECTED)
        self.context = ""
        self.rights: dict[str, Collected[bool]] = {}
        self.identity: Collected[str] = Collected(why=Why.NOT_SELECTED)
        self.aws: dict[str, Collected[bool]] = {}
        self.resolvers: dict[str, Collected[bool]] = {}


def run_doctor(options: Options) -> int:
    """Print what is there. Exit code 0 when every step can see what it needs, else 3."""
    seen = asyncio.run(_look(options))
    from rich.text import Text

    from hopcheck.report.terminal import make_console, sayable
    from hopcheck.report.text import for_terminal

    console = make_console()
    lines, complete = _lines(seen)
    for line in lines:
        console.print(Text(sayable(console, for_terminal(line))), soft_wrap=True, highlight=False)
    return 0 if complete else 3


async def _look(options: Options) -> _Seen:
    run = Run(options)
    seen = _Seen()
    await asyncio.gather(_kube(run, seen), _aws(run, seen), _dns(run, seen))
    return seen


async def _kube(run: Run, seen: _Seen) -> None:
    from hopcheck.collect.kubernetes.client import KubeClient

    async with KubeClient(run) as client:

        async def version() -> str:
            return str((await client.get("/version")).get("gitVersion", "?"))

        seen.server = await run.ask("GET /version", version)
        access = client.access
        seen.context = f"{access.context or '-'} {access.server}" if access else ""
        if not seen.server.seen and seen.server.why is not Why.DENIED:
            return

        async def one(name: str, path: str) -> None:
            if run.options.namespace and name not in _CLUSTER_SCOPED:
                head, _, plural = path.rpartition("/")
                path = f"{head}/namespaces/{run.options.namespace}/{plural}"

            async def ask() -> bool:
                await client.get(path, {"limit": 1})
                return True

            seen.rights[name] = await run.ask(f"list {name}", ask)

        await asyncio.gather(*(one(n, p) for n, p in (_NEEDED | _OPTIONAL).items()))
        await _one_pod(run, client, seen)


async def _one_pod(run: Run, client: KubeClient, seen: _Seen) -> None:
    """Try what needs a pod (log, proxy) on a Traefik pod, or on any where there is none."""
    namespace = run.options.namespace
    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    listed = await run.ask("list pods", lambda: client.list(path, max_pages=1))
    pods: list[Pod] = list(listed.get().items) if listed.seen else []
    running = [pod for pod in pods if pod.status.phase == "Running"]
    # One that has not started has no log yet, whatever the rights.
    pod = next(iter([*traefik_pods(running), *traefik_pods(pods), *running, *pods]), None)
    if pod is None:
        missing = listed.why or Why.NOT_FOUND
        seen.rights |= dict.fromkeys(_OF_A_POD, Collected(why=missing, detail=listed.detail))
        return
    where, name = pod.key
    container = next((one.name for one in pod.spec.containers), "")

    async def log() -> bool:
        await client.log(where, name, container, tail_lines=1, limit_bytes=1024)
        return True

    async def proxy() -> bool:
        try:
            await client.proxy(where, name, 8080, "/")
        except Unavailable as error:
            # Allowed, and nobody listens on that port: the right is there.
            if error.why in (Why.DENIED, Why.UNAUTHENTICATED, Why.TIMED_OUT):
                raise
        return True

    seen.rights["pods/log"] = await run.ask("pods/log", log)
    seen.rights["pods/proxy"] = await run.ask("pods/proxy", proxy)


async def _aws(run: Run, seen: _Seen) -> None:
    from hopcheck.collect.aws.api import Api, classify, find_credentials

    found = await run.ask("AWS credentials", lambda: find_credentials(run), classify=classify)
    if not found.seen:
        seen.identity = Collected(why=found.why, detail=found.detail)
        return
    region = run.options.aws_region or found.get().region
    if not region:
        seen.identity = Collected(why=Why.NOT_CONFIGURED, detail=text("doctor", "no_region"))
        return
    api = Api(found.get(), region, run)
    who = await api.identity()
    words = f"{who.get().account} {who.get().arn} {region}" if who.seen else None
    seen.identity = Collected(value=words, why=who.why, detail=who.detail)
    arns: dict[str, str] = {}
    for name, (operation, key, parameter) in _AWS.items():
        if parameter and parameter not in arns:
            continue
        of_one = {parameter: arns[parameter]} if parameter else {}
        listed = await api.items("elbv2", operation, key, **of_one)
        seen.aws[name] = _allowed(listed)
        for item in listed.or_else(()) or ():
            for arn in ("LoadBalancerArn", "TargetGroupArn"):
                if arn in item:
                    arns.setdefault(arn, item[arn])


def _allowed(found: Collected[Any]) -> Collected[bool]:
    return Collected(value=True if found.seen else None, why=found.why, detail=found.detail)


async def _dns(run: Run, seen: _Seen) -> None:
    from hopcheck.collect.dns.read import ask_resolver, system_resolvers

    try:
        resolvers = list(run.options.resolvers) or system_resolvers()
    except Unavailable as error:
        seen.resolvers["-"] = Collected(why=error.why, detail=error.detail)
        return
    answers = await asyncio.gather(*(ask_resolver("localhost", "A", r, run) for r in resolvers))
    for resolver, answer in zip(resolvers, answers, strict=True):
        seen.resolvers[resolver] = _allowed(answer)


def _mark(found: Collected[bool] | Collected[str]) -> str:
    if found.seen:
        return text("doctor", "yes")
    return text("why", (found.why or Why.ERROR).value)


def _row(name: str, words: str) -> str:
    from hopcheck.report.text import pad

    return f"  {pad(name, 22)}{words}"


def _lines(seen: _Seen) -> tuple[list[str], bool]:
    lines = [text("doctor", "kubernetes")]
    detail = f": {seen.server.detail}" if seen.server.detail else ""
    state = seen.server.or_else("") or f"{_mark(seen.server)}{detail}"
    lines.append(_row(text("doctor", "server"), f"{seen.context} {state}".strip()))
    if seen.rights:
        needed, optional = [*_NEEDED, "pods/log"], [*_OPTIONAL, "pods/proxy"]
        for heading, names in (("needed", needed), ("optional", optional)):
            rows = ", ".join(
                f"{name} {_mark(seen.rights[name])}" for name in names if name in seen.rights
            )
            lines.append(_row(text("doctor", heading), rows))
    lines.append(text("doctor", "aws"))
    detail = f": {seen.identity.detail}" if seen.identity.detail else ""
    account = seen.identity.or_else("") or f"{_mark(seen.identity)}{detail}"
    lines.append(_row(text("doctor", "account"), account))
    if seen.aws:
        calls = ", ".join(f"{n} {_mark(c)}" for n, c in seen.aws.items())
        lines.append(_row(text("doctor", "calls"), calls))
    lines.append(text("doctor", "dns"))
    lines += [_row(name, _mark(found)) for name, found in seen.resolvers.items()]
    proxy = next((n for n in ("HTTPS_PROXY", "https_proxy") if os.environ.get(n)), None)
    where = text("doctor", "inside" if "KUBERNETES_SERVICE_HOST" in os.environ else "outside")
    where += f"; {text('doctor', 'proxy', name=proxy)}" if proxy else ""
    lines.append(_row(text("doctor", "vantage"), where))
    lines.append(text("doctor", "steps"))
    complete = True
    for step in Step:
        words, whole = _step(step, seen)
        complete = complete and whole
        lines.append(_row(f"{step.number} {step.value}", words))
    return lines, complete


_STEP_NEEDS: dict[Step, tuple[str, ...]] = {
    Step.TRAEFIK_SERVICE: ("services", "pods"),
    Step.INGRESS: ("ingresses", "ingressclasses", "services"),
    Step.ENDPOINTS: ("services", "endpointslices", "pods"),
    Step.TRAEFIK_LOGS: ("pods", "pods/log"),
}


def _step(step: Step, seen: _Seen) -> tuple[str, bool]:
    """What a step will be able to see, in words, and whether that is what it needs."""
    if step in (Step.DNS, Step.REQUEST):
        # The request needs the name; whether the host can be reached only a diagnosis tells.
        good = any(found.seen for found in seen.resolvers.values())
        if good and step is Step.REQUEST:
            return text("doctor", "request"), True
        return (text("doctor", "full"), True) if good else (_nothing("dns", Why.UNREACHABLE), False)
    if step is Step.TARGET_HEALTH:
        if not seen.identity.seen:
            return _nothing("aws", seen.identity.why or Why.ERROR), False
        return _partly({name: found for name, found in seen.aws.items() if not found.seen}, "aws")
    if not seen.rights:
        return _nothing("kubernetes", seen.server.why or Why.ERROR), False
    lacking = {name: seen.rights[name] for name in _STEP_NEEDS[step] if not seen.rights[name].seen}
    return _partly(lacking, "kubernetes")


def _partly(lacking: Mapping[str, Collected[bool]], party: str) -> tuple[str, bool]:
    """What is lacking, and what would help: only where it is a right, that is to be granted."""
    if not lacking:
        return text("doctor", "full"), True
    by_words: dict[str, list[str]] = {}
    for name, found in lacking.items():
        why = found.why or Why.ERROR
        said = f"{text('why', why.value)}: {found.detail[:_WORDS]}".rstrip(": ")
        by_words.setdefault(_advice(party, why) or said, []).append(name)
    return "; ".join(
        text("doctor", "part", what=", ".join(names), advice=words)
        for words, names in by_words.items()
    ), False


def _nothing(party: str, why: Why) -> str:
    advice = _advice(party, why)
    return text("doctor", "nothing", why=text("why", why.value), advice=advice).rstrip("; ")


def _advice(party: str, why: Why) -> str:
    from hopcheck.catalogue.catalogue import has_text

    key = f"{party}_{why.value}"
    return text("advice", key) if has_text("advice", key) else ""
