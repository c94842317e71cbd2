"""What the API server is shown: credentials, asked for where they must be, and TLS.

Exec plugins and legacy auth-providers may hang, fail or be absent; each gets a time limit and
becomes a typed reason with the plugin's own words. Protocol: client.authentication.k8s.io v1 and
v1beta1 (v1alpha1 is gone since client-go 0.24); checks and their order follow client-go's
plugin/pkg/client/auth/exec.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from hopcheck.collect.ask import Unavailable, in_thread
from hopcheck.collect.kubernetes.kubeconfig import KubeAccess
from hopcheck.model import Obj, Why
from hopcheck.model.redact import redact_text

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_OUTPUT_BYTES = 1_048_576
_WORDS = 300


class Credentials(Struct, frozen=True):
    """What the API server is shown; certificate and key are PEM."""

    token: str | None = None
    basic: tuple[str, str] | None = None
    client_cert: str | None = None
    client_key: str | None = None


def _bad(detail: str) -> Unavailable:
    return Unavailable(Why.MISCONFIGURED, redact_text(detail))


async def credentials_of(access: KubeAccess, limit_s: float) -> Credentials:
    """The credentials of `access`, asking a plugin within `limit_s` seconds where there is one.

    A token or password in the kubeconfig outranks a plugin's token, as in client-go. Raises
    Unavailable: MISCONFIGURED or TIMED_OUT, in the plugin's own words.
    """
    given = Credentials(
        token=access.token,
        basic=access.basic,
        client_cert=access.client_cert,
        client_key=access.client_key,
    )
    if access.exec is not None:
        asked = await _exec(access.exec, access.exec_cluster, limit_s)
        known = given.token or given.basic
        return Credentials(
            token=given.token if known else asked.token,
            basic=given.basic,
            client_cert=asked.client_cert or given.client_cert,
            client_key=asked.client_key or given.client_key,
        )
    if access.auth_provider is not None and not (given.token or given.basic):
        token = await _legacy_token(access, limit_s)
        return Credentials(token=token, client_cert=given.client_cert, client_key=given.client_key)
    return given


def _request(spec: Obj, cluster: Obj | None) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment of a plugin."""
    version = spec.get("apiVersion")
    if version not in _VERSIONS:
        raise _bad(f"exec plugin: invalid apiVersion {str(version)!r}")
    command = spec.get("command")
    if not command:
        raise _bad("exec plugin: no command is given")
    if spec.get("interactiveMode") == "Always":
        raise _bad(
            f"exec plugin {command}: interactiveMode is Always and nobody is asked here; "
            "log in with kubectl first or choose another context"
        )
    asked: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        asked["cluster"] = cluster
    env = dict(os.environ)
    for variable in spec.get("env") or ():
        env[str(variable.get("name"))] = str(variable.get("value"))
    env["KUBERNETES_EXEC_INFO"] = json.dumps(
        {"apiVersion": version, "kind": "ExecCredential", "spec": asked}
    )
    return [str(command), *(str(arg) for arg in spec.get("args") or ())], env


class _Plugin(asyncio.SubprocessProtocol):
    """Keeps a plugin's output up to a limit; `ended` when it exited and closed its pipes."""

    def __init__(self) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()

    def process_exited(self) -> None:
        self.exited.set()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.output[fd]
        kept += data[: _OUTPUT_BYTES - len(kept)]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's interface
        self.ended.set()


async def _exec(spec: Obj, cluster: Obj | None, limit_s: float) -> Credentials:
    argv, env = _request(spec, cluster)
    try:
        transport, plugin = await asyncio.get_running_loop().subprocess_exec(
            _Plugin,
            *argv,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # its own process group, to be ended with all its children
        )
    except FileNotFoundError as error:
        hint = " ".join(str(spec.get("installHint") or "").split())
        raise _bad(
            f"exec plugin {argv[0]}: executable not found{f'; {hint[:_WORDS]}' if hint else ''}"
        ) from error
    except (OSError, ValueError) as error:
        raise _bad(f"exec plugin {argv[0]}: {error}") from error
    try:
        async with asyncio.timeout(limit_s):
            await plugin.ended.wait()
    except TimeoutError as error:
        raise Unavailable(
            Why.TIMED_OUT, f"exec plugin {argv[0]}: no credentials within {limit_s:.1f} s"
        ) from error
    finally:
        # A plugin's children may outlive it, and hold its pipes.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):  # killed: its exit is a matter of milliseconds
                await plugin.exited.wait()
        transport.close()
    code = transport.get_returncode()
    if code != 0:
        words = " ".join(plugin.output[2].decode("utf-8", "replace").split())
        raise _bad(f"exec plugin {argv[0]} failed with exit code {code}: {words[-_WORDS:]}")
    return _status(argv[0], str(spec["apiVersion"]), bytes(plugin.output[1]))


def _status(command: str, version: str, out: bytes) -> Credentials:
    try:
        answer = json.loads(out)
    except (ValueError, RecursionError) as error:
        start = " ".join(out[:80].decode("utf-8", "replace").split())
        what = f"it begins with {start!r}" if start else "there is none"
        raise _bad(f"exec plugin {command}: its output is no ExecCredential: {what}") from error
    if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
        raise _bad(f"exec plugin {command}: its output is no ExecCredential")
    if answer.get("apiVersion") != version:
        raise _bad(
            f"exec plugin {command}: configured for {version}, "
            f"answered {str(answer.get('apiVersion'))[:80]}"
        )
    status = answer.get("status")
    if not isinstance(status, dict):
        raise _bad(f"exec plugin {command}: it returned no status")
    token = status.get("token")
    cert, key = status.get("clientCertificateData"), status.get("clientKeyData")
    if not token and not (cert and key):
        raise _bad(f"exec plugin {command}: it returned neither a token nor certificate and key")
    return Credentials(
        token=str(token).strip() if token else None,
        client_cert=str(cert) if cert and key else None,
        client_key=str(key) if cert and key else None,
    )


async def _legacy_token(access: KubeAccess, limit_s: float) -> str:
    """The token of an auth-provider entry (oidc, gcp, azure), by the official client's loader."""
    name = str((access.auth_provider or {}).get("name"))
    try:
        async with asyncio.timeout(limit_s):
            token = await in_thread(_load_legacy, os.pathsep.join(access.files), access.context)
    except TimeoutError as error:
        raise Unavailable(
            Why.TIMED_OUT, f"auth-provider {name}: no token within {limit_s:.1f} s"
        ) from error
    except ModuleNotFoundError as error:
        raise _bad(
            f"auth-provider {name} needs pip install 'hopcheck[auth-provider]' ({error}); "
            "auth-providers were removed from kubectl, use an exec plugin"
        ) from error
    except Exception as error:  # any of many libraries' own; its words are handed on
        raise _bad(f"auth-provider {name}: {type(error).__name__}: {error}"[:_WORDS]) from error
    if not token:
        raise _bad(
            f"auth-provider {name} gave no token; auth-providers were removed from kubectl, "
            "use an exec plugin"
        )
    return token


def _load_legacy(files: str, context: str | None) -> str:
    from kubernetes import client, config

    configuration = client.Configuration()
    load: Callable[..., None] = config.load_kube_config  # the package is not typed
    load(
        config_file=files,
        context=context,
        client_configuration=configuration,
        persist_config=False,
    )
    # Named "authorization" up to release 35 of the client, "BearerToken" since.
    keys = configuration.api_key
    header = str(keys.get("authorization") or keys.get("BearerToken") or "")
    return header.removeprefix("Bearer ").strip()


def identity_headers(access: KubeAccess, credentials: Credentials) -> list[tuple[str, str]]:
    """Authorization and impersonation headers."""
    headers: list[tuple[str, str]] = []
    if credentials.token:
        headers.append(("Authorization", f"Bearer {credentials.token}"))
    elif credentials.basic:
        plain = ":".join(credentials.basic).encode()
        headers.append(("Authorization", f"Basic {base64.b64encode(plain).decode()}"))
    for name, value in access.headers.items():
        headers += [(name, part) for part in value.split("\n")]
    return headers


def tls_context(access: KubeAccess, credentials: Credentials) -> ssl.SSLContext | None:
    """The TLS context for the API server, None for plain http.

    Raises Unavailable(MISCONFIGURED) where a certificate or key cannot be read.
    """
    if access.server.startswith("http://"):
        return None
    try:
        context = ssl.create_default_context(cadata=access.ca)
        # Python 3.13 refuses CAs without an authority key identifier, which kubeadm's own
        # may be; client-go does not.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if access.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if credentials.client_cert and credentials.client_key:
            _load_pair(context, credentials.client_cert, credentials.client_key)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise Unavailable(
            Why.MISCONFIGURED, f"certificates of the kubeconfig cannot be used: {error}"
        ) from error
    return context


def _load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    """OpenSSL reads a pair from files alone: a private directory, gone when they are loaded."""
    with tempfile.TemporaryDirectory(prefix="hopcheck-") as directory:
        cert_file, key_file = Path(directory) / "cert.pem", Path(directory) / "key.pem"
        cert_file.write_text(cert)
        key_file.touch(mode=0o600)
        key_file.write_text(key)
        context.load_cert_chain(cert_file, key_file)
