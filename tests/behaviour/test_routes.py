"""Routes by version, why they are left out, and the choice between them."""

from typing import Any

import pytest

from hopcheck.behaviour.kubernetes.objects import label_matches
from hopcheck.behaviour.traefik.near import within
from hopcheck.behaviour.traefik.route import Backend, Excluded, View
from hopcheck.behaviour.traefik.routes import Selection, candidates, dropped, leaves, select
from hopcheck.behaviour.traefik.static import static_config
from hopcheck.behaviour.traefik.version import Version
from hopcheck.model import Collected, KubeEvidence, Why
from hopcheck.model.kubernetes import Pod
from tests.objects import made

Obj = dict[str, Any]
NEW = Version(3, 7, 15)
ARGS = [
    "--entrypoints.web.address=:8000",
    "--entrypoints.websecure.address=:8443",
    "--entrypoints.websecure.http.tls",
    "--providers.kubernetesingress",
    "--providers.kubernetescrd",
]


def view(*args: str, version: Version = NEW, name: str = "t/traefik") -> View:
    container = {"name": "traefik", "image": "traefik", "args": [*ARGS, *args]}
    pod = made(Pod, metadata={"namespace": "t"}, spec={"containers": [container]})
    return View(name, static_config(pod), version)


def ingress(host: str, path: str = "/", name: str = "app", **more: Any) -> Obj:
    backend = {"service": {"name": more.pop("service", "app"), "port": {"number": 80}}}
    http = {"paths": [{"path": path, "pathType": more.pop("kind", "Prefix"), "backend": backend}]}
    meta = {"namespace": more.pop("namespace", "ns"), "name": name}
    meta["annotations"] = more.pop("notes", {})
    return {"metadata": meta, "spec": {"rules": [{"host": host, "http": http}], **more}}


def route(kind: str, match: str, name: str = "ir", **more: Any) -> Obj:
    entry = {"match": match, "services": [{"name": more.pop("service", "app"), "port": 80}]}
    entry.update(more.pop("entry", {}))
    return {"kind": kind, "metadata": {"namespace": "ns", "name": name},
            "spec": {"routes": [entry], **more}}  # fmt: skip


def kube(*objects: Obj, classes: Any = ("traefik",), **lists: Any) -> KubeEvidence:
    read = classes
    if isinstance(classes, tuple):
        read = Collected(
            value=tuple(
                {"metadata": {"name": n}, "spec": {"controller": "traefik.io/ingress-controller"}}
                for n in classes
            )
        )
    kinds: dict[str, list[Obj]] = {"ingresses": [], "ingressroutes": [], "ingressroutetcps": []}
    for obj in objects:
        kinds[{"IngressRoute": "ingressroutes", "IngressRouteTCP": "ingressroutetcps"}.get(
            obj.get("kind", ""), "ingresses")].append(obj)  # fmt: skip
    found = {name: Collected(value=tuple(each)) for name, each in {**kinds, **lists}.items()}
    return KubeEvidence(lists={**found, "ingressclasses": read})


def choose(
    evidence: KubeEvidence,
    own: View,
    url: str,
    entry_point: str = "web",
    scheme: Any = "http",
) -> Selection:
    host, _, path = url.partition("/")
    return select(
        candidates(evidence, [own]), host, f"/{path}", view=own, entry_point=entry_point,
        scheme=scheme,
    )  # fmt: skip


def reasons(selection: Selection) -> list[tuple[str, Excluded, str]]:
    return [(r.name, e.reason, e.field) for r in selection.excluded for e in r.excluded]


@pytest.mark.parametrize(
    ("version", "rule"),
    [
        (Version(2, 11, 20), "HostRegexp(`{subdomain:[a-zA-Z0-9-]+}.a.com`) && PathPrefix(`/`)"),
        (Version(2, 11, 50), 'HostRegexp("{subdomain:[a-zA-Z0-9-]+}.a.com") && PathPrefix("/")'),
        (Version(3, 0, 4), r"HostRegexp(`^[a-zA-Z0-9-]+\.a\.com$`) && PathPrefix(`/`)"),
        (Version(3, 6, 10), r"HostRegexp(`^[a-zA-Z0-9-]+\.a\.com$`) && PathPrefix(`/`)"),
        (Version(3, 6, 11), r'HostRegexp("^[a-zA-Z0-9-]+\\.a\\.com$") && PathPrefix("/")'),
        (Version(3, 7, 0), 'Host("*.a.com") && PathPrefix("/")'),
    ],
)
def test_wildcard_by_version(version: Version, rule: str) -> None:
    own = view(version=version)
    evidence = kube(ingress("*.a.com", name="wild"), ingress("app.a.com", name="exact"))
    assert [r.rule for r in candidates(evidence, [own]) if r.name == "wild"] == [rule]
    chosen = choose(evidence, own, "app.a.com/")
    assert chosen.winner is not None
    steals = not version.at_least(3, 7)
    assert chosen.winner.name == ("wild" if steals else "exact")
    assert [r.name for r in chosen.shadowed] == ["exact" if steals else "wild"]
    assert choose(evidence, own, "x.y.a.com/").winner is None


def test_strict_prefix_by_version() -> None:
    for version, strict in ((Version(3, 4, 9), False), (Version(3, 5, 0), True)):
        own = view("--providers.kubernetesingress.strictprefixmatching", version=version)
        chosen = choose(kube(ingress("a.com", "/api")), own, "a.com/apix")
        assert (chosen.winner is None) == strict


@pytest.mark.parametrize(
    ("spec", "args", "expected"),
    [
        ({"ingressClassName": "gone"}, [], (Excluded.CLASS_MISSING, "spec.ingressClassName")),
        ({"ingressClassName": "nginx"}, [], (Excluded.CLASS_OTHER, "spec.ingressClassName")),
        (
            {"ingressClassName": "traefik"},
            ["--providers.kubernetesingress.ingressclass=x"],
            (Excluded.CLASS_FLAG, "spec.ingressClassName"),
        ),
        (
            {"ingressClassName": "traefik"},
            ["--providers.kubernetesingress.disableclusterscoperesources"],
            (Excluded.CLUSTER_SCOPE_OFF, "spec.ingressClassName"),
        ),
        (
            {"notes": {"kubernetes.io/ingress.class": "nginx"}},
            [],
            (Excluded.ANNOTATION_OTHER, "metadata.annotations[kubernetes.io/ingress.class]"),
        ),
        (
            {},
            ["--providers.kubernetesingress.ingressclass=x"],
            (Excluded.NO_CLASS_BUT_FLAG, "spec.ingressClassName"),
        ),
        (
            {},
            ["--providers.kubernetesingress.namespaces=other"],
            (Excluded.NAMESPACE_FILTERED, "metadata.namespace"),
        ),
        (
            {},
            ["--providers.kubernetesingress.labelselector=a=b"],
            (Excluded.LABEL_FILTERED, "metadata.labels"),
        ),
        ({}, ["--providers.kubernetesingress=false"], (Excluded.PROVIDER_DISABLED, "")),
        ({}, [], None),
        ({"ingressClassName": "traefik"}, [], None),
        ({"notes": {"kubernetes.io/ingress.class": "traefik"}}, [], None),
    ],
)
def test_filters(spec: Obj, args: list[str], expected: tuple[Excluded, str] | None) -> None:
    nginx = {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
    own_class = {"metadata": {"name": "traefik"},
                 "spec": {"controller": "traefik.io/ingress-controller"}}  # fmt: skip
    classes = Collected(value=(nginx, own_class))
    chosen = choose(kube(ingress("a.com", **spec), classes=classes), view(*args), "a.com/")
    if expected is None:
        assert chosen.winner is not None
        assert chosen.excluded == ()
    else:
        assert chosen.winner is None
        assert reasons(chosen) == [("app", *expected)]


def test_what_was_not_seen_is_uncertain_and_not_excluded() -> None:
    denied = Collected(why=Why.DENIED)
    chosen = choose(kube(ingress("a.com", ingressClassName="x"), classes=denied), view(), "a.com/")
    assert chosen.winner is not None
    assert chosen.winner.uncertain == ("ingressclasses",)
    unread = View("t/traefik", static_config(Pod()), NEW)
    routes = candidates(kube(ingress("a.com"), route("IngressRoute", "Host(`a.com`)")), [unread])
    assert [(r.loaded, r.uncertain) for r in routes] == [(True, ("static",)), (True, ("static",))]


def test_conflict_is_a_tie_and_the_same_destination_is_none() -> None:
    other = ingress("a.com", name="other", namespace="two")
    chosen = choose(kube(ingress("a.com"), other), view(), "a.com/")
    assert chosen.winner is not None
    assert {chosen.winner.namespace, *(r.namespace for r in chosen.ties)} == {"ns", "two"}
    again = choose(kube(ingress("a.com"), ingress("a.com", name="again")), view(), "a.com/")
    assert again.ties == ()
    assert len(again.order) == 2


def test_providers_are_ordered_where_it_is_set() -> None:
    evidence = kube(
        ingress("a.com", service="one"),
        route("IngressRoute", "Host(`a.com`) && PathPrefix(`/`)", service="two"),
    )
    # Without the setting 3.7.15 chooses at random, whatever its documentation says.
    assert len(choose(evidence, view(), "a.com/").ties) == 1
    first = choose(evidence, view("--providers.precedence=kubernetescrd,kubernetes"), "a.com/")
    assert first.winner is not None
    assert (first.winner.kind, first.ties) == ("IngressRoute", ())
    turned = choose(evidence, view("--providers.precedence=kubernetes,kubernetescrd"), "a.com/")
    assert turned.winner is not None
    assert turned.winner.kind == "Ingress"
    older = view("--providers.precedence=kubernetes,kubernetescrd", version=Version(3, 6, 1))
    assert len(choose(evidence, older, "a.com/").ties) == 1


def test_default_backend_serves_the_rest() -> None:
    backend = {"service": {"name": "rest", "port": {"number": 80}}}
    alone = {"metadata": {"namespace": "ns", "name": "rest"}, "spec": {"defaultBackend": backend}}
    beside = ingress("a.com", name="beside", defaultBackend=backend)
    chosen = choose(kube(alone, ingress("a.com")), view(), "b.com/x")
    assert chosen.winner is not None
    assert (chosen.winner.field, chosen.winner.priority) == ("spec.defaultBackend", -(2**31))
    assert reasons(choose(kube(beside), view(), "b.com/")) == [
        ("beside", Excluded.DEFAULT_BACKEND_IGNORED, "spec.defaultBackend")
    ]


def test_tls_by_entry_point() -> None:
    evidence = kube(ingress("a.com"))
    assert choose(evidence, view(), "a.com/", "websecure", "https").winner is not None
    plain = choose(evidence, view("--entrypoints.websecure.http.tls=false"), "a.com/",
                   "websecure", "https")  # fmt: skip
    assert plain.winner is None
    assert [(m.route.name, m.reason) for m in plain.misses] == [("app", Excluded.NOT_TLS)]
    tls = kube(ingress("a.com", notes={"traefik.ingress.kubernetes.io/router.tls": "true"}))
    only = choose(tls, view(), "a.com/")
    assert [(m.route.name, m.reason) for m in only.misses] == [("app", Excluded.ONLY_TLS)]
    points = {"traefik.ingress.kubernetes.io/router.entrypoints": "websecure"}
    other = choose(kube(ingress("a.com", notes=points)), view(), "a.com/")
    assert [(m.route.name, m.reason) for m in other.misses] == [("app", Excluded.ENTRYPOINT_OTHER)]


def test_entry_point_redirects_before_any_route() -> None:
    to = "--entrypoints.web.http.redirections.entrypoint.to=websecure"
    chosen = choose(kube(ingress("a.com")), view(to), "a.com/")
    assert chosen.redirect is not None
    assert chosen.redirect.redirect_to == "websecure"
    assert choose(kube(ingress("a.com")), view(to), "a.com/", "websecure", "https").redirect is None
    low = f"{to.rpartition('.')[0]}.priority=1"
    assert choose(kube(ingress("a.com")), view(to, low), "a.com/").redirect is None


@pytest.mark.parametrize(
    ("declared", "path", "kind", "url", "reason", "hint"),
    [
        ("a.com", "/api", "Exact", "a.com/api/", Excluded.PATH_MISMATCH, "trailing_slash"),
        ("a.com", "/api", "Exact", "a.com/api/x", Excluded.PATH_MISMATCH, "exact"),
        ("a.com", "/api/", "Prefix", "a.com/api", Excluded.PATH_MISMATCH, "trailing_slash"),
        ("a.com", "/Api", "Prefix", "a.com/api", Excluded.PATH_MISMATCH, "case"),
        ("*.a.com", "/", "Prefix", "a.com/", Excluded.HOST_MISMATCH, "wildcard_apex"),
        ("*.a.com", "/", "Prefix", "x.y.a.com/", Excluded.HOST_MISMATCH, "wildcard_depth"),
        ("myap.example.com", "/", "Prefix", "myapp.example.com/", Excluded.HOST_MISMATCH, "typo"),
        ("other.example.com", "/", "Prefix", "myapp.example.com/", None, ""),
    ],
)
def test_near_misses(
    declared: str, path: str, kind: str, url: str, reason: Excluded | None, hint: str
) -> None:
    chosen = choose(kube(ingress(declared, path, kind=kind)), view(), url)
    assert chosen.winner is None
    expected = [(reason, hint)] if reason else []
    assert [(m.reason, m.hint) for m in chosen.misses] == expected


def test_undecided_route_before_the_winner() -> None:
    guarded = route("IngressRoute", "Host(`a.com`) && ClientIP(`10.0.0.0/8`) && PathPrefix(`/`)")
    chosen = choose(kube(guarded, ingress("a.com")), view(), "a.com/")
    assert chosen.winner is not None
    assert chosen.winner.kind == "Ingress"
    assert [r.name for r in chosen.undecided] == ["ir"]


def test_tcp_passthrough_and_https_routes() -> None:
    tcp = route("IngressRouteTCP", "HostSNI(`a.com`)", "tcp", tls={"passthrough": True},
                entryPoints=["websecure"])  # fmt: skip
    alone = choose(kube(tcp), view(), "a.com/", "websecure", "https")
    assert alone.winner is not None
    assert (alone.winner.name, alone.winner.passthrough) == ("tcp", True)
    both = choose(kube(tcp, ingress("a.com")), view(), "a.com/", "websecure", "https")
    assert both.winner is not None
    assert both.winner.kind == "Ingress"
    star = route("IngressRouteTCP", "HostSNI(`*`)", "star", tls={}, entryPoints=["websecure"])
    assert [r.priority for r in candidates(kube(star), [view()])] == [-1]
    missing = choose(kube(star, ingress("b.com")), view(), "a.com/", "websecure", "https")
    assert missing.winner is None
    plain = route("IngressRouteTCP", "HostSNI(`a.com`)", "plain", entryPoints=["web"])
    assert [e.reason for r in candidates(kube(plain), [view()]) for e in r.excluded] == [
        Excluded.NOT_TLS
    ]


def test_ingressroute_references_and_class() -> None:
    crossing = route(
        "IngressRoute", "Host(`a.com`)", entry={"middlewares": [{"name": "m", "namespace": "two"}]}
    )
    crossed = candidates(kube(crossing), [view()])[0]
    assert crossed.middlewares == ("two-m@kubernetescrd",)
    assert [(e.reason, e.field) for e in crossed.excluded] == [
        (Excluded.CROSS_NAMESPACE, "spec.routes[0].middlewares[0]")
    ]
    field = route("IngressRoute", "Host(`a.com`)", ingressClassName="x")
    assert [e.reason for e in candidates(kube(field), [view()])[0].excluded] == [
        Excluded.CLASS_FLAG
    ]
    assert candidates(kube(field), [view(version=Version(3, 6, 1))])[0].loaded
    old = route("IngressRoute", "HostRegexp(`{s:.+}.a.com`)", entry={"syntax": "v2"})
    assert choose(kube(old), view(), "x.a.com/").winner is not None
    default = view("--core.defaultrulesyntax=v2")
    plain = route("IngressRoute", "Host(`a.com`, `b.com`)")
    assert choose(kube(plain), default, "b.com/").winner is not None
    assert reasons(choose(kube(plain), view(), "b.com/")) == [
        ("ir", Excluded.PARSE_ERROR, "spec.routes[0].match")
    ]


def test_two_installations_do_not_mix() -> None:
    views = [
        view("--providers.kubernetesingress.ingressclass=a", name="t/a"),
        view("--providers.kubernetesingress.ingressclass=b", name="t/b"),
    ]
    evidence = kube(ingress("a.com", ingressClassName="a"), classes=("a", "b"))
    routes = candidates(evidence, views)
    found = [
        select(routes, "a.com", "/", view=each, entry_point="web", scheme="http") for each in views
    ]
    assert [each.winner is not None for each in found] == [True, False]
    assert reasons(found[1]) == [("app", Excluded.CLASS_FLAG, "spec.ingressClassName")]


def test_broken_ingresses_of_other_hosts_are_not_reported() -> None:
    others = [ingress(f"broken{n}.org", name=f"b{n}", ingressClassName="gone") for n in range(50)]
    chosen = choose(kube(ingress("a.com"), *others), view(), "a.com/")
    assert chosen.excluded == ()
    assert chosen.misses == ()


def test_leaves_follow_traefik_services() -> None:
    weighted = {
        "metadata": {"namespace": "ns", "name": "w"},
        "spec": {"weighted": {"services": [
            {"name": "a", "port": 80, "weight": 3},
            {"name": "m", "kind": "TraefikService"},
            {"name": "gone", "kind": "TraefikService"}]}},
    }  # fmt: skip
    mirrored = {
        "metadata": {"namespace": "ns", "name": "m"},
        "spec": {"mirroring": {"name": "b", "port": "http", "mirrors": [{"name": "x"}]}},
    }
    start = Backend("ns", "w", kind="TraefikService")
    services, missing = leaves(kube(traefikservices=[weighted, mirrored]), start)
    assert [(b.name, b.port, b.weight) for b in services] == [("a", 80, 3), ("b", "http", None)]
    assert [b.name for b in missing] == ["gone"]
    assert leaves(KubeEvidence(), start) == ([], [])
    assert leaves(kube(), Backend("ns", "api@internal", kind="TraefikService")) == ([], [])
    loop = {
        "metadata": {"namespace": "ns", "name": "w"},
        "spec": {"weighted": {"services": [{"name": "w", "kind": "TraefikService"}]}},
    }
    assert leaves(kube(traefikservices=[loop]), start) == ([], [])


SERVICE = {
    "metadata": {"namespace": "ns", "name": "app"},
    "spec": {"ports": [{"name": "http", "port": 80}]},
}


def slices(**conditions: bool) -> dict[str, list[Obj]]:
    """The Service's lists, with one address in these conditions."""
    labels = {"kubernetes.io/service-name": "app"}
    one = {
        "metadata": {"namespace": "ns", "name": "app-1", "labels": labels},
        "endpoints": [{"addresses": ["10.1.0.1"], "conditions": conditions}],
        "ports": [{"name": "http", "port": 8080}],
    }
    return {"services": [SERVICE], "endpointslices": [one]}


@pytest.mark.parametrize(
    ("version", "conditions", "expected"),
    [
        (Version(3, 0, 4), {"ready": False, "terminating": True}, False),
        (Version(3, 0, 4), {"ready": False, "terminating": False}, True),
        (NEW, {"ready": False, "terminating": True}, True),
    ],
)
def test_a_scheme_is_looked_at_where_there_is_a_subset(
    version: Version, conditions: dict[str, bool], expected: bool
) -> None:
    """Up to 3.0 Endpoints are read, which name no pod that terminates."""
    own = view("--providers.kubernetescrd.allowemptyservices", version=version)
    entry = {"services": [{"name": "app", "port": 80, "scheme": "ftp"}]}
    evidence = kube(route("IngressRoute", "Host(`a.com`)", entry=entry), **slices(**conditions))
    made_of_it = candidates(evidence, [own])[0]
    assert dropped(evidence, own, made_of_it) is expected


@pytest.mark.parametrize(("kind", "winner"), [("TraefikService", "gone"), ("Service", "app")])
def test_of_the_same_rule_the_last_that_is_read_counts(kind: str, winner: str) -> None:
    """A TraefikService is asked for later: that router is made, and is disabled."""
    obj = route("IngressRoute", "Host(`a.com`)")
    services = [{"name": "gone", "port": 80, "kind": kind}]
    obj["spec"]["routes"].append({"match": "Host(`a.com`)", "services": services})
    evidence = kube(obj, **slices(ready=True), traefikservices=[])
    assert [one.backends[0].name for one in candidates(evidence, [view()])] == [winner]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True), ("a=1", True), ("a==2", False), ("a!=2", True), ("b!=1", True), ("a", True),
        ("!a", False), ("!b", True), ("a in (1, 2),c", True), ("a notin (1)", False),
        ("b notin (1)", True), ("a=1,b", False), ("a in (", None),
    ],
)  # fmt: skip
def test_label_selectors(selector: str, expected: bool | None) -> None:
    assert label_matches(selector, {"a": "1", "c": ""}) is expected


def test_within() -> None:
    assert within("myapp", "mypap", 1)
    assert within("my-app", "myapp", 2)
    assert not within("myapp", "myapp", 2)
    assert not within("myapp", "other", 2)
