"""Kubernetes' protobuf, as far as clients insist on it in requests.

Recent clients do not fall back to JSON: kubectl sends its reviews so, Traefik the status of an
Ingress. The envelope is the magic number and a `runtime.Unknown`; field numbers are from the
generated.proto files of k8s.io/api (authorization/v1, authentication/v1, core/v1, networking/v1)
and k8s.io/apimachinery.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hopcheck.lab.apiserver.errors import ApiError

Obj = dict[str, Any]

MAGIC = b"k8s\x00"
UNKNOWN_FORMAT = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json, application/yaml"
)


@dataclass(frozen=True, slots=True)
class _Message:
    """Field numbers and what they hold: None is a string, else a message (`many`: a list)."""

    fields: dict[int, tuple[str, _Message | None]]
    many: bool = False


def _texts(*names: str) -> dict[int, tuple[str, _Message | None]]:
    return {number: (name, None) for number, name in enumerate(names, start=1)}


_METADATA = _Message(
    _texts("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion")
)
_ACCESS = _Message(
    _texts("namespace", "verb", "group", "version", "resource", "subresource", "name")
)
_PATH = _Message(_texts("path", "verb"))
_ACCESS_SPEC = _Message({1: ("resourceAttributes", _ACCESS), 2: ("nonResourceAttributes", _PATH)})
_LOAD_BALANCER = _Message({1: ("ingress", _Message(_texts("ip", "hostname"), many=True))})
_INGRESS_STATUS = _Message({1: ("loadBalancer", _LOAD_BALANCER)})
_KINDS = {
    "SelfSubjectAccessReview": _Message({1: ("metadata", _METADATA), 2: ("spec", _ACCESS_SPEC)}),
    "SelfSubjectRulesReview": _Message(
        {1: ("metadata", _METADATA), 2: ("spec", _Message(_texts("namespace")))}
    ),
    "SelfSubjectReview": _Message({1: ("metadata", _METADATA)}),
    "Namespace": _Message({1: ("metadata", _METADATA)}),
    "Ingress/status": _Message({1: ("metadata", _METADATA), 3: ("status", _INGRESS_STATUS)}),
}
_TYPE = _Message(_texts("apiVersion", "kind"))


def decode(data: bytes, subresource: str = "") -> Obj:
    """The object of a request's body; ApiError 400 where it is cut, 415 for any other kind."""
    if not data.startswith(MAGIC):
        raise ApiError(400, "the body of the request is no Kubernetes protobuf")
    envelope = dict(_fields(data[len(MAGIC) :]))
    kind = _object(envelope.get(1, b""), _TYPE)
    name = kind.get("kind", "")
    message = _KINDS.get(f"{name}/{subresource}" if subresource else name)
    if message is None:
        raise ApiError(415, UNKNOWN_FORMAT)
    return kind | _object(envelope.get(2, b""), message)


def _object(data: bytes, message: _Message) -> Obj:
    obj: Obj = {}
    for number, value in _fields(data):
        if number not in message.fields:
            continue
        name, inner = message.fields[number]
        decoded = value.decode() if inner is None else _object(value, inner)
        if inner is not None and inner.many:
            obj.setdefault(name, []).append(decoded)
        elif decoded:
            obj[name] = decoded
    return obj


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields; others are passed over."""
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        wire = key & 7
        if wire == 0:
            _, place = _number(data, place)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            size, place = _number(data, place)
            yield key >> 3, data[place : place + size]
            place += size
        else:
            raise ApiError(400, "the protobuf of the request cannot be read")


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, place
    raise ApiError(400, "the protobuf of the request is cut")
