"""Finding Traefik's pods and Services, and the Services behind a route (pure, no names assumed).

Nothing here judges: where several answers are possible all are given, the likeliest first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from hopcheck.model import Obj

Port = int | str | None
Backend = tuple[str, str, Port]  # namespace, Service, port by number or name (None: not given)

# Images that carry Traefik's name and are companions of it, not Traefik.
_COMPANIONS = (
    "forward-auth",
    "forwardauth",
    "certs-dumper",
    "mesh",
    "bouncer",
    "whoami",
    "error-pages",
    "exporter",
    "kop",
)
_STATIC_FLAG = re.compile(r"(?i)--(?:entrypoints\.|providers\.(?:kubernetes|file|docker|http))")
_STATIC_VARIABLE = re.compile(r"^TRAEFIK_(?:ENTRYPOINTS|PROVIDERS)_")
_ENTRY_POINT_PORTS = frozenset({"web", "websecure"})
_NAME_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")
NODE_PORT_TYPES = frozenset({"NodePort", "LoadBalancer"})


class Instance(Struct, frozen=True):
    """One Traefik installation: the pods of one workload and the Services that may lead to them.

    `services` are names in `namespace`; those whose selector picks one of the pods come first.
    """

    namespace: str
    kind: str  # Deployment, DaemonSet, StatefulSet, ReplicaSet, Pod …
    name: str
    pods: tuple[Obj, ...]
    services: tuple[str, ...] = ()


def _meta(obj: Obj) -> Obj:
    return obj.get("metadata") or {}


def _key(obj: Obj) -> tuple[str, str]:
    meta = _meta(obj)
    return meta.get("namespace", ""), meta.get("name", "")


def containers(pod: Obj) -> list[Obj]:
    """The pod's containers (init containers left out)."""
    return list((pod.get("spec") or {}).get("containers") or ())


def image_name(image: str) -> str:
    """The last segment of an image's repository, in lower case: without tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()


def flags_of(container: Obj) -> list[str]:
    """Command and arguments, in order; a shell's one long text is split at white space."""
    words: list[str] = []
    for word in (*(container.get("command") or ()), *(container.get("args") or ())):
        words += str(word).split() if " --" in str(word) else [str(word)]
    return words


def is_traefik_container(container: Obj) -> bool:
    """Whether a container runs Traefik.

    Told by its image's name, or by flags or variables that only Traefik's static configuration
    has. Companions (traefik-forward-auth, …) are not Traefik.
    """
    image = image_name(str(container.get("image", "")))
    if any(companion in image for companion in _COMPANIONS):
        return False
    if "traefik" in image:
        return True
    if any(_STATIC_FLAG.match(word) for word in flags_of(container)):
        return True
    return any(
        _STATIC_VARIABLE.match(str(variable.get("name", "")))
        for variable in container.get("env") or ()
    )


def traefik_container(pod: Obj) -> Obj | None:
    """The pod's container that runs Traefik, or None."""
    return next((c for c in containers(pod) if is_traefik_container(c)), None)


def traefik_pods(pods: Iterable[Obj]) -> list[Obj]:
    """Those pods that run Traefik, terminal ones included."""
    return [pod for pod in pods if traefik_container(pod) is not None]


def selects(service: Obj, pod: Obj) -> bool:
    """Whether the Service's selector picks the pod (an empty selector picks none)."""
    selector = (service.get("spec") or {}).get("selector") or {}
    if not selector or _key(service)[0] != _key(pod)[0]:
        return False
    labels = _meta(pod).get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _says_traefik(text: str) -> bool:
    return "traefik" in text and not any(companion in text for companion in _COMPANIONS)


def named_traefik(service: Obj) -> bool:
    """Whether labels, selector or name of the Service say that it is Traefik's."""
    labels = _meta(service).get("labels") or {}
    selector = (service.get("spec") or {}).get("selector") or {}
    named = [str(part.get(label, "")) for part in (labels, selector) for label in _NAME_LABELS]
    return any(_says_traefik(text.lower()) for text in (*named, _key(service)[1]))


def has_entry_point_ports(service: Obj) -> bool:
    """Whether the Service is reachable on nodes and has ports named as entryPoints are."""
    spec = service.get("spec") or {}
    names = {port.get("name") for port in spec.get("ports") or ()}
    return spec.get("type") in NODE_PORT_TYPES and bool(names & _ENTRY_POINT_PORTS)


def traefik_services(
    services: Iterable[Obj], pods: Iterable[Obj], option: str | None = None
) -> list[tuple[str, str]]:
    """Services that are, or are meant to be, Traefik's: (namespace, name), the likeliest first.

    `option` is --traefik-service "NS/NAME" and ends the search. Else, in this order: node port
    Services that select Traefik pods; other Services that do; Services by label, name or ports
    in a namespace that holds Traefik pods, and node port Services there whose selector picks no
    pod at all (the selector may be what is wrong); Services named so where no Traefik pod is.
    """
    if option:
        namespace, _, name = option.partition("/")
        return [(namespace, name)]
    everything = list(pods)
    traefiks = traefik_pods(everything)
    homes = {_key(pod)[0] for pod in traefiks}
    ranked: list[tuple[int, tuple[str, str]]] = []
    for service in services:
        rank = _rank(service, everything, traefiks, homes)
        if rank is not None:
            ranked.append((rank, _key(service)))
    return [key for _, key in sorted(ranked)]


def _rank(
    service: Obj, pods: Sequence[Obj], traefiks: Sequence[Obj], homes: set[str]
) -> int | None:
    exposed = (service.get("spec") or {}).get("type") in NODE_PORT_TYPES
    if any(selects(service, pod) for pod in traefiks):
        return 0 if exposed else 1
    hinted = named_traefik(service) or has_entry_point_ports(service)
    if _key(service)[0] in homes:
        if hinted or (exposed and not any(selects(service, pod) for pod in pods)):
            return 2 if exposed else 3
        return None
    return 4 if named_traefik(service) else None


def candidate_namespaces(services: Iterable[Obj], option: str | None = None) -> list[str]:
    """Namespaces in which Traefik's pods should be looked for first, judged by Services alone."""
    found: dict[str, None] = {}
    if option:
        found[option.partition("/")[0]] = None
    known = list(services)
    for test in (named_traefik, has_entry_point_ports):
        for service in known:
            if test(service):
                found[_key(service)[0]] = None
    return list(found)


def workload_of(pod: Obj) -> tuple[str, str]:
    """(kind, name) of what made the pod: a ReplicaSet's Deployment rather than the ReplicaSet.

    The Deployment's name is the ReplicaSet's without the pod-template-hash it ends with.
    """
    meta = _meta(pod)
    owners = meta.get("ownerReferences") or ()
    owner = next((o for o in owners if o.get("controller")), None)
    if owner is None:
        return "Pod", meta.get("name", "")
    kind, name = str(owner.get("kind", "")), str(owner.get("name", ""))
    suffix = (meta.get("labels") or {}).get("pod-template-hash")
    if kind == "ReplicaSet" and suffix and name.endswith(f"-{suffix}"):
        return "Deployment", name[: -len(suffix) - 1]
    return kind, name


def instances(services: Iterable[Obj], pods: Iterable[Obj]) -> list[Instance]:
    """Traefik installations, one for each workload with Traefik pods, in order of name.

    Pods without any Service (hostPort DaemonSets, host network) make an instance too.
    """
    groups: dict[tuple[str, str, str], list[Obj]] = {}
    everything = list(pods)
    for pod in traefik_pods(everything):
        groups.setdefault((_key(pod)[0], *workload_of(pod)), []).append(pod)
    known = list(services)
    by_key = {_key(service): service for service in known}
    candidates = traefik_services(known, everything)
    result = []
    for (namespace, kind, name), members in sorted(groups.items()):
        here = [key for key in candidates if key[0] == namespace]
        picked = [k for k in here if any(selects(by_key[k], pod) for pod in members)]
        # Candidates that select another instance's pods are that instance's.
        loose = [
            k for k in here if k not in picked and not _selects_any(by_key[k], groups.values())
        ]
        names = tuple(key[1] for key in (*picked, *loose))
        result.append(Instance(namespace, kind, name, tuple(members), names))
    return result


def _selects_any(service: Obj, groups: Iterable[list[Obj]]) -> bool:
    return any(selects(service, pod) for group in groups for pod in group)


def entry_point_port(container: Obj, name: str) -> int | None:
    """The port of entryPoint `name` as flags or variables of the container set it, or None.

    ``--entryPoints.web.address=:8000/tcp`` (case does not matter), ``--entrypoints.web.address
    :8000``, ``TRAEFIK_ENTRYPOINTS_WEB_ADDRESS``. A configuration file is not read here.
    """
    wanted = f"--entrypoints.{name}.address".lower()
    words = flags_of(container)
    values: list[str] = []
    for place, word in enumerate(words):
        flag, equals, value = word.strip("'\"").partition("=")
        if flag.lower() == wanted:
            values.append(value if equals else "".join(words[place + 1 : place + 2]))
    variable = f"TRAEFIK_ENTRYPOINTS_{name}_ADDRESS".upper()
    values += [
        str(item.get("value", ""))
        for item in container.get("env") or ()
        if str(item.get("name", "")).upper() == variable
    ]
    for value in values:
        port = value.strip("'\"").partition("/")[0].rpartition(":")[2]
        if port.isdigit():
            return int(port)
    return None


def container_port(container: Obj, names: Iterable[str]) -> int | None:
    """The number of the first container port that has one of `names`, in the order of `names`."""
    by_name = {port.get("name"): port.get("containerPort") for port in container.get("ports") or ()}
    return next((int(by_name[name]) for name in names if by_name.get(name)), None)


def backends_of(
    route: Obj, traefik_services_by_name: Mapping[tuple[str, str], Obj] | None = None
) -> list[Backend]:
    """The Services a route leads to: (namespace, Service, port), in order, without repeats.

    `route` is an Ingress, IngressRoute, IngressRouteTCP or TraefikService. A reference to a
    TraefikService is followed where it is found in `traefik_services_by_name`.
    """
    namespace = _key(route)[0]
    spec = route.get("spec") or {}
    if route.get("kind") == "Ingress" or "defaultBackend" in spec or "rules" in spec:
        found = _ingress_backends(spec, namespace)
    else:
        found = []
        _follow(_references(spec), namespace, traefik_services_by_name or {}, found, set())
    return list(dict.fromkeys(found))


def _ingress_backends(spec: Obj, namespace: str) -> list[Backend]:
    backends = [spec.get("defaultBackend") or {}]
    for rule in spec.get("rules") or ():
        paths = (rule.get("http") or {}).get("paths") or ()
        backends += [path.get("backend") or {} for path in paths]
    found: list[Backend] = []
    for backend in backends:
        service = backend.get("service") or {}
        if service.get("name"):
            port = service.get("port") or {}
            found.append((namespace, service["name"], port.get("number") or port.get("name")))
    return found


def _references(spec: Obj) -> list[Obj]:
    """Every Service reference of an IngressRoute's or a TraefikService's spec."""
    references: list[Obj] = []
    for route in spec.get("routes") or ():
        references += route.get("services") or ()
    references += (spec.get("weighted") or {}).get("services") or ()
    mirroring = spec.get("mirroring") or {}
    if mirroring.get("name"):
        references.append(mirroring)
    references += mirroring.get("mirrors") or ()
    return references


def _follow(
    references: Iterable[Obj],
    namespace: str,
    known: Mapping[tuple[str, str], Obj],
    found: list[Backend],
    seen: set[tuple[str, str]],
) -> None:
    for reference in references:
        key = (reference.get("namespace") or namespace, str(reference.get("name", "")))
        if reference.get("kind") != "TraefikService":
            found.append((*key, reference.get("port")))
        elif key in known and key not in seen:
            seen.add(key)
            _follow(_references(known[key].get("spec") or {}), key[0], known, found, seen)
