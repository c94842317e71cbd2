"""What the server tells of itself: groups, resources, version and a small OpenAPI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hopcheck.lab.apiserver.errors import NoSuchPath
from hopcheck.lab.apiserver.kinds import RESOURCES, Resource

Json = dict[str, Any]

VERSION: Json = {
    "major": "1",
    "minor": "33",
    "emulationMajor": "1",
    "emulationMinor": "33",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "32",
    "gitVersion": "v1.33.4",
    "gitCommit": "74cdb4273a6a1bd4a2e2a2e9f2a4a1fc6fdd5cf0",
    "gitTreeState": "clean",
    "buildDate": "2025-08-13T14:36:21Z",
    "goVersion": "go1.24.5",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def discover(path: str, accept: str, hidden: Iterable[str]) -> tuple[Json, str] | None:
    """The answer (and its content type) to a discovery path, or None where it is none.

    NoSuchPath for a group that is not served; `hidden` names such groups.
    """
    served = [r for r in RESOURCES if r.group not in set(hidden)]
    parts = path.strip("/").split("/")
    if path == "/version":
        return VERSION, "application/json"
    if parts[0] == "openapi":
        return _openapi(parts[1:], served), "application/json"
    if parts in (["api"], ["apis"]):
        if "v=v2;as=APIGroupDiscoveryList" in accept:
            return _aggregated(parts[0], served), _AGGREGATED
        return (_core_versions() if parts == ["api"] else _groups(served)), "application/json"
    if parts[0] == "api" and len(parts) == 2:
        return _resources("", parts[1], served), "application/json"
    if parts[0] == "apis" and len(parts) == 2:
        return _group(parts[1], served), "application/json"
    if parts[0] == "apis" and len(parts) == 3:
        return _resources(parts[1], parts[2], served), "application/json"
    return None


def _core_versions() -> Json:
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def _versions(served: list[Resource]) -> dict[str, str]:
    return {r.group: r.version for r in served if r.group}


def _group_entry(group: str, version: str) -> Json:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _groups(served: list[Resource]) -> Json:
    groups = [_group_entry(g, v) for g, v in _versions(served).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def _group(group: str, served: list[Resource]) -> Json:
    versions = _versions(served)
    if group not in versions:
        raise NoSuchPath
    return {"kind": "APIGroup", "apiVersion": "v1"} | _group_entry(group, versions[group])


def _resources(group: str, version: str, served: list[Resource]) -> Json:
    found = [r for r in served if (r.group, r.version) == (group, version)]
    if not found:
        raise NoSuchPath
    entries: list[Json] = []
    for r in found:
        entry: Json = {
            "name": r.plural,
            "singularName": r.kind.lower(),
            "namespaced": r.namespaced,
            "kind": r.kind,
            "verbs": list(r.verbs),
        }
        entry |= {"shortNames": list(r.short)} if r.short else {}
        entry |= {"categories": list(r.categories)} if r.categories else {}
        entries.append(entry)
        entries += [
            {
                "name": f"{r.plural}/{sub}",
                "singularName": "",
                "namespaced": r.namespaced,
                "kind": r.kind,
                "verbs": _subresource_verbs(sub),
            }
            for sub in r.subresources
        ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].api_version,
        "resources": entries,
    }


def _subresource_verbs(subresource: str) -> list[str]:
    verbs = {"log": ["get"], "proxy": ["create", "delete", "get", "patch", "update"]}
    return verbs.get(subresource, ["get", "patch", "update"])


def _aggregated(root: str, served: list[Resource]) -> Json:
    """Aggregated discovery: one answer instead of one for each group (apidiscovery.k8s.io/v2)."""
    groups = {"": "v1"} if root == "api" else _versions(served)
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {
                        "version": version,
                        "freshness": "Current",
                        "resources": [_discovered(r) for r in served if r.group == group],
                    }
                ],
            }
            for group, version in groups.items()
        ],
    }


def _kind(r: Resource) -> Json:
    return {"group": r.group, "version": r.version, "kind": r.kind}


def _discovered(r: Resource) -> Json:
    scope = "Namespaced" if r.namespaced else "Cluster"
    found: Json = {
        "resource": r.plural,
        "responseKind": _kind(r),
        "scope": scope,
        "singularResource": r.kind.lower(),
        "verbs": list(r.verbs),
    }
    found |= {"shortNames": list(r.short)} if r.short else {}
    found |= {"categories": list(r.categories)} if r.categories else {}
    if r.subresources:
        found["subresources"] = [
            {"subresource": s, "responseKind": _kind(r), "verbs": _subresource_verbs(s)}
            for s in r.subresources
        ]
    return found


def _openapi(parts: list[str], served: list[Resource]) -> Json:
    """OpenAPI v3 as far as kubectl reads it: that a PATCH knows the parameter fieldValidation."""
    if parts == ["v2"]:
        return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": {}}
    roots = {_root(r): r for r in served}
    if parts == ["v3"]:
        paths = {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}
        return {"paths": paths}
    root = "/".join(parts[1:])
    if parts[:1] != ["v3"] or root not in roots:
        raise NoSuchPath
    found = [r for r in served if _root(r) == root]
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": dict(_openapi_path(root, r) for r in found),
        "components": {"schemas": {}},
    }


def _root(r: Resource) -> str:
    return f"apis/{r.group}/{r.version}" if r.group else f"api/{r.version}"


def _openapi_path(root: str, r: Resource) -> tuple[str, Json]:
    scope = "/namespaces/{namespace}" if r.namespaced else ""
    names = ("dryRun", "fieldManager", "fieldValidation", "force")
    parameters = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in names]
    operation = {
        "x-kubernetes-action": "patch",
        "x-kubernetes-group-version-kind": _kind(r),
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
    }
    return f"/{root}{scope}/{r.plural}/{{name}}", {"parameters": [], "patch": operation}
