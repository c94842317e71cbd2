"""What a rule gives for the commands of a fix: one edit of one object, where its value is known.

A patch tests first what it replaces (RFC 6902): an object that has changed since is left alone.
"""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import msgspec

from hopcheck.behaviour.kubernetes.graph import WORKLOADS, selects, workload_of
from hopcheck.behaviour.traefik.near import within
from hopcheck.behaviour.traefik.route import Backend, Route
from hopcheck.catalogue.catalogue import Raw, text
from hopcheck.model import Words
from hopcheck.model.kubernetes import Object, Pod, Service, ServicePort
from hopcheck.model.redact import REDACTED
from hopcheck.scene.chain import TraefikPort
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import ref_of

HasPort = ServicePort | TraefikPort
_STEP = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
# Plurals of which other groups may have one as well.
_GROUPS = {"ingresses": "networking.k8s.io", "ingressroutes": "traefik.io"}
_SPELLINGS = (("svc", "service"), ("srv", "service"), ("mw", "middleware"))
_SEPARATORS = re.compile(r"[-_.]")


def patch(obj: Object | None, changes: Mapping[str, Any]) -> Words:
    """The edit that sets fields by their paths, as kubectl writes them; "[-]": the end of a list.

    Nothing where a value is not known, the object is known in part, or its place is not.
    """
    if obj is None or obj.slim or not changes or any(v in (None, "") for v in changes.values()):
        return {}
    seen, operations = msgspec.to_builtins(obj, str_keys=True), []
    for path, value in changes.items():
        *way, last = [inside or plain for inside, plain in _STEP.findall(path)]
        holder = reduce(_child, way, seen)
        old = _child(holder, last)
        if holder is None or old == value or REDACTED in json.dumps(old):
            return {}
        pointer = "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in (*way, last))
        if old is not None:
            operations.append({"op": "test", "path": pointer, "value": old})
        name = "add" if old is None else "replace"
        operations.append({"op": name, "path": pointer, "value": value})
    plural, words = type(obj).plural, json.dumps(operations, separators=(",", ":"))
    resource = ".".join(filter(None, (plural, _GROUPS.get(plural))))
    what = ("-n", obj.namespace, "patch", resource, obj.name, "--type=json", "-p", words)
    return {"edit": Raw(shlex.join(what)), "edits": ref_of(obj)}


def _child(holder: Any, step: str) -> Any:
    if isinstance(holder, list | tuple):
        return holder[int(step)] if step.isdigit() and int(step) < len(holder) else None
    return holder.get(step) if isinstance(holder, dict) else None


def near(name: str, names: Iterable[str]) -> str:
    """The one of `names` that reads most like `name`; "" for no likeness."""
    own = {_own_part(one): one for one in sorted({*names} - {name})}
    found = difflib.get_close_matches(_own_part(name), own, n=1)
    return own[found[0]] if found else ""


def _own_part(name: str) -> str:
    """A name without what all references share: "default-" and "@kubernetescrd"."""
    bare = name.partition("@")[0]
    return bare.partition("-")[2] or bare if "@" in name else name


def in_full(name: str, namespace: str, known: Mapping[str, Object]) -> str:
    """The reference of `known` that a name means without its namespace, or with it and a slash."""
    bare = name.partition("@")[0]
    wanted = bare if "/" in bare else f"{namespace}/{bare}"
    fits = (ref for ref, obj in known.items() if f"{obj.namespace}/{obj.name}" == wanted)
    return next(fits, "")


def near_words(name: str) -> str:
    """What is near, in words that may follow a name; "" for none."""
    return text("near", "there_is", name=name) if name else ""


def meant(name: str, names: Iterable[str]) -> str:
    """The only one of `names` of which `name` is a slip: a letter too much or too few, two swapped.

    Or separators, capitals and abbreviations. A letter in another's place may be another name as
    well ("app", "api"): that is likeness, and nothing to be changed by.
    """
    found = [one for one in {*names} - {name} if _slip(name, one)]
    return found[0] if len(found) == 1 else ""


def only(name: str, names: Sequence[str]) -> str:
    """The one that can be meant by a name that is not there: the only one, or the one of a slip."""
    return names[0] if len(names) == 1 else meant(name, names)


def _slip(one: str, other: str) -> bool:
    if _spelled(one) == _spelled(other):
        return True
    alike = len(one) != len(other) or sorted(one) == sorted(other)
    return alike and min(len(one), len(other)) > 3 and within(one, other, 1)


def nearly(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether the labels are those of a selector, but for slips: other pods are merely alike."""
    return all(labels.get(k) == v or _slip(v, labels.get(k, "")) for k, v in selector.items())


def _spelled(name: str) -> str:
    name = _SEPARATORS.sub("", name.lower())
    for short, long in _SPELLINGS:
        if name.endswith(short):
            name = name.removesuffix(short) + long
    return name


def of_route(scene: Scene, route: Route, changes: Mapping[str, Any]) -> Words:
    """The edit of the object that a route is made of."""
    plural = {"Ingress": "ingresses", "IngressRoute": "ingressroutes"}.get(route.kind, "")
    found = scene.kube.one(plural, route.namespace, route.name).or_else(None)
    return patch(found, changes)


def of_backend(
    scene: Scene, route: Route, backend: Backend, *, name: str = "", port: int | None = None
) -> Words:
    """The edit of what a route itself says of a Service behind it: its name, or its port."""
    number = {"number": port} if port and route.kind == "Ingress" else port
    field, value = ("name", name) if port is None else ("port", number)
    own = {f"{backend.field}.{field}": value} if backend in route.backends else {}
    return of_route(scene, route, own)


def labels_of(scene: Scene, pods: Iterable[Pod]) -> dict[str, str]:
    """The labels by which the one workload of all these pods finds them; {} where not known."""
    own = list(pods)
    made_by = {(pod.namespace, *workload_of(pod)) for pod in own}
    if len(made_by) != 1:
        return {}
    namespace, kind, name = made_by.pop()
    found = scene.kube.one(WORKLOADS.get(kind, ""), namespace, name).or_else(None)
    labels = found.spec.selector.match_labels if found and found.spec.selector else {}
    return labels if all(labels.items() <= pod.metadata.labels.items() for pod in own) else {}


def selecting(scene: Scene, service: Service, pods: Iterable[Pod]) -> Words:
    """The edit that lets a Service select these pods.

    Not where another Service leads to them already: they may be meant for that one alone.
    """
    own = list(pods)
    labels = labels_of(scene, own)
    if not labels or any(selects(other, pod) for other in scene.services for pod in own):
        return {}
    return patch(service, {"spec.selector": labels})


def target_port(service: Service, port: HasPort | None, value: int | str | None) -> Words:
    """The edit of the targetPort of one of a Service's ports."""
    own = [(one.name, one.port) for one in service.spec.ports]
    if port is None or own.count((port.name, port.port)) != 1:
        return {}
    return patch(service, {f"spec.ports[{own.index((port.name, port.port))}].targetPort": value})
