"""The Service itself: whether it may be used, what it selects, and who lists its endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hopcheck.behaviour.kubernetes import pod_state
from hopcheck.behaviour.kubernetes.objects import containers
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Finding, Obj, ObjectRef
from hopcheck.scene.probes import slice_ports
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.scene.upstream import Upstream
from hopcheck.steps.endpoints.judged import State, judged, provider_that_forbids, troubled
from hopcheck.steps.names import traefik_refs, workload_refs
from hopcheck.steps.rule import BESIDE_KUBE, rule


@rule(reads=("kube",), uses=BESIDE_KUBE)
def external_names_are_allowed(scene: Scene) -> Iterator[Finding]:
    """Traefik's settings allow the ExternalName Services behind the route."""
    flag = provider_that_forbids(scene)
    for one in judged(scene, State.EXTERNAL) if flag else ():
        yield make(
            "END007",
            one.ref,
            flag=flag,
            provider=flag,
            external=spec(one.service).get("externalName"),
            related=traefik_refs(scene),
            share=one.share,
            **one.words,
        )


def _without_pods(scene: Scene) -> list[Upstream]:
    """Services with a selector and no pod that it picks."""
    found = judged(scene, State.NO_PORT, State.EMPTY)
    return [one for one in found if one.selector and one.pods_listed and not one.pods]


@rule(reads=("kube",), uses=BESIDE_KUBE)
def workload_has_replicas(scene: Scene) -> Iterator[Finding]:
    """The workload that the Service's selector means is not scaled to zero."""
    for one in _without_pods(scene):
        scaled = _scaled_to_zero(one)
        if scaled is not None:
            kind, obj = scaled
            name, keys = str(meta(obj)["name"]), ("labels", "annotations")
            keda = any("keda" in word for key in keys for word in meta(obj).get(key) or {})
            yield make(
                "END011",
                ObjectRef(kind, name, one.namespace),
                workload=f"{kind} {one.namespace}/{name}",
                by=" (KEDA)" if keda else "",
                ns=one.namespace,
                resource=f"{kind.lower()}/{name}",
                related=(one.ref,),
            )


def _scaled_to_zero(one: Upstream) -> tuple[str, Obj] | None:
    for resource, kind in (("deployments", "Deployment"), ("statefulsets", "StatefulSet")):
        for obj in one.scene.kube.list(resource, one.namespace).or_else(()) or ():
            template = (spec(obj).get("template") or {}).get("metadata") or {}
            labels = (template.get("labels") or {}).items()
            if spec(obj).get("replicas") == 0 and one.selector.items() <= labels:
                return kind, obj
    return None


@rule(reads=("kube",), uses=BESIDE_KUBE)
def service_selects_pods(scene: Scene) -> Iterator[Finding]:
    """The Service's selector picks pods."""
    for one in _without_pods(scene):
        if _scaled_to_zero(one) is not None:
            continue
        near = _near(one)
        shown = listing(sorted({_labels(pod) for pod in near}), 2)
        names = listing((meta(p).get("name") for p in near), 3)
        words = text("near", "pods", count=len(near), labels=shown, names=names)
        yield make(
            "END001",
            ObjectRef("Service", one.name, one.namespace, "spec.selector"),
            selector=_joined(one.selector),
            near=words if near else text("near", "none"),
            labels=text("near", "labels", labels=shown) if near else "",
            related=workload_refs(near, one.namespace, 4),
            share=one.share,
            **one.words,
        )


def _joined(labels: dict[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _labels(pod: Obj) -> str:
    labels = meta(pod).get("labels") or {}
    return _joined({k: v for k, v in labels.items() if k != "pod-template-hash"})


def _near(one: Upstream) -> list[Obj]:
    """Pods that share a key, a value, or something of the Service's name with the selector."""
    words = {str(v).lower() for v in one.selector.values()} | {one.name.lower()}
    found = []
    for pod in one.scene.kube.list("pods", one.namespace).or_else(()) or ():
        labels = meta(pod).get("labels") or {}
        if pod_state.terminal(pod):
            continue
        same = any(labels.get(k) == v for k, v in one.selector.items())
        alike = set(one.selector) & set(labels) or any(
            str(v).lower() in w or w in str(v).lower()
            for k, v in labels.items()
            if k != "pod-template-hash"
            for w in words
        )
        if same or alike:
            found.append((not same, str(meta(pod).get("name")), pod))
    return [pod for _, _, pod in sorted(found, key=lambda row: row[:2])]


def missing_port_name(one: Upstream) -> tuple[str, list[str]] | None:
    """The targetPort's name that no container port has, and the names that there are."""
    named = (one.port or {}).get("targetPort")
    if not isinstance(named, str) or any(slice_ports(s, one.port or {}) for s in one.slices or ()):
        return None
    ports = [p for pod in one.pods for c in containers(pod) for p in c.get("ports") or ()]
    names = sorted({str(p["name"]) for p in ports if p.get("name")})
    return None if named in names else (named, names)


@rule(reads=("kube",), uses=BESIDE_KUBE)
def target_port_is_named_in_the_pods(scene: Scene) -> Iterator[Finding]:
    """A targetPort that is a name is the name of a container port."""
    for one in _with_pods(scene):
        missing = missing_port_name(one)
        if missing is not None:
            yield make(
                "END002",
                ObjectRef("Service", one.name, one.namespace, "spec.ports"),
                port=(one.port or {}).get("port"),
                target=missing[0],
                names=listing(missing[1]),
                related=workload_refs(one.pods, one.namespace, 4),
                share=one.share,
                **one.words,
            )


def _with_pods(scene: Scene) -> list[Upstream]:
    found = judged(scene, State.EMPTY)
    return [one for one in found if one.selector and one.pods_listed and one.pods]


@rule(reads=("kube",), uses=BESIDE_KUBE)
def endpoints_are_listed(scene: Scene) -> Iterator[Finding]:
    """An EndpointSlice lists addresses for the Service's port."""
    for one in judged(scene, State.EMPTY):
        key, words = _why_empty(one)
        if key:
            yield make(
                "END012",
                one.ref,
                detail=text("backend", key, **words),
                advice=text("backend_advice", key, **words),
                share=one.share,
                **one.words,
            )


def _why_empty(one: Upstream) -> tuple[str, dict[str, str]]:
    """Why nothing is listed, where it is no fault of the pods; the texts' key, "" for none."""
    if one.selector and one.pods_listed:
        if not one.pods or missing_port_name(one) or troubled(one):
            return "", {}
        return "no_addresses" if one.slices else "no_slice", {}
    if one.selector:
        return "no_addresses", {}
    # Nobody keeps a slice, or its ports have other names than the Service's.
    listed = [s for s in one.slices or () if s.get("endpoints")]
    names = {str(p.get("name") or "") for s in listed for p in s.get("ports") or ()}
    wanted = str((one.port or {}).get("name") or "")
    if not names or wanted in names:
        return "unmanaged", {}
    shown = listing(sorted(name or '""' for name in names))
    return "port_name", {"name": wanted or '""', "names": shown}
