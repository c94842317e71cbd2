"""``hopcheck doctor``: which credentials, rights and parties are there, in one screen.

Read only: a right is tried by listing one object, not by asking for a review (which is a create).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from rich.text import Text

from hopcheck.app.grants import iam, rbac
from hopcheck.behaviour.traefik.discovery import traefik_pods
from hopcheck.catalogue.catalogue import advice, text
from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.aws.api import Api, classify, find_credentials
from hopcheck.collect.dns.read import ask_resolver, system_resolvers
from hopcheck.collect.kubernetes.client import KubeClient
from hopcheck.config.options import Options
from hopcheck.model import NOT_SELECTED, Collected, Step, Why
from hopcheck.model.kubernetes import Pod
from hopcheck.report.terminal import make_console, sayable
from hopcheck.report.text import for_terminal, pad

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


class _Seen(Struct):
    """What the doctor found, by party."""

    server: Collected[str] = NOT_SELECTED
    context: str = ""
    rights: dict[str, Collected[Any]] = {}
    identity: Collected[Any] = NOT_SELECTED
    aws: dict[str, Collected[Any]] = {}
    resolvers: dict[str, Collected[Any]] = {}
    traefik: bool = True  # False: its pods are not among those that may be listed


def run_doctor(options: Options) -> int:
    """Print what is there. Exit code 0 when every step can see what it needs, else 3."""
    seen = asyncio.run(_look(options))
    console = make_console()
    lines, complete = _lines(seen)
    for line in [*lines, *_grants(seen, options.namespace)]:
        console.print(Text(sayable(console, for_terminal(line))), soft_wrap=True, highlight=False)
    return 0 if complete else 3


async def _look(options: Options) -> _Seen:
    run, seen = Run(options), _Seen()
    await asyncio.gather(_kube(run, seen), _aws(run, seen), _dns(run, seen))
    return seen


async def _kube(run: Run, seen: _Seen) -> None:
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
            seen.rights[name] = await run.ask(
                f"list {name}", lambda: client.get(path, {"limit": 1})
            )

        await asyncio.gather(*(one(n, p) for n, p in (_NEEDED | _OPTIONAL).items()))
        await _one_pod(run, client, seen)


async def _one_pod(run: Run, client: KubeClient, seen: _Seen) -> None:
    """Try what needs a pod (log, proxy) on a Traefik pod, or on any where there is none."""
    own = (run.options.traefik_service or "").partition("/")[0]
    # Traefik is where it is, whatever --namespace says of the application.
    spaces = [f"namespaces/{one}/" for one in (own, run.options.namespace) if one]
    for where in ["", *spaces]:
        path = f"/api/v1/{where}pods"
        listed = await run.ask("list pods", partial(client.list, path, max_pages=1))
        if listed.seen:
            break
    pods: list[Pod] = list(listed.get().items) if listed.seen else []
    seen.traefik = not pods or bool(traefik_pods(pods))
    running = [pod for pod in pods if pod.status.phase == "Running"]
    # One that has not started has no log yet, whatever the rights.
    pod = next(iter([*traefik_pods(running), *traefik_pods(pods), *running, *pods]), None)
    if pod is None:
        missing = listed.why or Why.NOT_FOUND
        seen.rights |= dict.fromkeys(_OF_A_POD, Collected(why=missing, detail=listed.detail))
        return
    where, name = pod.key
    container = next((one.name for one in pod.spec.containers), "")

    async def proxy() -> None:
        try:
            await client.proxy(where, name, 8080, "/")
        except Unavailable as error:
            # Allowed, and nobody listens on that port: the right is there.
            if error.why in (Why.DENIED, Why.UNAUTHENTICATED, Why.TIMED_OUT):
                raise

    seen.rights["pods/log"] = await run.ask(
        "pods/log", lambda: client.log(where, name, container, tail_lines=1, limit_bytes=1024)
    )
    seen.rights["pods/proxy"] = await run.ask("pods/proxy", proxy)


async def _aws(run: Run, seen: _Seen) -> None:
    found = await run.ask("AWS credentials", lambda: find_credentials(run), classify=classify)
    if not found.seen:
        seen.identity = found
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
        api.hold_region(listed)
        seen.aws[name] = listed
        for item in listed.or_else(()) or ():
            for arn in ("LoadBalancerArn", "TargetGroupArn"):
                if arn in item:
                    arns.setdefault(arn, item[arn])


async def _dns(run: Run, seen: _Seen) -> None:
    try:
        resolvers = list(run.options.resolvers) or system_resolvers()
    except Unavailable as error:
        seen.resolvers["-"] = Collected(why=error.why, detail=error.detail)
        return
    answers = await asyncio.gather(*(ask_resolver("localhost", "A", r, run) for r in resolvers))
    seen.resolvers = dict(zip(resolvers, answers, strict=True))


def _mark(found: Collected[Any]) -> str:
    return text("doctor", "yes") if found.seen else text("why", (found.why or Why.ERROR).value)


def _marks(found: Mapping[str, Collected[Any]]) -> str:
    return ", ".join(f"{name} {_mark(one)}" for name, one in found.items())


def _told(found: Collected[Any]) -> str:
    """What a party says of itself, else why there is nothing."""
    detail = f": {found.detail}" if found.detail else ""
    return found.or_else("") or f"{_mark(found)}{detail}"


def _row(name: str, words: str) -> str:
    return f"  {pad(name, 22)}{words}"


def _lines(seen: _Seen) -> tuple[list[str], bool]:
    lines = [text("doctor", "kubernetes")]
    server = f"{seen.context} {_told(seen.server)}".strip()
    lines.append(_row(text("doctor", "server"), server))
    if seen.rights:
        needed, optional = [*_NEEDED, "pods/log"], [*_OPTIONAL, "pods/proxy"]
        for heading, names in (("needed", needed), ("optional", optional)):
            tried = {name: seen.rights[name] for name in names if name in seen.rights}
            lines.append(_row(text("doctor", heading), _marks(tried)))
    lines.append(text("doctor", "aws"))
    lines.append(_row(text("doctor", "account"), _told(seen.identity)))
    if seen.aws:
        lines.append(_row(text("doctor", "calls"), _marks(seen.aws)))
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
        if not seen.aws:  # who asks need not be known
            return _nothing("aws", seen.identity.why or Why.ERROR), False
        return _partly({name: found for name, found in seen.aws.items() if not found.seen}, "aws")
    if not seen.rights:
        return _nothing("kubernetes", seen.server.why or Why.ERROR), False
    lacking = {name: seen.rights[name] for name in _STEP_NEEDS[step] if not seen.rights[name].seen}
    if not seen.traefik and step in (Step.TRAEFIK_SERVICE, Step.TRAEFIK_LOGS):
        return text("gap", "traefik_not_found"), False
    return _partly(lacking, "kubernetes")


def _grants(seen: _Seen, namespace: str | None) -> Iterator[str]:
    """What is forbidden, as what grants it."""
    denied = {n: found for n, found in seen.rights.items() if found.why is Why.DENIED}
    for space in (None, namespace) if namespace else (None,):
        paths = {
            name: (_NEEDED | _OPTIONAL).get(name, "")
            for name in denied
            if not namespace or (name in _CLUSTER_SCOPED) is (space is None)
        }
        if paths:
            yield ""
            yield text("doctor", "rbac")
            yield from rbac(paths, next(iter(denied.values())).detail, space).splitlines()
    lacking = [name for name in _AWS if name not in seen.aws or seen.aws[name].why is Why.DENIED]
    if any(found.why is Why.DENIED for found in seen.aws.values()):
        yield ""
        yield text("doctor", "iam")
        yield from iam(f"elasticloadbalancing:{name}" for name in lacking).splitlines()


def _partly(lacking: Mapping[str, Collected[Any]], party: str) -> tuple[str, bool]:
    """What is lacking, and what would help: only where it is a right, that is to be granted."""
    if not lacking:
        return text("doctor", "full"), True
    by_words: dict[str, list[str]] = {}
    for name, found in lacking.items():
        why = found.why or Why.ERROR
        said = f"{text('why', why.value)}: {found.detail[:_WORDS]}".rstrip(": ")
        by_words.setdefault(advice(party, why) or said, []).append(name)
    return "; ".join(
        text("doctor", "part", what=", ".join(names), advice=words)
        for words, names in by_words.items()
    ), False


def _nothing(party: str, why: Why) -> str:
    words = text("doctor", "nothing", why=text("why", why.value), advice=advice(party, why))
    return words.rstrip("; ")
