"""Label and field selectors, as the API server reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from hopcheck.lab.apiserver.errors import ApiError

Obj = dict[str, Any]
Predicate = Callable[[Obj], bool]

_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")
_COMMA_OUTSIDE_PARENTHESES = re.compile(r",(?![^(]*\))")

# Field labels that a list of the resource accepts besides metadata.name and metadata.namespace.
_FIELDS: dict[str, tuple[str, ...]] = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "secrets": ("type",),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
    "services": ("spec.clusterIP", "spec.type"),
}


def matches(labels: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Whether `labels` carry every pair of an equality selector such as a Service's."""
    have = labels or {}
    return all(have.get(key) == value for key, value in wanted.items())


def label_predicate(text: str) -> Predicate:
    """The predicate of a `labelSelector` parameter; ApiError 400 where it cannot be read."""
    terms = [_label_term(part) for part in _COMMA_OUTSIDE_PARENTHESES.split(text) if part.strip()]

    def holds(obj: Obj) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(term(labels) for term in terms)

    return holds


def _label_term(part: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(part):
        key, operator, values = found[1], found[2], {v.strip() for v in found[3].split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    key, operator, value = _comparison(part)
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator:
        return lambda labels: labels.get(key) == value
    if not re.fullmatch(r"!?[\w./-]+", key):
        raise ApiError(400, f"unable to parse requirement: {part!r}")
    if key.startswith("!"):
        return lambda labels: key[1:] not in labels
    return lambda labels: key in labels


def _comparison(part: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "="):
        key, found, value = part.partition(operator)
        if found:
            return key.strip(), operator, value.strip()
    return part.strip(), "", ""


def field_predicate(text: str, plural: str) -> Predicate:
    """The predicate of a `fieldSelector`; ApiError 400 for a label the resource has not."""
    terms: list[tuple[str, bool, str]] = []
    for part in filter(str.strip, text.split(",")):
        key, operator, value = _comparison(part)
        if not operator:
            raise ApiError(400, f"invalid selector: {text!r}; can't understand {part!r}")
        if key not in ("metadata.name", "metadata.namespace", *_FIELDS.get(plural, ())):
            raise ApiError(400, f"field label not supported: {key}")
        terms.append((key, operator != "!=", value))

    def holds(obj: Obj) -> bool:
        return all((_field(obj, key) == value) is wanted for key, wanted, value in terms)

    return holds


def named_by(text: str) -> str | None:
    """The one name that a field selector restricts a list to, or None (RBAC's resourceNames)."""
    for part in text.split(","):
        key, operator, value = _comparison(part)
        if key == "metadata.name" and operator in ("=", "=="):
            return value
    return None


def _field(obj: Obj, path: str) -> str:
    value: Any = obj
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if path == "source":
        return str((value or {}).get("component", ""))
    if path in ("spec.unschedulable", "spec.hostNetwork"):
        return "true" if value else "false"
    return "" if value is None else str(value)
