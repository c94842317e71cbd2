"""The rights that are missing, as the documents that grant them (pure)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from hopcheck.model.redact import REDACTED

_RBAC = "rbac.authorization.k8s.io"
# Not "hopcheck": what is granted under that name already would be replaced.
NAME = "hopcheck-missing"


def rbac(paths: Mapping[str, str], refusal: str, namespace: str | None) -> str:
    """YAML for ``kubectl apply``: a role that may read the resources at `paths`, and its binding.

    In `namespace` where that is given; for whom, the API server's own `refusal` says.
    """
    groups: dict[str, list[str]] = {}
    for name, path in paths.items():
        groups.setdefault(path.split("/")[2] if path.startswith("/apis/") else "", []).append(name)
    rules = [
        {"apiGroups": [group], "resources": names, "verbs": ["get", "list"]}
        for group, names in groups.items()
    ]
    kind = "Role" if namespace else "ClusterRole"
    meta = {"name": NAME, **({"namespace": namespace} if namespace else {})}
    about: dict[str, Any] = {"apiVersion": f"{_RBAC}/v1", "metadata": meta}
    documents = [
        {**about, "kind": kind, "rules": rules},
        {
            **about,
            "kind": f"{kind}Binding",
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": NAME},
            "subjects": [_subject(refusal)],
        },
    ]
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def _subject(refusal: str) -> dict[str, str]:
    named = re.search(r'User "([^"]+)"', refusal)
    # An e-mail address never got here.
    user = named[1] if named and named[1] != REDACTED else "YOUR-USER"
    account = re.fullmatch(r"system:serviceaccount:([^:]+):([^:]+)", user)
    if account:
        return {"kind": "ServiceAccount", "namespace": account[1], "name": account[2]}
    return {"apiGroup": _RBAC, "kind": "User", "name": user}


def iam(actions: Iterable[str]) -> str:
    """An IAM policy that allows these actions."""
    allow = {"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]}, indent=2)
