"""Routes and the choice between them, compared with the real Traefik on the lab's API server."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopcheck.behaviour.traefik.route import Route, View
from hopcheck.behaviour.traefik.routes import candidates, select
from hopcheck.behaviour.traefik.static import static_config
from hopcheck.behaviour.traefik.version import Version
from hopcheck.model import Collected, KubeEvidence
from hopcheck.model.kubernetes import Pod
from tests.behaviour.real_traefik import RealTraefik
from tests.lab.serving import ADMIN, Serving
from tests.objects import made

Obj = dict[str, Any]

PREFIX = "traefik.ingress.kubernetes.io/router."


def service(namespace: str, name: str, number: int) -> list[Obj]:
    meta = {"namespace": namespace, "name": name}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {
                "clusterIP": f"10.96.{len(namespace)}.{number}",
                "ports": [{"name": "http", "port": 80}],
            },
        }
    ]


def path(path: str, name: str = "app", kind: str | None = "Prefix", port: Any = 80) -> Obj:
    which = {"name": port} if isinstance(port, str) else {"number": port}
    entry: Obj = {"path": path, "backend": {"service": {"name": name, "port": which}}}
    return {**entry, "pathType": kind} if kind else entry


def ingress(
    name: str,
    *rules: tuple[str, list[Obj]],
    namespace: str = "one",
    cls: str | None = "traefik",
    notes: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    **spec: Any,
) -> Obj:
    body: Obj = {
        "rules": [
            {**({"host": host} if host else {}), **({"http": {"paths": paths}} if paths else {})}
            for host, paths in rules
        ],
        **spec,
    }
    if not rules:
        del body["rules"]
    if cls:
        body["ingressClassName"] = cls
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "annotations": notes or {},
            "labels": labels or {},
        },
        "spec": body,
    }


def custom(kind: str, name: str, spec: Obj, namespace: str = "one", **meta: Any) -> Obj:
    return {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": kind,
        "metadata": {"namespace": namespace, "name": name, **meta},
        "spec": spec,
    }


def route(match: str, *services: Obj, **more: Any) -> Obj:
    named = list(services) or [{"name": "app", "port": 80}]
    return {"kind": "Rule", "match": match, "services": named, **more}


def ingress_class(name: str, controller: str = "traefik.io/ingress-controller") -> Obj:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": controller},
    }


OLD_CLASS = "kubernetes.io/ingress.class"
OBJECTS: list[Obj] = [
    ingress_class("traefik"),
    ingress_class("public"),
    ingress_class("nginx", "k8s.io/ingress-nginx"),
    *service("one", "app", 1),
    *service("one", "other", 2),
    *service("two", "app", 3),
    # classes
    ingress("by-class", ("class.com", [path("/")])),
    ingress("by-public", ("public.com", [path("/")]), cls="public"),
    ingress("by-nginx", ("nginx.com", [path("/")]), cls="nginx"),
    ingress("by-missing", ("missing.com", [path("/")]), cls="gone"),
    ingress("by-none", ("none.com", [path("/")]), cls=None),
    ingress("by-old", ("old.com", [path("/")]), cls=None, notes={OLD_CLASS: "traefik"}),
    ingress("by-old-public", ("oldpub.com", [path("/")]), cls=None, notes={OLD_CLASS: "public"}),
    ingress("by-old-nginx", ("oldnginx.com", [path("/")]), cls=None, notes={OLD_CLASS: "nginx"}),
    ingress("by-both", ("both.com", [path("/")]), cls="traefik", notes={OLD_CLASS: "nginx"}),
    ingress("in-two", ("two.com", [path("/")]), namespace="two", labels={"tier": "public"}),
    # rules
    ingress("wild", ("*.example.com", [path("/"), path("/wild")])),
    ingress("exact", ("app.example.com", [path("/"), path("/api"), path("/exact", kind="Exact")])),
    ingress("bare", ("", [path("/bare", "other")])),
    ingress("fallback", defaultBackend={"service": {"name": "other", "port": {"number": 80}}}),
    ingress("matcher", ("re.com", [path("/x[0-9]", kind="ImplementationSpecific")]),
            notes={f"{PREFIX}pathmatcher": "PathRegexp"}),
    ingress("slash", ("slash.com", [path("/api/")])),
    ingress("quoted", ("quoted.com", [path('/a"b\\c')])),
    ingress("portname", ("port.com", [path("/", port="http")])),
    ingress("nohttp", ("nohttp.com", [])),
    ingress("resource", ("resource.com", [
        {"path": "/", "pathType": "Prefix",
         "backend": {"resource": {"kind": "Bucket", "name": "x", "apiGroup": "x.io"}}}])),
    # annotations
    ingress("ranked", ("app.example.com", [path("/low")]), notes={f"{PREFIX}priority": "5"}),
    ingress("points", ("points.com", [path("/")]), notes={f"{PREFIX}entrypoints": "web, nowhere"}),
    ingress("nowhere", ("nowhere.com", [path("/")]), notes={f"{PREFIX}entrypoints": "nowhere"}),
    ingress("tls", ("tls.com", [path("/")]), notes={f"{PREFIX}tls": "true"}),
    ingress("tls-one", ("tls1.com", [path("/")]), notes={f"{PREFIX}tls": "1"}),
    ingress("tls-off", ("tlsoff.com", [path("/")]), notes={f"{PREFIX}tls": "false"}),
    ingress("tls-opt", ("tlsopt.com", [path("/")]), notes={f"{PREFIX}tls.options": "default"}),
    ingress("typo", ("typo.com", [path("/")]), notes={f"{PREFIX}entrypoint": "web"}),
    ingress("badrank", ("badrank.com", [path("/")]), notes={f"{PREFIX}priority": "high"}),
    ingress("syntax", ("*.syntax.com", [path("/")]), notes={f"{PREFIX}rulesyntax": "v2"}),
    ingress("CasE", ("case.com", [path("/")]), notes={f"{PREFIX}entryPoints": "web"}),
    # IngressRoutes
    custom("Middleware", "m", {"headers": {"customRequestHeaders": {"X-A": "b"}}}, namespace="two"),
    custom("IngressRoute", "ir", {"entryPoints": ["web"], "routes": [
        route("Host(`ir.com`) && PathPrefix(`/`)"),
        route("Host(`app.example.com`) && PathPrefix(`/api`)", {"name": "other", "port": 80}),
        route("Host(`ir.com`) && PathPrefix(`/ranked`)", priority=7),
        route("Host('bad.com')"),
        route("Host(`ir2.com`)", syntax="v2"),
        {"kind": "Rule", "match": "Host(`noservice.com`)"},
        route("Host(`cross.com`)", {"name": "app", "namespace": "two", "port": 80}),
        route("Host(`mw.com`)", middlewares=[{"name": "m", "namespace": "two"}]),
    ]}),
    custom("IngressRoute", "ir-tls", {"tls": {}, "routes": [route("Host(`irtls.com`)")]}),
    custom("IngressRoute", "ir-public", {"entryPoints": ["web"], "routes": [
        route("Host(`irpub.com`)")]}, annotations={OLD_CLASS: "public"}),
    custom("IngressRoute", "ir-field", {"ingressClassName": "public", "entryPoints": ["web"],
                                        "routes": [route("Host(`irfield.com`)")]}),
    custom("IngressRoute", "ir-two", {"routes": [route("Host(`irtwo.com`)")]}, namespace="two",
           labels={"tier": "public"}),
    custom("Middleware", "m", {"stripPrefix": {"prefixes": ["/x"]}}, namespace="two"),
]  # fmt: skip

SETTINGS: dict[str, list[str]] = {
    "plain": [],
    "class": ["ingressclass=public"],
    "narrow": ["namespaces=two", "labelselector=tier=public"],
    "scope": ["disableclusterscoperesources"],
    "free": ["allowcrossnamespace", "strictprefixmatching"],
}
INGRESS_ONLY = {"strictprefixmatching"}
CRD_ONLY = {"allowcrossnamespace"}


def evidence(serving: Serving) -> KubeEvidence:
    resources = ("ingresses", "ingressclasses", "ingressroutes", "ingressroutetcps", "services")
    return KubeEvidence(
        lists={name: Collected(value=tuple(serving.store.list(name))) for name in resources}
    )


class Case:
    """One setting: the real Traefik and this package's routes."""

    def __init__(self, traefik: RealTraefik, kube: KubeEvidence, access: Path) -> None:
        self.traefik, self.access = traefik, access
        container = {"name": "traefik", "image": "traefik:v3.7.15", "args": traefik.args}
        pod = made(Pod, metadata={"namespace": "t"}, spec={"containers": [container]})
        self.view = View("t/traefik", static_config(pod), Version(3, 7, 15))
        self.routes = candidates(kube, [self.view])

    def declared(self) -> set[tuple[Any, ...]]:
        return {
            (r.provider, r.rule, r.priority, point, point in r.tls_on)
            for r in self.routes
            if r.loaded and r.protocol == "http"
            for point in r.entry_points
        }

    def loaded(self) -> set[tuple[Any, ...]]:
        return {
            (r["provider"], r["rule"], r["priority"], point, "tls" in r)
            for r in self.traefik.routers(bool)
            if r["status"] != "disabled"
            for point in r.get("using", ())
        }

    def router_of(self, host: str, asked: str) -> str | None:
        """The rule of the router that the real Traefik chose."""
        name = self.router_named(host, asked)
        rules = {r["name"]: r["rule"] for r in self.traefik.routers(bool)}
        return rules[name] if name else None

    def router_named(self, host: str, asked: str) -> str:
        """The name of the router that the real Traefik chose, from its access log; "" for none."""
        mark = f"n={time.monotonic_ns()}"
        self.traefik.ask(host, f"{asked}?{mark}")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for line in self.access.read_text().splitlines():
                if mark in line:
                    return str(json.loads(line).get("RouterName") or "")
            time.sleep(0.02)
        raise AssertionError("no line in the access log")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    directory = tmp_path_factory.mktemp("routes")
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(Serving(directory))

        async def fill() -> None:
            for obj in OBJECTS:
                serving.store.put(obj)

        serving.run(fill())
        made = {}
        for name, settings in SETTINGS.items():
            access = directory / f"{name}.access"
            args = [f"--accesslog.filepath={access}", "--accesslog.format=json"]
            for provider, unfit in (
                ("kubernetesingress", CRD_ONLY),
                ("kubernetescrd", INGRESS_ONLY),
            ):
                common = [
                    f"endpoint={serving.server.url}",
                    f"token={ADMIN}",
                    f"certauthfilepath={serving.ca_file}",
                    "allowemptyservices",
                    *(each for each in settings if each not in unfit),
                ]
                args += [f"--providers.{provider}.{each}" for each in common]
            traefik = stack.enter_context(RealTraefik(args, directory / f"{name}.log"))
            made[name] = Case(traefik, evidence(serving), access)
        yield made


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_routes_are_loaded(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    assert case.view.static.known
    assert case.view.static.unknown == ()
    providers = {each[0] for each in case.declared()}
    case.traefik.routers(lambda found: providers <= {r["provider"] for r in found})
    assert case.loaded() == case.declared()


REQUESTS = [
    ("class.com", "/"), ("app.example.com", "/"), ("app.example.com", "/api/x"),
    ("app.example.com", "/apix"), ("app.example.com", "/exact"), ("app.example.com", "/exact/"),
    ("app.example.com", "/low"), ("app.example.com", "/wild"), ("x.example.com", "/wild/y"),
    ("x.y.example.com", "/"), ("example.com", "/"), ("any.com", "/bare"), ("any.com", "/barely"),
    ("any.com", "/zzz"), ("re.com", "/x1"), ("slash.com", "/api"), ("slash.com", "/api/x"),
    ("ir.com", "/"), ("ir.com", "/ranked"), ("ir2.com", "/"), ("points.com", "/"),
    ("tls.com", "/"), ("tls1.com", "/"), ("case.com", "/"), ("typo.com", "/"),
    ("two.com", "/"), ("irtwo.com", "/"), ("public.com", "/"), ("cross.com", "/"),
    ("a.syntax.com", "/"), ("irtls.com", "/"),
]  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_the_same_route_is_chosen(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    test_the_same_routes_are_loaded(cases, name)
    # The API shows a router shortly before requests reach it: wait for the first full agreement,
    # then it has to last.
    end = time.monotonic() + 10
    while disagreements(case) and time.monotonic() < end:
        pass
    assert disagreements(case) == []


def disagreements(case: Case) -> list[tuple[str, str, str | None]]:
    """Host, path and the real choice, where this package does not expect that choice."""
    wrong = []
    for host, asked in REQUESTS:
        chosen = select(case.routes, host, asked, view=case.view, entry_point="web", scheme="http")
        assert chosen.undecided == ()
        real = case.router_of(host, asked)
        possible = {r.rule for r in (chosen.winner, *chosen.ties) if isinstance(r, Route)}
        if real not in (possible or {None}):
            wrong.append((host, asked, real))
    return wrong


ORDERS = {"kubernetes,kubernetescrd": "kubernetes", "KubernetesCRD,kubernetes": "kubernetescrd"}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An Ingress and an IngressRoute with the very same rule."""
    with Serving(tmp_path_factory.mktemp("twins")) as serving:
        objects = [
            ingress_class("traefik"),
            *service("one", "app", 1),
            *service("one", "other", 2),
            ingress("twin", ("twin.com", [path("/")])),
            custom("IngressRoute", "twin", {"entryPoints": ["web"], "routes": [
                route('Host("twin.com") && PathPrefix("/")', {"name": "other", "port": 80})]}),
        ]  # fmt: skip

        async def fill() -> None:
            for obj in objects:
                serving.store.put(obj)

        serving.run(fill())
        yield serving


@pytest.mark.parametrize("order", ORDERS)
def test_a_precedence_that_is_set_decides_between_equal_priorities(
    twins: Serving, tmp_path: Path, order: str
) -> None:
    access = tmp_path / "access"
    common = [f"endpoint={twins.server.url}", f"token={ADMIN}",
              f"certauthfilepath={twins.ca_file}", "allowemptyservices"]  # fmt: skip
    args = [f"--accesslog.filepath={access}", "--accesslog.format=json",
            f"--providers.precedence={order}"]  # fmt: skip
    for provider in ("kubernetesingress", "kubernetescrd"):
        args += [f"--providers.{provider}.{each}" for each in common]
    with RealTraefik(args, tmp_path / "log") as traefik:
        case = Case(traefik, evidence(twins), access)
        chosen = select(
            case.routes, "twin.com", "/", view=case.view, entry_point="web", scheme="http"
        )
        assert chosen.winner is not None
        assert chosen.winner.provider == ORDERS[order]
        assert chosen.ties == ()
        both = set(ORDERS.values())
        traefik.routers(lambda found: both <= {r["provider"] for r in found})
        # The API shows a router shortly before requests reach it.
        end = time.monotonic() + 10
        served: list[str] = []
        while served[-3:] != [ORDERS[order]] * 3 and time.monotonic() < end:
            served.append(case.router_named("twin.com", "/").rpartition("@")[2])
        assert served[-3:] == [ORDERS[order]] * 3
