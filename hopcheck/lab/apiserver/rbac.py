"""Who asks, and what RBAC lets them do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hopcheck.lab.apiserver.errors import ApiError, qualified

Rule = dict[str, Any]

_READ = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}
# What every account may read: the ClusterRoles system:discovery and system:basic-user.
_DISCOVERY = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz")
_PUBLIC = frozenset({"/version", "/healthz", "/livez", "/readyz"})
_BASIC = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})
BASIC_RULES: list[Rule] = [
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {
        "verbs": ["create"],
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["selfsubjectreviews"],
    },
]


@dataclass(frozen=True, slots=True)
class Attributes:
    """One access to a resource; an empty namespace is the cluster scope."""

    verb: str
    group: str
    plural: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def resource(self) -> str:
        """`pods` or `pods/log`, as rules name it."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


@dataclass(frozen=True, slots=True)
class Account:
    """An account and its rules: None means all, `namespaced` are those of Roles."""

    name: str
    rules: Sequence[Rule] | None
    namespaced: Mapping[str, Sequence[Rule]] = field(default_factory=dict)

    def allows(self, access: Attributes) -> bool:
        """Whether a rule grants the access."""
        if self.rules is None or access.plural in _BASIC:
            return True
        rules = [*self.rules, *(self.namespaced.get(access.namespace, ()))]
        return any(_grants(rule, access) for rule in rules)

    def allows_path(self, path: str) -> bool:
        """Whether the account may read a path that is no resource."""
        if self.name == ANONYMOUS.name:
            return path in _PUBLIC
        return self.rules is None or path.startswith(_DISCOVERY)

    def granted(self, namespace: str) -> list[Rule]:
        """The rules that hold in a namespace, in the form of a SelfSubjectRulesReview."""
        if self.rules is None:
            return [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
        rules = [*self.rules, *self.namespaced.get(namespace, ()), *BASIC_RULES]
        return [rule for rule in rules if "resources" in rule]


ANONYMOUS = Account("system:anonymous", ())


def verb_of(method: str, *, name: str, watch: bool) -> str:
    """The RBAC verb of a request; ApiError 405 for a method that has none."""
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    if method in ("GET", "HEAD") and not name:
        return "watch" if watch else "list"
    if method not in _READ:
        raise ApiError(405, "the server does not allow this method on the requested resource")
    return _READ[method]


def require(account: Account, access: Attributes) -> None:
    """ApiError 403, in the API server's words, unless the account may."""
    if account.allows(access):
        return
    subject = qualified(access.plural, access.group)
    object_ = f' "{access.name}"' if access.name else ""
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    message = (
        f'{subject}{object_} is forbidden: User "{account.name}" cannot {access.verb} '
        f'resource "{access.resource}" in API group "{access.group}" {where}'
    )
    details = {"kind": access.plural}
    details |= {"name": access.name} if access.name else {}
    details |= {"group": access.group} if access.group else {}
    raise ApiError(403, message, details=details)


def require_path(account: Account, method: str, path: str) -> None:
    """ApiError 403 unless the account may read a path that is no resource."""
    if not account.allows_path(path):
        verb = _READ.get(method, "get")
        message = f'forbidden: User "{account.name}" cannot {verb} path "{path}"'
        raise ApiError(403, message)


def _grants(rule: Rule, access: Attributes) -> bool:
    names = rule.get("resourceNames") or []
    return (
        _has(rule.get("verbs", ()), access.verb)
        and _has(rule.get("apiGroups", ()), access.group)
        and _has_resource(rule.get("resources", ()), access)
        and (not names or access.name in names)
    )


def _has(values: Iterable[str], wanted: str) -> bool:
    return any(value in ("*", wanted) for value in values)


def _has_resource(values: Iterable[str], access: Attributes) -> bool:
    for value in values:
        if value in ("*", access.resource):
            return True
        if access.subresource and value == f"*/{access.subresource}":
            return True
    return False
