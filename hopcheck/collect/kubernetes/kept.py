"""What is kept of Kubernetes objects: what a judge can need, and nothing that is secret (pure).

What an object's type does not declare is gone already (`hopcheck.model.kubernetes`). Here goes what
is bulky or nobody's business: applied before redaction, there is less to search for secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from hopcheck.behaviour.traefik.discovery import traefik_container
from hopcheck.model.kubernetes import (
    ConfigMap,
    Container,
    Event,
    Manager,
    Meta,
    Node,
    Object,
    Pod,
    PodSpec,
    PodTemplate,
    Secret,
    Service,
    Workload,
)
from hopcheck.model.redact import redact_obj

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ANNOTATION_CHARS = 4_096
_SLIM_CHARS = 200
_SLIM_ANNOTATIONS = ("ingress.class", "router.entrypoints", "router.priority")
_SLIM_SPEC = (
    # of a route
    "ingress_class_name",
    "entry_points",
    # of a Service
    "type",
    "ports",
    "selector",
    "cluster_ip",
    "external_name",
    "external_traffic_policy",
)
_FIELDS_BYTES = 8_192
_WRITERS = 20
_CONFIG_CHARS = 65_536

K = TypeVar("K", bound=Object)


def _manager(entry: Manager, *, with_fields: bool) -> Manager:
    """Who wrote when, and which fields where asked for, if they are not many."""
    if entry.fields_v1 is None:
        return entry
    fields = _decided(entry.fields_v1 or {}) if with_fields else {}
    few = bool(fields) and len(msgspec.json.encode(fields)) <= _FIELDS_BYTES
    return replace(entry, fields_v1=None, fields=fields if few else None)


def _decided(fields: Mapping[str, Any]) -> dict[str, Any]:
    """FieldsV1 without what nobody decides."""
    kept = {key: value for key, value in fields.items() if key not in ("f:status", "f:metadata")}
    decided = _mapping(fields.get("f:metadata"))
    meta = {key: _mapping(decided.get(key)) for key in ("f:labels", "f:annotations")}
    meta["f:annotations"].pop(f"f:{_LAST_APPLIED}", None)
    meta = {key: value for key, value in meta.items() if value}
    # An empty one would mean all of it (FieldsV1).
    return kept | ({"f:metadata": meta} if meta else {})


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def metadata(meta: Meta, *, with_fields: bool = False) -> Meta:
    """Metadata without last-applied-configuration, long annotations and bulky managedFields.

    Of the writers the latest are kept (they stand last), without those of the status.
    """
    annotations = {
        key: text[:_ANNOTATION_CHARS]
        for key, text in meta.annotations.items()
        if key != _LAST_APPLIED
    }
    managers = tuple(
        _manager(entry, with_fields=with_fields)
        for entry in meta.managed_fields[-_WRITERS:]
        if entry.subresource != "status"
    )
    return replace(meta, annotations=annotations, managed_fields=managers)


def _variables(container: Container, *, traefik: bool) -> Container:
    """Names of environment variables; values only of Traefik's own static configuration."""
    if not container.env:
        return container
    env = tuple(
        one
        if traefik and one.name.startswith("TRAEFIK_")
        else replace(one, value="", value_from=None)
        for one in container.env
    )
    return replace(container, env=env)


def _pod_spec(pod: Pod | PodTemplate) -> PodSpec:
    traefik = traefik_container(pod)
    return replace(
        pod.spec,
        containers=tuple(_variables(c, traefik=c is traefik) for c in pod.spec.containers),
        init_containers=tuple(_variables(c, traefik=False) for c in pod.spec.init_containers),
    )


def prune(obj: K) -> K:
    """What is kept of an object, redacted."""
    changed: dict[str, Any] = {}
    match obj:
        case Node():
            # Not searched for secrets: nothing kept is free text, and there are thousands.
            bare = replace(obj.metadata, annotations={}, managed_fields=())
            return replace(obj, metadata=bare)
        case Event():
            meta = obj.metadata
            changed["metadata"] = Meta(
                name=meta.name,
                namespace=meta.namespace,
                creation_timestamp=meta.creation_timestamp,
            )
        case Pod():
            changed |= {"metadata": metadata(obj.metadata), "spec": _pod_spec(obj)}
        case Workload():
            template = replace(obj.spec.template, spec=_pod_spec(obj.spec.template))
            changed["spec"] = replace(obj.spec, template=template)
        case ConfigMap():
            changed["data"] = {key: text[:_CONFIG_CHARS] for key, text in obj.data.items()}
        case Secret():
            changed["entries"] = _entries(obj.metadata)
    changed.setdefault("metadata", metadata(obj.metadata, with_fields=True))
    return redact_obj(replace(obj, **changed))  # type: ignore[no-any-return]


def _entries(meta: Meta) -> tuple[str, ...] | None:
    """The names of a Secret's entries as managedFields tell them; None where these do not."""
    found: set[str] = set()
    for entry in meta.managed_fields:
        data = _mapping((entry.fields_v1 or {}).get("f:data"))
        found |= {name[2:] for name in data if name.startswith("f:")}
    return tuple(sorted(found)) or None


def slim_route(route: Any, hosts: Iterable[str]) -> Any:
    """A route of other hosts, with what is needed to see which instance reads it.

    Marked as `slim`: what is absent from it may well be there.
    """
    annotations = {
        key: text[:_SLIM_CHARS]
        for key, text in route.metadata.annotations.items()
        if key.endswith(_SLIM_ANNOTATIONS)
    }
    return _slim(route, {"annotations": annotations}, hosts=tuple(hosts))


def slim_service(service: Service) -> Any:
    """A Service of another namespace: what a reference to it or a node port needs (`slim`).

    Not searched for secrets: it has names and numbers alone.
    """
    return _slim(service, {"labels": service.metadata.labels})


def _slim(obj: Any, described: Mapping[str, Any], **spec: Any) -> Any:
    kept = {name: getattr(obj.spec, name) for name in _SLIM_SPEC if hasattr(obj.spec, name)}
    return type(obj)(
        api_version=obj.api_version,
        kind=obj.kind,
        slim=True,
        metadata=Meta(namespace=obj.namespace, name=obj.name, **described),
        spec=type(obj.spec)(**kept, **spec),
    )
