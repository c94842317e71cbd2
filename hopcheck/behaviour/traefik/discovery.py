"""Finding Traefik's pods and Services, and the Services behind a route (pure, no names assumed).

Nothing here judges: where several answers are possible all are given, the likeliest first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from hopcheck.behaviour.kubernetes.graph import selects, workload_of
from hopcheck.model.kubernetes import Container, Pod, PodTemplate, Service

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
    pods: tuple[Pod, ...]
    services: tuple[str, ...] = ()


def image_name(image: str) -> str:
    """The last segment of an image's repository, in lower case: without tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0].lower()


def flags_of(container: Container) -> list[str]:
    """Command and arguments, in order; a shell's one long text is split at white space."""
    words: list[str] = []
    for word in (*container.command, *container.args):
        words += word.split() if " --" in word else [word]
    return words


def is_traefik_container(container: Container) -> bool:
    """Whether a container runs Traefik.

    Told by its image's name, or by flags or variables that only Traefik's static configuration
    has. Companions (traefik-forward-auth, …) are not Traefik.
    """
    image = image_name(container.image)
    if any(companion in image for companion in _COMPANIONS):
        return False
    if "traefik" in image:
        return True
    if any(_STATIC_FLAG.match(word) for word in flags_of(container)):
        return True
    return any(_STATIC_VARIABLE.match(variable.name) for variable in container.env)


def traefik_container(pod: Pod | PodTemplate) -> Container | None:
    """The pod's container that runs Traefik, or None."""
    return next((c for c in pod.spec.containers if is_traefik_container(c)), None)


def traefik_pods(pods: Iterable[Pod]) -> list[Pod]:
    """Those pods that run Traefik, terminal ones included."""
    return [pod for pod in pods if traefik_container(pod) is not None]


def _says_traefik(text: str) -> bool:
    return "traefik" in text and not any(companion in text for companion in _COMPANIONS)


def named_traefik(service: Service) -> bool:
    """Whether labels, selector or name of the Service say that it is Traefik's."""
    said = (service.metadata.labels, service.spec.selector)
    named = [part.get(label, "") for part in said for label in _NAME_LABELS]
    return any(_says_traefik(text.lower()) for text in (*named, service.name))


def has_entry_point_ports(service: Service) -> bool:
    """Whether the Service is reachable on nodes and has ports named as entryPoints are."""
    spec = service.spec
    names = {port.name for port in spec.ports}
    return spec.type in NODE_PORT_TYPES and bool(names & _ENTRY_POINT_PORTS)


def traefik_services(
    services: Iterable[Service], pods: Iterable[Pod], option: str | None = None
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
    homes = {pod.namespace for pod in traefiks}
    ranked: list[tuple[int, tuple[str, str]]] = []
    for service in services:
        rank = _rank(service, everything, traefiks, homes)
        if rank is not None:
            ranked.append((rank, service.key))
    return [key for _, key in sorted(ranked)]


def _rank(
    service: Service, pods: Sequence[Pod], traefiks: Sequence[Pod], homes: set[str]
) -> int | None:
    exposed = service.spec.type in NODE_PORT_TYPES
    if any(selects(service, pod) for pod in traefiks):
        return 0 if exposed else 1
    hinted = named_traefik(service) or has_entry_point_ports(service)
    if service.namespace in homes:
        if hinted or (exposed and not any(selects(service, pod) for pod in pods)):
            return 2 if exposed else 3
        return None
    return 4 if named_traefik(service) else None


def candidate_namespaces(services: Iterable[Service], option: str | None = None) -> list[str]:
    """Namespaces in which Traefik's pods should be looked for first, judged by Services alone."""
    found: dict[str, None] = {}
    if option:
        found[option.partition("/")[0]] = None
    known = list(services)
    for test in (named_traefik, has_entry_point_ports):
        for service in known:
            if test(service):
                found[service.namespace] = None
    return list(found)


def instances(services: Iterable[Service], pods: Iterable[Pod]) -> list[Instance]:
    """Traefik installations, one for each workload with Traefik pods, in order of name.

    Pods without any Service (hostPort DaemonSets, host network) make an instance too.
    """
    groups: dict[tuple[str, str, str], list[Pod]] = {}
    everything = list(pods)
    traefiks = traefik_pods(everything)
    for pod in traefiks:
        groups.setdefault((pod.namespace, *workload_of(pod)), []).append(pod)
    known = list(services)
    by_key = {service.key: service for service in known}
    candidates = traefik_services(known, everything)
    result = []
    for (namespace, kind, name), members in sorted(groups.items()):
        here = [key for key in candidates if key[0] == namespace]
        picked = [k for k in here if any(selects(by_key[k], pod) for pod in members)]
        # Candidates that select another instance's pods are that instance's.
        loose = [k for k in here if not any(selects(by_key[k], pod) for pod in traefiks)]
        names = tuple(key[1] for key in (*picked, *loose))
        members.sort(key=lambda pod: pod.key)
        result.append(Instance(namespace, kind, name, tuple(members), names))
    return result


def joined(found: Sequence[Instance], pods: Iterable[Pod]) -> Instance | None:
    """The installations with any of these pods, as one; None where there are none.

    It has the name of the workload with the most pods, and its pods in order of name.
    """
    keys = {pod.key for pod in pods}
    own = [one for one in found if any(pod.key in keys for pod in one.pods)]
    if len(own) < 2:
        return own[0] if own else None
    first = max(own, key=lambda one: len(one.pods))
    every = sorted((pod for one in own for pod in one.pods), key=lambda pod: pod.key)
    names = (name for one in (first, *own) for name in one.services)
    return Instance(
        first.namespace, first.kind, first.name, tuple(every), tuple(dict.fromkeys(names))
    )


def entry_point_port(container: Container, name: str) -> int | None:
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
    values += [item.value for item in container.env if item.name.upper() == variable]
    for value in values:
        port = value.strip("'\"").partition("/")[0].rpartition(":")[2]
        if port.isdigit():
            return int(port)
    return None


def container_port(container: Container, names: Iterable[str]) -> int | None:
    """The number of the first container port that has one of `names`, in the order of `names`."""
    by_name = {port.name: port.container_port for port in container.ports}
    return next((by_name[name] for name in names if by_name.get(name)), None)
