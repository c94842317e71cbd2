"""Who keeps an object as it is: where a change has to be made, lest it be undone (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from hopcheck.behaviour.kubernetes.graph import workload_of
from hopcheck.model import ObjectRef, Snapshot
from hopcheck.model.kubernetes import KINDS, Pod

# Annotations, labels and AWS's tags that name what an object is made from, with the key of the
# texts. A chart that Argo CD or Flux renders is theirs, and so comes after them.
_MARKS = {
    "cert-manager.io/certificate-name": "certificate",
    "kustomize.toolkit.fluxcd.io/name": "flux_kustomization",
    "helm.toolkit.fluxcd.io/name": "flux_release",
    "argocd.argoproj.io/tracking-id": "argo",
    "argocd.argoproj.io/instance": "argo",
    "meta.helm.sh/release-name": "helm",
    "elbv2.k8s.aws/cluster": "controller",
    "service.k8s.aws/stack": "controller",
    "aws:cloudformation:stack-name": "cloudformation",
}
_MANAGED_BY = ("app.kubernetes.io/managed-by", "managed-by", "managedby", "terraform")
# How the names begin by which tools write (managedFields, tags).
_WRITERS = {
    "argocd": "Argo CD",
    "helm-controller": "Flux",
    "kustomize-controller": "Flux",
    "helm": "Helm",
    "terraform": "Terraform",
    "hashicorp": "Terraform",
    "pulumi": "Pulumi",
}
# What AWS Load Balancer Controller and the cloud provider's call what they make.
_OF_A_CONTROLLER = re.compile(r"(?:k8s-[\w-]+-[0-9a-f]{10}|a[0-9a-f]{31})(?::\d+)?")


class Keeper(Struct, frozen=True):
    """Who keeps `object` (section `managed` of the texts); `makes`: as its own, wholly."""

    object: ObjectRef
    key: str
    name: str = ""
    namespace: str = ""
    makes: bool = False


def keepers(snapshot: Snapshot, ref: ObjectRef, most: int = 3) -> Iterator[Keeper]:
    """Who keeps the object that is meant, and then who keeps its keeper, as far as was seen.

    At most so many: owners may lead in a circle.
    """
    if ref.kind in ("TargetGroup", "LoadBalancer", "Listener"):
        if _OF_A_CONTROLLER.fullmatch(ref.name):
            yield Keeper(ref, "controller", makes=True)
        return
    if ref.kind in ("CertificateRequest", "Order", "Challenge"):
        return  # each try makes its own: what is to be changed lies outside of them
    if ref.kind == "SecurityGroup":
        groups = snapshot.aws.security_groups.or_else(()) or ()
        tags = (tag for group in groups if group.group_id == ref.name for tag in group.tags)
        yield from _marked(ref, {tag.key: tag.value for tag in tags})
        return
    plural = next((kind.plural for kind in KINDS.values() if kind.__name__ == ref.kind), "")
    found = snapshot.kube.one(plural, ref.namespace, ref.name)
    if not found.seen:
        return
    obj, bare = found.get(), ObjectRef(ref.kind, ref.name, ref.namespace)
    owner = next((one for one in obj.metadata.owner_references if one.controller), None)
    if owner is not None:
        kind, name = workload_of(obj) if isinstance(obj, Pod) else (owner.kind, owner.name)
        above = ObjectRef(kind, name, ref.namespace)
        yield Keeper(bare, "owner", str(above), makes=True)
        yield from keepers(snapshot, above, most - 1) if most > 1 else ()
        return
    tools = filter(None, (_tool(entry.manager) for entry in obj.metadata.managed_fields))
    written = [Keeper(bare, "tool", tool) for tool in tools]
    yield from [*_marked(bare, obj.metadata.annotations | obj.metadata.labels), *written][:1]


def _marked(ref: ObjectRef, marks: Mapping[str, str]) -> list[Keeper]:
    for mark, key in _MARKS.items():
        if value := marks.get(mark):
            name = value.partition(":")[0] if key == "argo" else value
            space = marks.get(mark.replace("/name", "/namespace").replace("-name", "-namespace"))
            makes = key in ("certificate", "controller")
            return [Keeper(ref, key, name, space or ref.namespace or "", makes)]
    mark, value = next(((k, v) for k, v in marks.items() if tells_a_keeper(k)), ("", ""))
    release = marks.get("app.kubernetes.io/instance")
    if value == "Helm" and release:
        return [Keeper(ref, "helm", release, ref.namespace or "")]
    tool = _tool(value) or _tool(mark) or value
    return [Keeper(ref, "tool", tool)] if tool not in ("", "kubectl") else []


def _tool(name: str) -> str:
    return next((tool for begins, tool in _WRITERS.items() if name.lower().startswith(begins)), "")


def tells_a_keeper(mark: str) -> bool:
    """Whether an annotation, label or tag of that key can tell who keeps an object."""
    return mark in _MARKS or mark.lower().replace("_", "-") in _MANAGED_BY
