"""Objects by a grammar: a seed and a number make a case, always the same one.

A case is what a team keeps for a host and its sub-domains: routes, Services, what these name. About
half of the cases are wrong in one to three places. Each has namespaces and hosts of its own, so
that many are loaded at once without meeting.
"""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Obj = dict[str, Any]

NOTE = "traefik.ingress.kubernetes.io/"
OLD_CLASS = "kubernetes.io/ingress.class"
CERTIFICATE = {"tls.crt": "@certificate", "tls.key": "@key"}  # filled in where it is loaded
# Where the stand-in for every application listens; a run has a network of its own in its place.
NETWORK = "127.0.7."
ADDRESSES = tuple(f"{NETWORK}{number}" for number in range(1, 7))
PORTS = (18_080, 18_443)

CLASSES: list[Obj] = [
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": name},
        "spec": {"controller": controller},
    }
    for name, controller in (
        ("traefik", "traefik.io/ingress-controller"),
        ("public", "traefik.io/ingress-controller"),
        ("nginx", "k8s.io/ingress-nginx"),
    )
]


@dataclass(frozen=True)
class Request:
    entry_point: str
    scheme: str
    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path} at {self.entry_point}"


@dataclass
class Case:
    number: int
    objects: list[Obj]
    requests: list[Request]
    wrong: list[str] = field(default_factory=list)  # what was made wrong

    @property
    def mark(self) -> str:
        return mark(self.number)


def mark(number: int) -> str:
    """The beginning of the case's namespaces and the domain of its hosts."""
    return f"k{number}"


def settings(seed: int, number: int) -> tuple[str, ...]:
    """Settings of both Kubernetes providers, for one load of cases."""
    draw = random.Random(f"{seed} settings {number}")
    shares = {
        "allowemptyservices": 0.6,
        "allowcrossnamespace": 0.4,
        "allowexternalnameservices": 0.5,
        "nativelbbydefault": 0.1,
        "strictprefixmatching": 0.2,
        "disableingressclasslookup": 0.1,
        "ingressclass=public": 0.1,
    }
    return tuple(name for name, share in shares.items() if draw.random() < share)


def case(seed: int, number: int) -> Case:
    return _Writer(random.Random(f"{seed} case {number}"), number).case()


class _Writer:
    def __init__(self, draw: random.Random, number: int) -> None:
        self.draw, self.number = draw, number
        self.objects: list[Obj] = []
        self.home = f"{mark(number)}-a"
        self.domain = f"{mark(number)}.test"

    def chance(self, share: float) -> bool:
        return self.draw.random() < share

    def one(self, *choices: Any) -> Any:
        return self.draw.choice(choices)

    def case(self) -> Case:
        for name in self.draw.sample(("app", "web", "api"), 2):
            self.service(name)
        if self.chance(0.25):
            self.service("app", f"{mark(self.number)}-b")
        for _ in range(self.draw.randint(0, 2)):
            self.middleware(f"m{len(self.of('Middleware'))}")
        if self.chance(0.3):
            self.put("ServersTransport", "transport", {"insecureSkipVerify": True})
        if self.chance(0.3):
            self.put("TLSOption", "options", {"minVersion": "VersionTLS12"})
        if self.chance(0.1):
            self.put("TLSStore", "store", {"defaultCertificate": {"secretName": "cert"}})
        if self.chance(0.3):
            self.traefik_service("mixed")
        if self.chance(0.5):
            self.secret("cert", CERTIFICATE, "kubernetes.io/tls")
        for at in range(self.draw.randint(1, 3)):
            self.one(self.ingress, self.ingress_route)(f"r{at}")
        found = Case(self.number, self.objects, self.requests())
        if self.chance(0.5):
            self.spoil(found)
        found.objects += [endpoints for one in self.of("Service") if (endpoints := self.ready(one))]
        return found

    # --- what is right

    def put(self, kind: str, name: str, spec: Obj, namespace: str = "", **more: Any) -> Obj:
        obj = {
            "apiVersion": {
                "Ingress": "networking.k8s.io/v1",
                "Service": "v1",
                "Secret": "v1",
                "EndpointSlice": "discovery.k8s.io/v1",
            }.get(kind, "traefik.io/v1alpha1"),
            "kind": kind,
            "metadata": {"namespace": namespace or self.home, "name": name, "annotations": {}},
            **({"spec": spec} if spec else {}),
            **more,
        }
        self.objects.append(obj)
        return obj

    def of(self, kind: str) -> list[Obj]:
        return [obj for obj in self.objects if obj["kind"] == kind]

    def name_of(self, kind: str, otherwise: str) -> str:
        own = [obj["metadata"]["name"] for obj in self.of(kind)]
        return str(self.draw.choice(own)) if own else otherwise

    def secret(self, name: str, data: Obj, kind: str = "Opaque") -> None:
        data = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        self.put("Secret", name, {}, type=kind, data=data)

    def service(self, name: str, namespace: str = "") -> Obj:
        ports = [{"name": "http", "port": 80, "targetPort": PORTS[0]}]
        if self.chance(0.3):
            ports.append(
                {
                    "name": self.one("https", "https-api", "api-https"),
                    "port": self.one(443, 8443),
                    "targetPort": PORTS[1],
                }
            )
        spec: Obj = {"clusterIP": f"{NETWORK}{len(self.of('Service')) + 100}", "ports": ports}
        if self.chance(0.1):
            spec["clusterIP"] = "None"
        elif self.chance(0.1):
            spec |= {"type": "NodePort"}
        obj = self.put("Service", name, spec, namespace)
        if self.chance(0.1):
            value = self.one("http", "https", "h2c", "HTTP", "ftp")
            obj["metadata"]["annotations"][f"{NOTE}service.serversscheme"] = value
        if self.chance(0.05):
            value = self.one("true", "false")
            obj["metadata"]["annotations"][f"{NOTE}service.nativelb"] = value
        if self.chance(0.1):
            value = f"{self.home}-transport@kubernetescrd"
            obj["metadata"]["annotations"][f"{NOTE}service.serverstransport"] = value
        for at in range(self.one(0, 1, 1, 1, 1, 1, 2)):
            self.slice(obj, at)
        return obj

    def slice(self, service: Obj, at: int) -> None:
        meta = service["metadata"]
        conditions = [
            {},
            {"ready": True},
            {"ready": True, "serving": True, "terminating": False},
            {"ready": False},
            {"ready": False, "serving": False, "terminating": False},
            {"ready": False, "serving": True, "terminating": True},
            {"ready": False, "serving": False, "terminating": True},
        ]
        weights = [2, 2, 6, 1, 1, 1, 1]
        endpoints = [
            {"addresses": [address], "conditions": self.draw.choices(conditions, weights)[0]}
            for address in self.draw.sample(ADDRESSES, self.one(0, 1, 1, 2, 3))
        ]
        ports = [{"name": p["name"], "port": p["targetPort"]} for p in service["spec"]["ports"]]
        one = self.put("EndpointSlice", f"{meta['name']}-{at}", {}, meta["namespace"])
        one |= {"addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        one["metadata"]["labels"] = {"kubernetes.io/service-name": meta["name"]}

    def middleware(self, name: str) -> None:
        spec: Obj = self.one(
            {"headers": {"customResponseHeaders": {"X-Through": name}}},
            {"headers": {"customResponseHeaders": {"X-Through": name}}},
            {"stripPrefix": {"prefixes": ["/api"]}},
            {"redirectScheme": {"scheme": "https"}},
            {"basicAuth": {"secret": "users"}},
            {"chain": {"middlewares": [{"name": self.name_of("Middleware", "m0")}]}},
            {"compress": {}},
            {"ipAllowList": {"sourceRange": ["10.0.0.0/8"]}},
        )
        if "basicAuth" in spec:
            self.secret("users", {"users": "night:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/"})
        self.put("Middleware", name, spec)

    def traefik_service(self, name: str) -> None:
        entries = [self.balanced() for _ in range(self.draw.randint(1, 2))]
        if self.chance(0.7):
            for entry in entries:
                if self.chance(0.5):
                    entry["weight"] = self.one(0, 1, 3)
            self.put("TraefikService", name, {"weighted": {"services": entries}})
        else:
            copies = [{**each, "percent": 10} for each in entries[1:]]
            self.put("TraefikService", name, {"mirroring": {**entries[0], "mirrors": copies}})

    def balanced(self) -> Obj:
        service = self.draw.choice(self.of("Service"))
        entry: Obj = {"name": service["metadata"]["name"]}
        port = self.draw.choice(service["spec"]["ports"])
        entry["port"] = self.one(port["port"], port["port"], port["name"])
        if service["metadata"]["namespace"] != self.home:
            entry["namespace"] = service["metadata"]["namespace"]
        if self.chance(0.1):
            entry["scheme"] = self.one("http", "https", "h2c")
        if self.chance(0.1):
            entry["serversTransport"] = "transport"
        if self.chance(0.05):
            entry["nativeLB"] = self.one(True, False)
        return entry

    def host(self) -> str:
        domain = self.domain
        return str(self.one(domain, domain, f"www.{domain}", f"api.{domain}", f"*.{domain}"))

    def path(self) -> str:
        return str(self.one("/", "/", "/api", "/api/", "/api/v1", "/static", "/API", "/a b", "/~x"))

    def ingress(self, name: str) -> None:
        notes: dict[str, str] = {}
        for key, share, values in (
            ("entrypoints", 0.2, ("web", "websecure", "web,websecure", "other")),
            ("priority", 0.1, ("1", "5", "100")),
            ("pathmatcher", 0.1, ("Path", "PathPrefix", "PathRegexp")),
            ("tls", 0.1, ("true", "false", "")),
            ("rulesyntax", 0.05, ("v2", "v3")),
        ):
            if self.chance(share):
                notes[f"{NOTE}router.{key}"] = self.one(*values)
        if self.of("Middleware") and self.chance(0.3):
            middleware = self.name_of("Middleware", "")
            notes[f"{NOTE}router.middlewares"] = f"{self.home}-{middleware}@kubernetescrd"
        if self.of("TLSOption") and self.chance(0.3):
            notes[f"{NOTE}router.tls.options"] = f"{self.home}-options@kubernetescrd"
        own = [one for one in self.of("Service") if one["metadata"]["namespace"] == self.home]
        rules = []
        for _ in range(self.draw.randint(1, 2)):
            paths = []
            for _ in range(self.draw.randint(1, 3)):
                service = self.draw.choice(own)
                port = self.draw.choice(service["spec"]["ports"])
                which = self.one({"number": port["port"]}, {"name": port["name"]})
                backend = {"service": {"name": service["metadata"]["name"], "port": which}}
                kind = self.one("Prefix", "Prefix", "Exact", "ImplementationSpecific")
                paths.append({"path": self.path(), "pathType": kind, "backend": backend})
            rules.append({"host": self.host(), "http": {"paths": paths}})
        spec: Obj = {"ingressClassName": "traefik", "rules": rules}
        if self.chance(0.2):
            spec["tls"] = [{"hosts": [self.domain], "secretName": "cert"}]
        if self.chance(0.15):
            del spec["ingressClassName"]
            notes[OLD_CLASS] = "traefik"
        elif self.chance(0.1):
            spec["ingressClassName"] = "public"
        self.put("Ingress", name, spec)["metadata"]["annotations"] = notes

    def ingress_route(self, name: str) -> None:
        routes = []
        for _ in range(self.draw.randint(1, 3)):
            route: Obj = {"kind": "Rule", "match": self.rule()}
            if self.chance(0.95):
                route["services"] = [self.backend() for _ in range(self.one(1, 1, 1, 2))]
            if self.of("Middleware") and self.chance(0.3):
                route["middlewares"] = [{"name": self.name_of("Middleware", "")}]
            if self.chance(0.1):
                route["priority"] = self.one(1, 5, 100, -1)
            if self.chance(0.05):
                route["syntax"] = self.one("v2", "v3")
            routes.append(route)
        spec: Obj = {"routes": routes}
        if self.chance(0.6):
            spec["entryPoints"] = self.one(["web"], ["websecure"], ["web", "websecure"], ["other"])
        if self.chance(0.2):
            spec["tls"] = self.one({}, {"secretName": "cert"})
            if self.of("TLSOption") and self.chance(0.4):
                spec["tls"]["options"] = {"name": "options"}
        obj = self.put("IngressRoute", name, spec)
        if self.chance(0.1):
            obj["metadata"]["annotations"][OLD_CLASS] = self.one("traefik", "public")
        if self.chance(0.05):
            spec["ingressClassName"] = self.one("traefik", "public")

    def backend(self) -> Obj:
        if self.of("TraefikService") and self.chance(0.4):
            return {"kind": "TraefikService", "name": self.name_of("TraefikService", "")}
        return self.balanced()

    def rule(self) -> str:
        host = self.host().replace("*.", "any.")
        quote = self.one("`", "`", '"')
        named = str(
            self.one(
                f"Host({quote}{host}{quote})",
                f"Host({quote}{host}{quote})",
                f"Host(`{host.upper()}`)",
                f"host(`{host}`)",
                f"(Host(`{host}`) || Host(`www.{self.domain}`))",
                f"HostRegexp(`^[a-z]+\\.{self.domain}$`)",
                f"HostRegexp(`{{sub:[a-z]+}}.{self.domain}`)",
                f"Host(`{host}`, `api.{self.domain}`)",
                f"Host(`*.{self.domain}`)",
            )
        )
        path = self.path()
        more = self.one(
            "", "", "", f" && PathPrefix(`{path}`)", f" && PathPrefix(`{path}`)",
            f" && Path(`{path}`)", f" && PathRegexp(`^{path}[a-z0-9]*$`)", " && Method(`GET`)",
            " && !PathPrefix(`/api`)", " && (PathPrefix(`/api`) || Path(`/static`))",
            " && PathPrefix(`/api`, `/static`)", " && PathPrefix(`/{part:[a-z]+}/v1`)",
            " && Query(`q`, `1`)", " && Method(`POST`)",
        )  # fmt: skip
        return named + str(more)

    def requests(self) -> list[Request]:
        domain, found = self.domain, []
        for _ in range(8):
            point = self.one("web", "web", "websecure", "websecure", "other")
            scheme = "https" if point == "websecure" or self.chance(0.1) else "http"
            host = self.one(domain, domain, f"www.{domain}", f"api.{domain}", f"any.{domain}")
            path = self.one(
                "/", "/", "/x", "/api", "/api/", "/api/v1", "/apix", "/static", "/API", "/a%20b",
                "/api/v1/more", "/?q=1", "/static?q=1", "//api", "/x/../api", "/%7Ex", "/~x",
            )  # fmt: skip
            found.append(Request(point, scheme, host, path))
        return found

    # --- what is wrong

    def spoil(self, found: Case) -> None:
        done: list[str] = []
        for _ in range(self.draw.randint(1, 3)):
            spoilt = self.draw.choice(_FAULTS)
            said = spoilt(self)
            if said:
                done.append(said)
        found.wrong = done

    def any_of(self, *kinds: str) -> Obj | None:
        own = [obj for kind in kinds for obj in self.of(kind)]
        return self.draw.choice(own) if own else None

    def ready(self, service: Obj) -> Obj | None:
        """The Endpoints that Kubernetes writes beside the Service's slices: of what is ready."""
        meta = service["metadata"]
        if service["spec"].get("type") == "ExternalName":
            return None
        subsets = []
        for one in self.of("EndpointSlice"):
            labels = one["metadata"]["labels"]
            if one["metadata"]["namespace"] != meta["namespace"]:
                continue
            if labels.get("kubernetes.io/service-name") != meta["name"]:
                continue
            subset: Obj = {"ports": one["ports"]}
            for endpoint in one["endpoints"]:
                conditions = endpoint["conditions"]
                ready = conditions.get("ready") is not False
                if ready or not conditions.get("terminating"):
                    kept = subset.setdefault("addresses" if ready else "notReadyAddresses", [])
                    kept.append({"ip": endpoint["addresses"][0]})
            if len(subset) > 1:
                subsets.append(subset)
        return {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"namespace": meta["namespace"], "name": meta["name"]},
            "subsets": subsets,
        }


def _backend_of_ingress(writer: _Writer) -> Obj | None:
    obj = writer.any_of("Ingress")
    if obj is None:
        return None
    rule = writer.draw.choice(obj["spec"]["rules"])
    paths = rule.get("http", {}).get("paths")
    return writer.draw.choice(paths)["backend"] if paths else None


def _route(writer: _Writer) -> Obj | None:
    obj = writer.any_of("IngressRoute")
    return writer.draw.choice(obj["spec"]["routes"]) if obj else None


def _entry(writer: _Writer) -> Obj | None:
    route = _route(writer)
    return writer.draw.choice(route["services"]) if route and route.get("services") else None


def _missing_service(writer: _Writer) -> str:
    backend, entry = _backend_of_ingress(writer), _entry(writer)
    if backend is not None and "service" in backend and writer.chance(0.5):
        backend["service"]["name"] += "x"
        return "an Ingress names a Service that is missing"
    if entry is not None:
        entry["name"] += "x"
        return "an IngressRoute names a Service that is missing"
    return ""


def _missing_port(writer: _Writer) -> str:
    backend, entry = _backend_of_ingress(writer), _entry(writer)
    if backend is not None and "service" in backend and writer.chance(0.5):
        backend["service"]["port"] = writer.one({"number": 81}, {"name": "htpp"}, {"name": "80"})
        return "an Ingress names a port that is missing"
    if entry is not None:
        entry["port"] = writer.one(81, "htpp", "80", 18_080)
        if writer.chance(0.2):
            del entry["port"]
        return "an IngressRoute names a port that is missing"
    return ""


def _deleted(writer: _Writer) -> str:
    kinds = ("Service", "EndpointSlice", "Middleware", "Secret", "TLSOption", "ServersTransport",
             "TraefikService")  # fmt: skip
    obj = writer.any_of(writer.draw.choice(kinds))
    if obj is None:
        return ""
    writer.objects.remove(obj)
    return f"deleted: {obj['kind']} {obj['metadata']['name']}"


def _moved(writer: _Writer) -> str:
    obj = writer.any_of("Middleware", "TLSOption", "ServersTransport", "TraefikService", "Secret")
    if obj is None:
        return ""
    obj["metadata"]["namespace"] = f"{mark(writer.number)}-b"
    return f"in another namespace: {obj['kind']} {obj['metadata']['name']}"


def _class(writer: _Writer) -> str:
    obj = writer.any_of("Ingress", "IngressRoute")
    if obj is None:
        return ""
    notes = obj["metadata"]["annotations"]
    obj["spec"].pop("ingressClassName", None)
    notes.pop(OLD_CLASS, None)
    if writer.chance(0.5):
        notes[OLD_CLASS] = writer.one("nginx", "public", "")
    else:
        obj["spec"]["ingressClassName"] = writer.one("nginx", "gone", "public", "Traefik")
    return f"another class: {obj['kind']}"


def _no_class(writer: _Writer) -> str:
    obj = writer.any_of("Ingress")
    if obj is None:
        return ""
    obj["spec"].pop("ingressClassName", None)
    return "an Ingress without a class"


def _rule(writer: _Writer) -> str:
    route = _route(writer)
    if route is None:
        return ""
    match = route["match"]
    route["match"] = writer.one(
        match.replace("`", "'"),
        match[:-1],
        match + ")",
        match.replace("Host", "Hots"),
        match.replace("&&", "&"),
        match.replace(" && ", ", "),
        match.replace(" && ", " and "),
        match.replace("PathPrefix(`/", "PathPrefix(`"),
        match.replace("(`", "(", 1),
        match.replace("Host(", "Hostname("),
        match + " &&",
        match + " && Host()",
        match + " && PathPrefix(``)",
        match + " && PathRegexp(`(`)",
        match + " && HostRegexp(`[`)",
        match.replace(".test", ".tést"),
        match.replace(" && ", "\n&& "),
        match.replace(" && ", " &&\n"),
        match + " && Headers(`X-A`, `b`)",
        f" {match} ",
        match.replace("Path", "path"),
        match.replace("Host", "HOST"),
        "",
    )
    return f"a rule: {route['match']}"


def _kind_of_route(writer: _Writer) -> str:
    route = _route(writer)
    if route is None:
        return ""
    route["kind"] = "Rule"
    entry = writer.draw.choice(route["services"]) if route.get("services") else None
    if entry is None:
        return ""
    entry["kind"] = writer.one("Service", "TraefikService")
    return "a reference of the other kind"


def _middleware_reference(writer: _Writer) -> str:
    route, obj = _route(writer), writer.any_of("Ingress")
    name = writer.name_of("Middleware", "m0")
    if obj is not None and (route is None or writer.chance(0.5)):
        obj["metadata"]["annotations"][f"{NOTE}router.middlewares"] = writer.one(
            name, f"{writer.home}-{name}", f"{name}@kubernetescrd", f"{writer.home}-{name}@file",
            f"{writer.home}-gone@kubernetescrd", f"{writer.home}/{name}@kubernetescrd",
        )  # fmt: skip
        return "an Ingress's middleware"
    if route is None:
        return ""
    route["middlewares"] = [
        writer.one(
            {"name": "gone"},
            {"name": name, "namespace": f"{mark(writer.number)}-b"},
            {"name": f"{name}@kubernetescrd"},
            {"name": f"{writer.home}-{name}@kubernetescrd"},
            {"name": f"{name}@file"},
        )
    ]
    return "an IngressRoute's middleware"


def _middleware_spec(writer: _Writer) -> str:
    obj = writer.any_of("Middleware")
    if obj is None:
        return ""
    obj["spec"] = writer.one(
        {"plugin": {"unknown": {"a": "b"}}},
        {"redirectRegex": {"regex": "(", "replacement": "x"}},
        {"headers": {}},
        {"chain": {"middlewares": [{"name": "gone"}]}},
        {"chain": {"middlewares": [{"name": obj["metadata"]["name"]}]}},
        {"basicAuth": {"secret": "gone"}},
        {"basicAuth": {}},
        {"ipAllowList": {"sourceRange": ["10.0.0.0/33"]}},
        {"stripPrefixRegex": {"regex": ["["]}},
        {"rateLimit": {"average": 1000, "burst": 1000}},
    )
    return f"a middleware: {json.dumps(obj['spec'])}"


def _entry_points(writer: _Writer) -> str:
    obj = writer.any_of("Ingress", "IngressRoute")
    if obj is None:
        return ""
    if obj["kind"] == "Ingress":
        value = writer.one("nowhere", "web, nowhere", "Web", "web websecure", "")
        obj["metadata"]["annotations"][f"{NOTE}router.entrypoints"] = value
    else:
        obj["spec"]["entryPoints"] = writer.one(["nowhere"], ["web", "nowhere"], ["Web"], [])
    return "entryPoints"


def _annotation(writer: _Writer) -> str:
    obj = writer.any_of("Ingress")
    if obj is None:
        return ""
    key, value = writer.one(
        ("router.entrypoint", "web"), ("router.priority", "high"), ("router.priority", "-1"),
        ("router.tls", "1"), ("router.tls", "yes"), ("router.tls.option", "x"),
        ("router.tls.options", "gone@kubernetescrd"), ("router.tls.options", "options"),
        ("router.pathmatcher", "Prefix"), ("router.Priority", "7"),
        ("router.rulesyntax", "v4"), ("router.tls.certresolver", "gone"), ("rule.type", "x"),
        ("router.middleware", "x"), ("router.tls.domains.0.main", "x.test"),
        ("router.observability.accesslogs", "true"), ("Router.tls", "true"),
        ("router.priority", "2147483648"), ("router.priority", " 5"), ("router.priority", "0x10"),
    )  # fmt: skip
    notes = obj["metadata"]["annotations"]
    # Of two keys that differ in their case alone either may count.
    for other in [each for each in notes if each.lower() == (NOTE + key).lower()]:
        del notes[other]
    notes[NOTE + key] = value
    return f"annotation {key}: {value}"


def _tls_options(writer: _Writer) -> str:
    obj = writer.any_of("IngressRoute")
    if obj is None:
        return ""
    obj["spec"].setdefault("tls", {})["options"] = writer.one(
        {"name": "gone"},
        {"name": "options", "namespace": f"{mark(writer.number)}-b"},
        {"name": "default"},
        {"name": f"{writer.home}-options@kubernetescrd"},
    )
    return "TLS options"


def _transport(writer: _Writer) -> str:
    entry = _entry(writer)
    if entry is None:
        return ""
    entry["serversTransport"] = writer.one(
        "gone", "transport@kubernetescrd", f"{writer.home}-transport@kubernetescrd", "x@file"
    )
    return "a ServersTransport"


def _scheme(writer: _Writer) -> str:
    entry = _entry(writer)
    if entry is None:
        return ""
    entry["scheme"] = writer.one("HTTPS", "ftp", "tcp", "https")
    return f"scheme {entry['scheme']}"


def _health_check(writer: _Writer) -> str:
    entry = _entry(writer)
    if entry is None or entry.get("kind") == "TraefikService":
        return ""
    entry["healthCheck"] = {"path": "/healthz", "interval": "10s"}
    return "a healthCheck of a Service"


def _external(writer: _Writer) -> str:
    obj = writer.any_of("Service")
    if obj is None:
        return ""
    obj["spec"] |= {"type": "ExternalName", "externalName": "localhost"}
    obj["spec"].pop("clusterIP", None)
    if writer.chance(0.3):
        obj["spec"]["ports"] = []
    return "an ExternalName"


def _service_port(writer: _Writer) -> str:
    obj = writer.any_of("Service")
    if obj is None or not obj["spec"]["ports"]:
        return ""
    port = writer.draw.choice(obj["spec"]["ports"])
    field, value = writer.one(("port", 8080), ("name", "main"), ("port", 443), ("name", "https"))
    if any(each.get(field) == value for each in obj["spec"]["ports"]):
        return ""
    port[field] = value
    return f"a Service's port has another {field}"


def _slice(writer: _Writer) -> str:
    obj = writer.any_of("EndpointSlice")
    if obj is None:
        return ""
    spoilt = writer.one("label", "ports", "name", "empty", "twice")
    if spoilt == "label":
        obj["metadata"]["labels"]["kubernetes.io/service-name"] += "x"
    elif spoilt == "ports":
        obj["ports"] = []
    elif spoilt == "name" and obj["ports"]:
        obj["ports"][0]["name"] = "other"
    elif spoilt == "empty":
        obj["endpoints"] = []
    elif obj["endpoints"]:
        obj["endpoints"].append({**obj["endpoints"][0], "conditions": {"ready": True}})
    return f"an EndpointSlice: {spoilt}"


def _no_http(writer: _Writer) -> str:
    obj = writer.any_of("Ingress")
    if obj is None:
        return ""
    obj["spec"]["rules"][0].pop("http", None)
    return "a rule without paths"


def _empty_traefik_service(writer: _Writer) -> str:
    obj = writer.any_of("TraefikService")
    if obj is None:
        return ""
    weighted = obj["spec"].get("weighted")
    if weighted and writer.chance(0.7):
        entry = writer.draw.choice(weighted["services"])
        entry |= writer.one(
            {"name": "gone"}, {"port": 81}, {"weight": 0}, {"kind": "TraefikService"}
        )
    else:
        obj["spec"] = writer.one({}, {"weighted": {}}, {"weighted": {"services": []}})
    return "a TraefikService"


# Not among them: a resource as backend, at which the Ingress provider of some versions panics
# (docs/versions.md), so that none of the load's Ingresses would be read.
_FAULTS: tuple[Callable[[_Writer], str], ...] = (
    _missing_service, _missing_port, _deleted, _deleted, _moved, _class, _no_class, _rule, _rule,
    _rule, _kind_of_route, _middleware_reference, _middleware_reference, _middleware_spec,
    _entry_points, _annotation, _annotation, _tls_options, _transport, _scheme, _health_check,
    _external, _service_port, _slice, _no_http, _empty_traefik_service,
)  # fmt: skip
