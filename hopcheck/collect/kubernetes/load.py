"""The official client at work in a process of its own: ``python load.py REQUEST``.

Finds the API server and what it is shown: kubeconfig files, contexts, exec plugins, auth-providers,
the account of the pod. Prints whom it waits for, a line each, then one JSON object: the fields of
`credentials.Access`, or `why` and `detail`. A process, since the client knows no time
limits and is slow to import (0.25 s, beside the other parties' questions), and since a plugin must
end with all its children: whoever started this process ends its whole group.

Imports nothing of hopcheck: it would only be waited for. Where the client differs from kubectl such
that another cluster, another user or nobody would be asked, kubectl's rule is followed here
(docs/adr/0009-clients.md).
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

_OUTPUT_BYTES = 1_048_576
_WORDS = 300


class Refused(Exception):  # noqa: N818  # a reason, not an error of ours
    """Why there is nothing to show: a value of `model.Why`, and one line.

    `known` are the names that there are in place of the context that the user named.
    """

    def __init__(
        self, detail: str, why: str = "misconfigured", known: list[str] | None = None
    ) -> None:
        super().__init__(detail)
        self.why = why
        self.known = known


class Plugin(subprocess.Popen[str]):
    """A plugin nobody types to, whose output is read up to a limit: the client sets neither."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "stdin": subprocess.DEVNULL})

    def communicate(self, *_: object, **__: object) -> tuple[str, str]:
        """All of standard output, and the end of standard error. Raises ValueError: too much."""
        out, errors = bytearray(), bytearray()
        with selectors.DefaultSelector() as ready:
            for pipe, kept in ((self.stdout, out), (self.stderr, errors)):
                if pipe is not None:
                    ready.register(pipe, selectors.EVENT_READ, kept)
            while ready.get_map():
                for key, _events in ready.select():
                    data = os.read(key.fd, 65_536)
                    if not data:
                        ready.unregister(key.fileobj)
                    key.data.extend(data)
                del errors[:-_WORDS]
                if len(out) > _OUTPUT_BYTES:
                    raise ValueError(f"it printed more than {_OUTPUT_BYTES >> 20} MiB")
        return out.decode("utf-8", "replace"), errors.decode("utf-8", "replace")


class _Said(logging.Handler):
    """What the client logs and goes on from: of a plugin's failure it raises nothing."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


def _merged(paths: list[str]) -> Any:
    """The client's merger, with all of `paths` that exist and hold something."""
    import yaml
    from kubernetes.config import ConfigException
    from kubernetes.config.kube_config import KubeConfigMerger

    merger = KubeConfigMerger("")
    for path in paths:
        try:
            merger.load_config(path)
        except (FileNotFoundError, ConfigException):  # missing, empty: kubectl passes both over
            continue
        except OSError as error:
            raise Refused(f"{path}: {error.strerror or error}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or getattr(error, "reason", "unreadable")
            raise Refused(f"{path}{where}: not YAML: {problem}") from error
        except (TypeError, AttributeError, RecursionError) as error:
            raise Refused(f"{path}: not a kubeconfig: {error}") from error
    return merger


def _named(whole: Any, section: str, name: object, wanted_by: str) -> Any:
    """The entry of `section` called `name`. Raises Refused, with the names there are."""
    found = whole[section].get_with_name(name, safe=True)
    if found is None:
        known = sorted(str(one["name"]) for one in whole.value[section])
        words = f"{section}: {', '.join(known) or 'none'}"
        detail = f"{wanted_by} {str(name)!r} is not in the kubeconfig; {words}"
        raise Refused(detail, known=known if section == "contexts" else None)
    return found


def load(asked: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """The fields of `credentials.Access`; `tell` is told whom is waited for. Raises Refused."""
    named: str | None = asked["kubeconfig"]
    default = os.environ.get("KUBECONFIG", "").strip(os.pathsep) or "~/.kube/config"
    given = [named] if named else [name for name in default.split(os.pathsep) if name]
    paths = [os.path.expanduser(name) for name in given]  # noqa: PTH111  # none without a home
    if named and not os.path.exists(paths[0]):  # noqa: PTH110
        raise Refused(f"{named}: no such file")
    merger = _merged(paths)
    whole = merger.config
    if whole is not None and (whole.value["clusters"] or whole.value["contexts"]):
        # The client takes the last current-context, kubectl the first.
        current = [one.get("current-context") for one in merger.config_files.values()]
        name = asked["context"] or next(filter(None, current), None)
        return _of_context(whole, name, tell)
    account = asked["account"]
    at = "KUBERNETES_SERVICE_HOST" in os.environ and os.path.exists(f"{account}/token")  # noqa: PTH110
    if at and not named:
        return _of_the_pod(account)
    where = ", ".join(paths)
    detail = f"no kubeconfig: KUBECONFIG is not set and {where} does not exist"
    if any(os.path.exists(path) for path in paths):  # noqa: PTH110
        detail = f"{where}: names no cluster (empty kubeconfig)"
    elif os.environ.get("KUBECONFIG"):
        detail = f"KUBECONFIG names {where}, which does not exist"
    raise Refused(detail, "not_configured")


def _of_the_pod(account: str) -> dict[str, Any]:
    from kubernetes.client import Configuration
    from kubernetes.config import ConfigException
    from kubernetes.config.incluster_config import InClusterConfigLoader

    configuration = Configuration()
    try:
        InClusterConfigLoader(f"{account}/token", f"{account}/ca.crt").load_and_set(configuration)
    except (ConfigException, OSError) as error:
        raise Refused(f"the pod's account: {error}") from error
    namespace = ""
    with suppress(OSError), open(f"{account}/namespace", encoding="utf-8") as file:  # noqa: PTH123
        namespace = file.read().strip()
    found = _found(configuration, _proxy(configuration, None))
    return {**found, "namespace": namespace or None, "in_cluster": True}


def _of_context(whole: Any, name: str | None, tell: Callable[[str], None]) -> dict[str, Any]:
    from kubernetes.client import Configuration
    from kubernetes.config.kube_config import KubeConfigLoader

    if not name:
        known = ", ".join(sorted(str(one["name"]) for one in whole.value["contexts"])) or "none"
        raise Refused(f"no current-context is set; contexts: {known} (choose one with --context)")
    context = _named(whole, "contexts", name, "context")["context"].value
    wanted_by = f"context {name!r}:"
    cluster = _named(whole, "clusters", context.get("cluster"), f"{wanted_by} cluster")["cluster"]
    if not cluster.value.get("server"):
        raise Refused(f"cluster {context.get('cluster')!r} has no server")
    user: dict[str, Any] = {}
    if context.get("user"):
        # Without it the client would ask as nobody.
        user = _named(whole, "users", context["user"], f"{wanted_by} user").value.get("user") or {}
    if user.get("tokenFile"):
        user.pop("token", None)  # which it outranks
    plugin = user.get("exec") or {}
    if plugin.get("interactiveMode") == "Always":
        raise Refused(
            f"exec plugin {plugin.get('command')}: interactiveMode is Always and nobody is asked "
            "here; log in with kubectl first or choose another context"
        )
    configuration = Configuration()
    said = _Said()
    logging.getLogger().addHandler(said)
    loader = KubeConfigLoader(whole, name, config_base_path=None)
    provider = (user.get("auth-provider") or {}).get("name")
    if plugin or provider:
        tell(f"exec plugin {plugin.get('command')}" if plugin else f"auth-provider {provider}")
    try:
        loader.load_and_set(configuration)
    except Exception as error:
        if not provider:
            raise
        raise Refused(f"auth-provider {provider}: {_words(error)}{_GONE}") from error
    found = _found(configuration, _proxy(configuration, cluster.value.get("proxy-url")))
    if plugin and said.words:
        raise Refused(f"exec plugin {_plugin_words(plugin, said.words[-1])}")
    if provider and not found["authorization"]:
        raise Refused(f"auth-provider {provider} gave no token{_GONE}")
    if bool(found["client_cert"]) != bool(found["client_key"]):
        raise Refused(f"user {context['user']!r}: client-certificate and client-key go together")
    return {
        **found,
        "context": name,
        "namespace": context.get("namespace") or None,
        "headers": _impersonation(user),
    }


def _words(error: Exception) -> str:
    """What a person can read of it: of something of an unexpected form, Python's words are not."""
    odd = isinstance(error, LookupError | TypeError | AttributeError)
    return "it has an unexpected form" if odd else str(error)


_GONE = "; auth-providers were removed from kubectl, use an exec plugin"


def _plugin_words(plugin: dict[str, Any], words: str) -> str:
    """The command, what it failed of, and what its owner says of installing it."""
    hint = plugin.get("installHint") if "No such file" in words else ""
    return f"{plugin.get('command')}: {words.removeprefix('exec: ')}{'; ' if hint else ''}{hint}"


def _proxy(configuration: Any, url: str | None) -> str | None:
    """The proxy on the way to the API server: proxy-url, else the environment's, as Go reads it.

    The client takes ALL_PROXY too, asks proxies for loopback and lets NO_PROXY outrank proxy-url.
    """
    from ipaddress import ip_address
    from urllib.parse import urlsplit
    from urllib.request import getproxies_environment

    from kubernetes.client.rest import should_bypass_proxies

    server = urlsplit(configuration.host)
    found = getproxies_environment()
    proxy = url or found.get(server.scheme)
    try:
        here = ip_address(server.hostname or "").is_loopback
    except ValueError:
        here = server.hostname == "localhost"
    if not url and (here or should_bypass_proxies(configuration.host, found.get("no", ""))):
        return None
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _impersonation(user: dict[str, Any]) -> list[tuple[str, str]]:
    """Headers of `as`, `as-uid` and `as-groups`, of which the client knows nothing."""
    pairs = [("Impersonate-User", user.get("as")), ("Impersonate-Uid", user.get("as-uid"))]
    pairs += [("Impersonate-Group", group) for group in user.get("as-groups") or ()]
    return [(name, str(value)) for name, value in pairs if value]


def _found(configuration: Any, proxy: str | None) -> dict[str, Any]:
    """What the client found. Files are named, not read."""
    scheme, _, token = configuration.api_key.get("BearerToken", "").partition(" ")
    return {
        "server": configuration.host,
        "ca": configuration.ssl_ca_cert,
        "client_cert": configuration.cert_file,
        "client_key": configuration.key_file,
        "insecure": not configuration.verify_ssl,
        "server_name": configuration.tls_server_name,
        # A token that was read from a file may end in a newline.
        "authorization": f"{scheme.capitalize()} {token.strip()}" if token.strip() else None,
        "proxy": proxy,
    }


def main() -> None:
    """Answer the request in the first argument on standard output."""
    asked = json.loads(sys.argv[1])
    # Should whoever started this be gone: neither this nor a plugin outlives the run.
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(0, signal.SIGKILL))
    signal.alarm(asked["seconds"])
    sys.path[:] = asked["path"]
    tempfile.tempdir = asked["directory"]  # where the client writes certificates and keys
    # Whatever else prints, prints elsewhere.
    answers = os.dup(1)
    os.dup2(2, 1)
    try:
        from kubernetes.config import ConfigException, exec_provider, kube_config

        bounded = SimpleNamespace(Popen=Plugin, PIPE=subprocess.PIPE)
        for module in (exec_provider, kube_config):
            vars(module)["subprocess"] = bounded

        def tell(who: str) -> None:
            os.write(answers, f"{' '.join(who.split())}\n".encode())

        tell("the kubeconfig")
        try:
            found = load(asked, tell)
        except ConfigException as error:
            raise Refused(str(error)) from error
    except Refused as refused:
        found = {"why": refused.why, "detail": str(refused), "known": refused.known}
    except Exception as error:  # noqa: BLE001  # any of many libraries' own; its words are handed on
        detail = f"the kubeconfig cannot be used: {_words(error)}"
        found = {"why": "misconfigured", "detail": detail}
    with os.fdopen(answers, "wb") as answer:
        answer.write(json.dumps(found).encode())
    os._exit(0)  # the client would take its files away, which are not read yet


if __name__ == "__main__":
    main()
