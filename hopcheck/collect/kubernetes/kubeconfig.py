"""Where the Kubernetes API is and who asks: kubeconfig files as kubectl reads them.

An own thin loader, since the official client costs half a second to import and waits for exec
plugins without limit (docs/adr/0001-kubeconfig.md). Rules are client-go's tools/clientcmd: with
several files the first to name a cluster, user, context or current-context wins, missing files
are passed over, relative paths count from the file they stand in; without any file the account
of the pod we run in is used.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from hopcheck.collect.ask import Unavailable
from hopcheck.config.options import Options
from hopcheck.model import Obj, Why

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}


class KubeAccess(Struct, frozen=True):
    """How to reach one API server; certificates and keys are PEM.

    `exec` and `auth_provider` are left to be asked at the time of use.
    """

    server: str  # URL, a path prefix included
    context: str | None = None
    namespace: str | None = None
    in_cluster: bool = False
    ca: str | None = None
    insecure: bool = False
    server_name: str | None = None  # tls-server-name
    client_cert: str | None = None
    client_key: str | None = None
    token: str | None = None
    basic: tuple[str, str] | None = None
    headers: dict[str, str] = field(default_factory=dict)  # impersonation
    proxy_url: str | None = None
    exec: Obj | None = None
    auth_provider: Obj | None = None
    exec_cluster: Obj | None = None  # for provideClusterInfo
    files: tuple[str, ...] = ()


def _bad(detail: str) -> Unavailable:
    return Unavailable(Why.MISCONFIGURED, detail)


def load_access(
    options: Options,
    environ: Mapping[str, str] | None = None,
    account: Path = _ACCOUNT,
) -> KubeAccess:
    """The API server that `options` and the environment name.

    Raises Unavailable: NOT_CONFIGURED where there is no configuration at all, MISCONFIGURED with
    one line of detail where there is one that cannot be used.
    """
    env = os.environ if environ is None else environ
    paths = _paths(options, env)
    files = [str(path) for path in paths if _exists(path)]
    if options.kubeconfig and not files:
        raise _bad(f"{options.kubeconfig}: no such file")
    config = _merged([Path(name) for name in files])
    if not config["clusters"] and not config["contexts"]:
        if not options.kubeconfig and _in_cluster_possible(env, account):
            return _in_cluster(env, account)
        raise Unavailable(Why.NOT_CONFIGURED, _nothing(paths, files, env))
    return _access(config, options.context, tuple(files))


def _paths(options: Options, env: Mapping[str, str]) -> list[Path]:
    if options.kubeconfig:
        return [Path(options.kubeconfig).expanduser()]
    named = [name for name in env.get("KUBECONFIG", "").split(os.pathsep) if name]
    if named:
        return [Path(name) for name in dict.fromkeys(named)]
    return [_home(env) / ".kube" / "config"]


def _home(env: Mapping[str, str]) -> Path:
    if env.get("HOME"):
        return Path(env["HOME"])
    try:
        return Path.home()
    except RuntimeError:  # a container's arbitrary user id has no home
        return Path("/")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # not even its directory may be looked into: reading it will say so
        return True


def _nothing(paths: list[Path], files: list[str], env: Mapping[str, str]) -> str:
    if files:
        return f"{', '.join(files)}: names no cluster (empty kubeconfig)"
    names = ", ".join(str(path) for path in paths)
    if env.get("KUBECONFIG"):
        return f"KUBECONFIG names {names}, which does not exist"
    return f"no kubeconfig: KUBECONFIG is not set and {names} does not exist"


def _read(path: Path) -> Obj:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = path.read_bytes()
        data = yaml.load(text, Loader=loader)  # noqa: S506  # a SafeLoader, the C one where built
    except OSError as error:
        raise _bad(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or type(error).__name__
        raise _bad(f"{path}{where}: not YAML: {problem}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _bad(f"{path}: not a kubeconfig: {type(data).__name__} where a mapping belongs")
    return data


def _entries(data: Obj, section: str, path: Path) -> Iterator[tuple[str, Obj]]:
    listed = data.get(section) or []
    if not isinstance(listed, list):
        raise _bad(f"{path}: {section} is not a list")
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise _bad(f"{path}: an entry of {section} has no name")
        body = entry.get(_SECTIONS[section]) or {}
        if not isinstance(body, dict):
            raise _bad(f"{path}: {section} {entry['name']!r} is not a mapping")
        yield entry["name"], body


def _merged(files: list[Path]) -> dict[str, Any]:
    """Sections as name -> body; each body carries the directory of its file as "" ."""
    config: dict[str, Any] = {section: {} for section in _SECTIONS}
    config["current-context"] = ""
    for path in files:
        data = _read(path)
        for section in _SECTIONS:
            for name, body in _entries(data, section, path):
                config[section].setdefault(name, {**body, "": path.absolute().parent})
        config["current-context"] = config["current-context"] or data.get("current-context") or ""
    return config


def _named(config: dict[str, Any], section: str, name: object, wanted_by: str) -> Obj:
    body: Obj | None = config[section].get(name)
    if body is None:
        known = ", ".join(sorted(config[section])) or "none"
        raise _bad(f"{wanted_by} {str(name)!r} is not in the kubeconfig; {section}: {known}")
    return body


def _access(config: dict[str, Any], wanted: str | None, files: tuple[str, ...]) -> KubeAccess:
    name = wanted or config["current-context"]
    if not name:
        known = ", ".join(sorted(config["contexts"])) or "none"
        raise _bad(f"no current-context is set; contexts: {known} (choose one with --context)")
    context = _named(config, "contexts", name, "context")
    cluster = _named(config, "clusters", context.get("cluster"), f"context {name!r}: cluster")
    user: Obj = {}
    if context.get("user"):
        user = _named(config, "users", context["user"], f"context {name!r}: user")
    server = cluster.get("server")
    if not isinstance(server, str) or not server.strip():
        raise _bad(f"cluster {context.get('cluster')!r} has no server")
    ca = _pem(cluster, "certificate-authority")
    client_cert = _pem(user, "client-certificate")
    client_key = _pem(user, "client-key")
    if bool(client_cert) != bool(client_key):
        raise _bad(f"user {context.get('user')!r}: client-certificate and client-key go together")
    if user.get("exec") and not isinstance(user["exec"], dict):
        raise _bad(f"user {context.get('user')!r}: exec is not a mapping")
    return KubeAccess(
        server=_with_scheme(server.strip(), tls=bool(ca or client_cert)),
        context=name,
        namespace=context.get("namespace") or None,
        ca=ca,
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        server_name=cluster.get("tls-server-name") or None,
        client_cert=client_cert,
        client_key=client_key,
        token=_token(user),
        basic=_basic(user),
        headers=_impersonation(user),
        proxy_url=cluster.get("proxy-url") or None,
        exec=_exec(user),
        auth_provider=user.get("auth-provider") or None,
        exec_cluster=_exec_cluster(cluster, ca),
        files=files,
    )


def _with_scheme(server: str, *, tls: bool) -> str:
    if "://" in server:
        return server.rstrip("/")
    return f"{'https' if tls else 'http'}://{server}".rstrip("/")


def _file(body: Obj, key: str) -> str | None:
    """The text of the file that `key` names, counted from the kubeconfig's directory."""
    name = body.get(key)
    if not name:
        return None
    path = Path(body[""]) / str(name)
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _bad(f"{key} {path}: {reason}") from error


def _pem(body: Obj, key: str) -> str | None:
    """`key`-data (base64) where it is set, which overrides `key` (a file)."""
    data = body.get(f"{key}-data")
    if not data:
        return _file(body, key)
    try:
        return base64.b64decode(str(data), validate=False).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _bad(f"{key}-data is not PEM in base64: {error}") from error


def _token(user: Obj) -> str | None:
    """The bearer token; a tokenFile's last content outranks `token` (client-go's AuthInfo)."""
    text = _file(user, "tokenFile")
    token = text.strip() if text is not None else user.get("token")
    return str(token).strip() if token else None


def _basic(user: Obj) -> tuple[str, str] | None:
    if not user.get("username") and not user.get("password"):
        return None
    return str(user.get("username") or ""), str(user.get("password") or "")


def _impersonation(user: Obj) -> dict[str, str]:
    headers = {}
    if user.get("as"):
        headers["Impersonate-User"] = str(user["as"])
    if user.get("as-uid"):
        headers["Impersonate-Uid"] = str(user["as-uid"])
    groups = user.get("as-groups") or []
    if groups:
        # One header a group on the wire; joined here, taken apart by the client.
        headers["Impersonate-Group"] = "\n".join(str(group) for group in groups)
    return headers


def _exec(user: Obj) -> Obj | None:
    spec = user.get("exec")
    if not spec:
        return None
    command = str(spec.get("command") or "")
    if "/" in command and not Path(command).is_absolute():
        command = str(Path(user[""]) / command)
    return {**spec, "command": command}


def _exec_cluster(cluster: Obj, ca: str | None) -> Obj:
    """What a plugin with provideClusterInfo is told (clientauthentication/v1 Cluster)."""
    keys = ("server", "tls-server-name", "insecure-skip-tls-verify", "proxy-url")
    info = {key: cluster[key] for key in keys if cluster.get(key)}
    if ca:
        info["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
    for extension in cluster.get("extensions") or ():
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info


def _in_cluster_possible(env: Mapping[str, str], account: Path) -> bool:
    return bool(
        env.get("KUBERNETES_SERVICE_HOST")
        and env.get("KUBERNETES_SERVICE_PORT")
        and (account / "token").is_file()
    )


def _in_cluster(env: Mapping[str, str], account: Path) -> KubeAccess:
    host, port = env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"]
    try:
        token = (account / "token").read_text().strip()
        ca = (account / "ca.crt").read_text()
        space = account / "namespace"
        namespace = space.read_text().strip() if space.is_file() else None
    except OSError as error:
        raise _bad(f"the pod's account: {error.filename}: {error.strerror}") from error
    return KubeAccess(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        namespace=namespace or None,
        in_cluster=True,
        ca=ca,
        token=token,
    )
