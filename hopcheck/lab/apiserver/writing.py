"""Create, update, patch and delete over HTTP, and the reviews an account asks of itself."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import yaml
from aiohttp import web

from hopcheck.lab.apiserver import protobuf
from hopcheck.lab.apiserver.errors import ApiError, not_found, qualified
from hopcheck.lab.apiserver.kinds import Resource
from hopcheck.lab.apiserver.patches import apply_patch
from hopcheck.lab.apiserver.rbac import Account, Attributes
from hopcheck.lab.apiserver.reading import selection
from hopcheck.lab.apiserver.store import Store

Obj = dict[str, Any]


async def body(request: web.Request, subresource: str = "") -> Any:
    """The request's body; ApiError 415 for a format that is not read, 400 where it is broken."""
    content_type = request.headers.get("Content-Type", "application/json")
    text = await request.read()
    if "protobuf" in content_type:
        return protobuf.decode(text, subresource)
    if "json" not in content_type and "yaml" not in content_type:
        raise ApiError(415, protobuf.UNKNOWN_FORMAT)
    try:
        return yaml.safe_load(text) if "yaml" in content_type else msgspec.json.decode(text)
    except (msgspec.DecodeError, yaml.YAMLError) as broken:
        raise ApiError(400, f"the body of the request is not valid: {broken}") from broken


def review(sent: Obj, resource: Resource, account: Account) -> Obj:
    """The answer to a SelfSubject…Review."""
    if not isinstance(sent, dict):
        raise ApiError(400, "the body of the request is no object")
    spec = sent.get("spec") or {}
    status: Obj
    if resource.kind == "SelfSubjectAccessReview":
        status = {"allowed": _allowed(spec, account)}
    elif resource.kind == "SelfSubjectRulesReview":
        status = {
            "resourceRules": account.granted(spec.get("namespace", "")),
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/version", "/healthz"]}],
            "incomplete": False,
        }
    else:
        groups = ["system:authenticated"]
        status = {"userInfo": {"username": account.name, "groups": groups}}
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"creationTimestamp": None},
        "spec": spec,
        "status": status,
    }


def _allowed(spec: Obj, account: Account) -> bool:
    if path := (spec.get("nonResourceAttributes") or {}).get("path"):
        return account.allows_path(path)
    asked = spec.get("resourceAttributes") or {}
    return account.allows(
        Attributes(
            asked.get("verb", ""),
            asked.get("group", ""),
            asked.get("resource", ""),
            asked.get("subresource", ""),
            asked.get("namespace", ""),
            asked.get("name", ""),
        )
    )


@dataclass(slots=True)
class Change:
    """A change that a client asks for; each method gives the object and the HTTP code."""

    store: Store
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    manager: str = "kubectl"
    _applied: Obj | None = None  # what an apply sent

    def create(self, sent: Any) -> tuple[Obj, int]:
        """POST: ApiError 409 where the object exists, 404 without its namespace."""
        obj = self._checked(sent)
        metadata = obj["metadata"]
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + secrets.token_hex(3)[:5]
        self._require_name(metadata.get("name", ""))
        if self.store.get(self.resource.key, self.namespace, metadata["name"]) is not None:
            message = f'{self._kind} "{metadata["name"]}" already exists'
            raise ApiError(409, message, reason="AlreadyExists")
        return self._put(obj), 201

    def update(self, sent: Any) -> tuple[Obj, int]:
        """PUT: ApiError 409 where the object has changed since the client read it."""
        obj = self._checked(sent)
        self._require_name(obj["metadata"].get("name", ""))
        old = self.store.get(self.resource.key, self.namespace, self.name)
        if old is None:
            return self._put(obj), 201
        version = obj["metadata"].get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            message = (
                f'Operation cannot be fulfilled on {self._kind} "{self.name}": the object has been '
                "modified; please apply your changes to the latest version and try again"
            )
            raise ApiError(409, message)
        return self._put(self._only_its_part(obj, old)), 200

    def patch(self, sent: Any, content_type: str) -> tuple[Obj, int]:
        """PATCH: an apply creates what is missing, any other patch gets ApiError 404."""
        old = self.store.get(self.resource.key, self.namespace, self.name)
        applied = content_type.startswith("application/apply-patch")
        if old is None and not applied:
            raise not_found(self.resource.plural, self.resource.group, self.name)
        new = apply_patch(old or {}, content_type, sent, custom=self.resource.custom)
        new = self._checked(new)
        self._applied = sent if applied else None
        if old is None:
            return self._put(new), 201
        new["metadata"]["name"] = self.name
        return self._put(self._only_its_part(new, old)), 200

    def delete(self) -> Obj:
        """DELETE of one object, or of a whole collection where no name is given."""
        if not self.name:
            names = [o["metadata"]["name"] for o in self._collection()]
            for name in names:
                self.store.delete(self.resource.key, self.namespace, name)
            return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        old = self.store.get(self.resource.key, self.namespace, self.name)
        if old is None:
            raise not_found(self.resource.plural, self.resource.group, self.name)
        if not self._dry:
            self.store.delete(self.resource.key, self.namespace, self.name)
        details = {"name": self.name, "kind": self.resource.plural, "uid": old["metadata"]["uid"]}
        details |= {"group": self.resource.group} if self.resource.group else {}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }

    @property
    def _kind(self) -> str:
        return qualified(self.resource.plural, self.resource.group)

    @property
    def _dry(self) -> bool:
        return self.query.get("dryRun") == "All"

    def _collection(self) -> list[Obj]:
        chosen = selection(self.query, self.resource, self.namespace, "")
        return [obj for obj in self.store.list(self.resource.key) if chosen(obj)]

    def _checked(self, sent: Any) -> Obj:
        if not isinstance(sent, dict):
            raise ApiError(400, "the body of the request is no object")
        obj: Obj = {"apiVersion": self.resource.api_version, "kind": self.resource.kind} | sent
        if (obj["apiVersion"], obj["kind"]) != (self.resource.api_version, self.resource.kind):
            message = (
                f"the API version in the data ({obj['apiVersion']}, Kind={obj['kind']}) does not "
                f"match the expected API version ({self.resource.api_version})"
            )
            raise ApiError(400, message)
        metadata = obj["metadata"] = dict(obj.get("metadata") or {})
        if self.resource.namespaced:
            metadata.setdefault("namespace", self.namespace)
            if metadata["namespace"] != self.namespace:
                message = "the namespace of the provided object does not match the request"
                raise ApiError(400, message)
            if self.store.get("namespaces", None, self.namespace) is None:
                raise not_found("namespaces", "", self.namespace)
        return obj

    def _require_name(self, name: str) -> None:
        if not name:
            message = f"{self.resource.kind} is invalid: metadata.name: Required value"
            raise ApiError(422, message)
        if self.name and name != self.name:
            message = f"the name of the object ({name}) does not match the URL ({self.name})"
            raise ApiError(400, message)

    def _only_its_part(self, new: Obj, old: Obj) -> Obj:
        """The status changes through its subresource alone, and nothing else changes there."""
        if self.subresource == "status":
            return old | ({"status": new["status"]} if "status" in new else {})
        if "status" in self.resource.subresources and "status" in old:
            return new | {"status": old["status"]}
        return new

    def _put(self, obj: Obj) -> Obj:
        if self._dry:
            return self.store.prepared(obj)
        operation = "Update" if self._applied is None else "Apply"
        return self.store.put(obj, self.manager, operation=operation, applied=self._applied)
