"""The patch types: merge (RFC 7386), strategic merge, JSON patch (RFC 6902) and apply."""

from __future__ import annotations

from typing import Any

from hopcheck.lab.apiserver.errors import ApiError

Obj = dict[str, Any]

# The lists that a strategic patch merges by key; all others are replaced as a whole.
# Source: the patchMergeKey tags of k8s.io/api.
_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "hostAliases": ("ip",),
}
_DIRECTIVES = ("$setElementOrder/", "$deleteFromPrimitiveList/", "$retainKeys", "$patch")


def apply_patch(obj: Obj, content_type: str, patch: Any, *, custom: bool) -> Obj:
    """The patched object; ApiError 415 for a type that is unknown or not for custom resources."""
    kind = content_type.split(";")[0].strip()
    if kind != "application/json-patch+json" and not isinstance(patch, dict):
        raise ApiError(400, "the patch is no object")
    result: Obj
    if kind == "application/json-patch+json":
        return _json_patch(obj, patch)
    if kind == "application/merge-patch+json":
        result = merge(obj, patch)
        return result
    strategic = kind == "application/strategic-merge-patch+json" and not custom
    if strategic or kind == "application/apply-patch+yaml":
        result = _strategic(obj, patch)
        return result
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )
    raise ApiError(415, message)


def merge(target: Any, patch: Any) -> Any:
    """JSON merge patch: null removes, dictionaries merge, all else is replaced."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _strategic(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        result = {key: result[key] for key in result if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [item for item in result.get(name, []) if item not in value]
        elif key.startswith(_DIRECTIVES):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            order = patch.get(f"$setElementOrder/{key}")
            result[key] = _merged_list(key, result.get(key) or [], value, order)
        else:
            result[key] = _strategic(result.get(key), value)
    return result


def _merge_key(name: str, items: list[Any]) -> str | None:
    for key in _KEYS.get(name, ()):
        if items and all(isinstance(item, dict) and key in item for item in items):
            return key
    return None


def _merged_list(name: str, old: list[Any], new: list[Any], order: list[Any] | None) -> list[Any]:
    if name == "finalizers":
        return old + [item for item in new if item not in old]
    key = _merge_key(name, new)
    if key is None or (old and _merge_key(name, old) != key):
        return [item for item in new if not (isinstance(item, dict) and "$patch" in item)]
    result = {item[key]: item for item in old}
    for item in new:
        if item.get("$patch") == "delete":
            result.pop(item[key], None)
        else:
            result[item[key]] = _strategic(result.get(item[key]), item)
    if order:
        places = {item[key]: place for place, item in enumerate(order)}
        return sorted(result.values(), key=lambda item: places.get(item[key], len(places)))
    return list(result.values())


def _json_patch(obj: Obj, operations: Any) -> Obj:
    document: Any = obj
    for operation in operations:
        document = _operated(document, operation)
    if not isinstance(document, dict):
        raise ApiError(422, "the patched object is no object")
    return document


def _operated(document: Any, operation: Obj) -> Any:
    path, name = operation["path"], operation["op"]
    if name == "test":
        if _at(document, path) != operation.get("value"):
            raise ApiError(422, f"testing path {path} failed")
        return document
    if name in ("copy", "move"):
        value = _at(document, operation["from"])
        if name == "move":
            document = _edited(document, operation["from"], "remove", None)
        return _edited(document, path, "add", value)
    return _edited(document, path, name, operation.get("value"))


def _tokens(path: str) -> list[str]:
    return [token.replace("~1", "/").replace("~0", "~") for token in path.split("/")[1:]]


def _at(document: Any, path: str) -> Any:
    for token in _tokens(path):
        document = _child(document, token, path)
    return document


def _child(document: Any, token: str, path: str) -> Any:
    try:
        return document[int(token) if isinstance(document, list) else token]
    except (KeyError, IndexError, ValueError, TypeError) as missing:
        raise ApiError(422, f"the path {path} is not in the object") from missing


def _edited(document: Any, path: str, name: str, value: Any) -> Any:
    tokens = _tokens(path)
    if not tokens:
        return value
    parent = _at(document, path.rpartition("/")[0])
    last = tokens[-1]
    if name != "add":
        _child(parent, last, path)
    if isinstance(parent, list):
        _edit_list(parent, last, name, value)
    elif isinstance(parent, dict):
        if name == "remove":
            del parent[last]
        else:
            parent[last] = value
    else:
        raise ApiError(422, f"the path {path} leads into a value")
    return document


def _edit_list(parent: list[Any], last: str, name: str, value: Any) -> None:
    place = len(parent) if last == "-" else int(last)
    if name == "add":
        parent.insert(place, value)
    elif name == "remove":
        del parent[place]
    else:
        parent[place] = value
