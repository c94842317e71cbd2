"""Kubeconfig files as kubectl reads them, and every way in which they can be unusable."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from hopcheck.collect.ask import Unavailable
from hopcheck.collect.kubernetes.credentials import credentials_of, identity_headers, tls_context
from hopcheck.collect.kubernetes.kubeconfig import KubeAccess, load_access
from hopcheck.collect.kubernetes.proxy import proxy_for
from hopcheck.config.options import Options
from hopcheck.model import Why

V1 = "client.authentication.k8s.io/v1"


def config(**more):
    return {
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example.com:6443"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
        **more,
    }


def written(path: Path, data: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


def load(env: dict[str, str] | None = None, account: Path = Path("/nonexistent"), **options):
    return load_access(Options(**options), env or {}, account)


def reason(env: dict[str, str] | None = None, **options) -> tuple[Why, str]:
    with pytest.raises(Unavailable) as caught:
        load(env, **options)
    assert "\n" not in caught.value.detail
    return caught.value.why, caught.value.detail


def test_a_plain_file(tmp_path):
    access = load(kubeconfig=written(tmp_path / "k", config()))
    assert access.server == "https://api.example.com:6443"
    assert (access.context, access.token, access.namespace) == ("x", "t", None)
    assert not access.insecure


def test_the_default_is_the_file_in_the_home_directory(tmp_path):
    written(tmp_path / ".kube" / "config", config())
    assert load({"HOME": str(tmp_path)}).token == "t"


def test_several_files_the_first_to_name_a_thing_wins(tmp_path):
    other = config()
    other["users"][0]["user"]["token"] = "second"
    other["contexts"].append({"name": "y", "context": {"cluster": "c", "user": "only-here"}})
    other["users"].append({"name": "only-here", "user": {"token": "third"}})
    other["current-context"] = "y"
    first = written(tmp_path / "a", config(**{"current-context": ""}))
    second = written(tmp_path / "b", other)
    env = {"KUBECONFIG": os.pathsep.join([first, str(tmp_path / "missing"), "", second])}
    assert load(env).token == "third"
    assert load(env, context="x").token == "t"


def test_kubectl_reads_the_same(tmp_path):
    """The merged view of the real kubectl: server, user and namespace of the chosen context."""
    kubectl = Path(os.sys.prefix) / "bin" / "kubectl"
    if not kubectl.exists():
        pytest.skip("kubectl is not installed")
    other = config()
    other["clusters"][0]["cluster"]["server"] = "https://second.example.com"
    other["contexts"].append(
        {"name": "y", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}
    )
    files = [written(tmp_path / "a", config()), written(tmp_path / "b", other)]
    env = {"KUBECONFIG": os.pathsep.join(files)}
    command = [str(kubectl), "config", "view", "--minify", "--raw", "-o", "json", "--context=y"]
    seen = json.loads(subprocess.run(command, env=env, capture_output=True, check=True).stdout)
    access = load(env, context="y")
    assert access.server == seen["clusters"][0]["cluster"]["server"]
    assert access.namespace == seen["contexts"][0]["context"]["namespace"] == "shop"
    assert access.token == seen["users"][0]["user"]["token"]


def test_relative_paths_count_from_the_file(tmp_path):
    data = config()
    data["clusters"][0]["cluster"]["certificate-authority"] = "pki/ca.pem"
    data["users"][0]["user"] = {"tokenFile": "token", "token": "outranked"}
    written(tmp_path / "pki" / "ca.pem", "CA")
    written(tmp_path / "token", " from-file\n")
    access = load(kubeconfig=written(tmp_path / "k", data))
    assert (access.ca, access.token) == ("CA", "from-file")


def test_data_outranks_files(tmp_path):
    data = config()
    data["clusters"][0]["cluster"].update(
        {
            "certificate-authority": "missing.pem",
            "certificate-authority-data": base64.b64encode(b"INLINE").decode(),
            "tls-server-name": "kubernetes",
            "proxy-url": "http://proxy.example.com:3128",
            "insecure-skip-tls-verify": True,
        }
    )
    data["users"][0]["user"] = {
        "username": "a",
        "password": "b",
        "as": "me",
        "as-groups": ["g", "h"],
    }
    access = load(kubeconfig=written(tmp_path / "k", data))
    assert access.ca == "INLINE"
    assert access.server_name == "kubernetes"
    assert access.proxy_url == "http://proxy.example.com:3128"
    assert access.insecure
    given = asyncio.run(credentials_of(access, 1))
    assert identity_headers(access, given) == [
        ("Authorization", "Basic YTpi"),
        ("Impersonate-User", "me"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
    ]


def test_in_a_pod_the_account_is_used(tmp_path):
    account = tmp_path / "account"
    written(account / "token", "sa-token\n")
    written(account / "ca.crt", "CA")
    written(account / "namespace", "shop")
    env = {
        "HOME": str(tmp_path),
        "KUBERNETES_SERVICE_HOST": "fd00::1",
        "KUBERNETES_SERVICE_PORT": "443",
    }
    access = load(env, account)
    assert (access.server, access.token, access.ca) == ("https://[fd00::1]:443", "sa-token", "CA")
    assert access.in_cluster
    assert access.namespace == "shop"
    written(tmp_path / ".kube" / "config", config())
    assert not load(env, account).in_cluster


def test_nothing_is_configured(tmp_path):
    why, detail = reason({"HOME": str(tmp_path)})
    assert why is Why.NOT_CONFIGURED
    assert detail.startswith("no kubeconfig: KUBECONFIG is not set")
    why, detail = reason({"KUBECONFIG": "/nonexistent/config"})
    assert (why, detail) == (
        Why.NOT_CONFIGURED,
        "KUBECONFIG names /nonexistent/config, which does not exist",
    )
    empty = written(tmp_path / "empty", "")
    why, detail = reason({"KUBECONFIG": empty})
    assert (why, detail) == (Why.NOT_CONFIGURED, f"{empty}: names no cluster (empty kubeconfig)")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a: [b\nc: d", "line 2: not YAML"),
        ("\x00\x01", "not YAML"),
        ("- a\n", "not a kubeconfig: list"),
        ({"clusters": {"c": 1}}, "clusters is not a list"),
        ({"clusters": [{"cluster": {}}]}, "has no name"),
        (config(contexts=[]), "context 'x' is not in the kubeconfig; contexts: none"),
        (config(clusters=[]), "cluster 'c' is not in the kubeconfig; clusters: none"),
        (config(users=[]), "user 'u' is not in the kubeconfig; users: none"),
        (config(**{"current-context": ""}), "no current-context is set; contexts: x"),
        (config(clusters=[{"name": "c", "cluster": {}}]), "cluster 'c' has no server"),
        (
            config(users=[{"name": "u", "user": {"client-certificate-data": "QQ=="}}]),
            "client-certificate and client-key go together",
        ),
        (
            config(users=[{"name": "u", "user": {"tokenFile": "/nonexistent"}}]),
            "tokenFile /nonexistent: No such file or directory",
        ),
    ],
)
def test_misconfigured(tmp_path, data, words):
    why, detail = reason(kubeconfig=written(tmp_path / "k", data))
    assert why is Why.MISCONFIGURED
    assert words in detail


def test_wrong_context_missing_file_and_directory(tmp_path):
    path = written(tmp_path / "k", config())
    why, detail = reason(kubeconfig=path, context="prod")
    assert (why, detail) == (
        Why.MISCONFIGURED,
        "context 'prod' is not in the kubeconfig; contexts: x",
    )
    assert reason(kubeconfig="/nonexistent/k") == (
        Why.MISCONFIGURED,
        "/nonexistent/k: no such file",
    )
    assert reason(kubeconfig=str(tmp_path))[0] is Why.MISCONFIGURED


def test_certificates_that_are_none(tmp_path):
    access = KubeAccess(server="https://a", ca="no certificate")
    given = asyncio.run(credentials_of(access, 1))
    with pytest.raises(Unavailable, match="certificates of the kubeconfig cannot be used"):
        tls_context(access, given)


def test_client_certificate_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    issued = trustme.CA().issue_cert("user@example.com")
    access = KubeAccess(
        server="https://a",
        client_cert=issued.cert_chain_pems[0].bytes().decode(),
        client_key=issued.private_key_pem.bytes().decode(),
    )
    given = asyncio.run(credentials_of(access, 1))
    assert tls_context(access, given)
    assert list(tmp_path.iterdir()) == []


# --- exec plugins -------------------------------------------------------------------------------


def plugin(tmp_path: Path, body: str) -> str:
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def ask(command: str, limit: float = 5.0, **spec):
    access = KubeAccess(
        server="https://api.example.com",
        exec={"apiVersion": V1, "command": command, "interactiveMode": "IfAvailable", **spec},
        exec_cluster={"server": "https://api.example.com"},
    )
    return asyncio.run(credentials_of(access, limit))


def refused(command: str, limit: float = 5.0, **spec) -> tuple[Why, str]:
    with pytest.raises(Unavailable) as caught:
        ask(command, limit, **spec)
    return caught.value.why, caught.value.detail


def credential(version: str = V1, **status) -> str:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def test_a_good_plugin_is_told_what_it_needs(tmp_path):
    told = tmp_path / "told"
    body = f"printf %s \"$KUBERNETES_EXEC_INFO$1$MORE\" > {told}; echo '{credential(token='good')}'"
    command = plugin(tmp_path, body)
    given = ask(
        command, args=["arg"], env=[{"name": "MORE", "value": "more"}], provideClusterInfo=True
    )
    assert given.token == "good"
    info, end = json.JSONDecoder().raw_decode(told.read_text())
    assert told.read_text()[end:] == "argmore"
    assert info == {
        "apiVersion": V1,
        "kind": "ExecCredential",
        "spec": {"interactive": False, "cluster": {"server": "https://api.example.com"}},
    }


def test_a_plugin_may_give_a_certificate(tmp_path):
    version = "client.authentication.k8s.io/v1beta1"
    answer = credential(version, clientCertificateData="CERT", clientKeyData="KEY")
    given = ask(plugin(tmp_path, f"echo '{answer}'"), apiVersion=version)
    assert (given.token, given.client_cert, given.client_key) == (None, "CERT", "KEY")


def test_a_plugin_that_fails(tmp_path):
    command = plugin(tmp_path, "echo 'SSO session expired, run: aws sso login' >&2; exit 3")
    assert refused(command) == (
        Why.MISCONFIGURED,
        f"exec plugin {command} failed with exit code 3: SSO session expired, run: aws sso login",
    )


def test_a_plugin_that_is_not_installed():
    why, detail = refused("hopcheck-no-such-plugin", installHint="Install it\nfrom there.")
    assert why is Why.MISCONFIGURED
    assert detail == (
        "exec plugin hopcheck-no-such-plugin: executable not found; Install it from there."
    )


def test_a_plugin_that_may_not_be_run(tmp_path):
    path = tmp_path / "plugin"
    path.write_text("no program")
    why, detail = refused(str(path))
    assert why is Why.MISCONFIGURED
    assert "Permission denied" in detail


def test_a_plugin_that_hangs_is_ended_with_its_children(tmp_path):
    child = tmp_path / "child"
    command = plugin(tmp_path, f"sleep 60 & echo $! > {child}; wait")
    began = time.monotonic()
    why, detail = refused(command, limit=0.5)
    assert time.monotonic() - began < 3
    assert (why, detail) == (Why.TIMED_OUT, f"exec plugin {command}: no credentials within 0.5 s")
    ended = Path(f"/proc/{child.read_text().strip()}/stat")
    deadline = time.monotonic() + 3
    while ended.exists() and ") Z " not in ended.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not ended.exists() or ") Z " in ended.read_text()


def test_a_child_that_keeps_the_pipe_open_cannot_hold_us(tmp_path):
    command = plugin(tmp_path, f"sleep 60 & echo '{credential(token='x')}'")
    began = time.monotonic()
    assert refused(command, limit=0.5)[0] is Why.TIMED_OUT
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("echo Opening browser…", "its output is no ExecCredential: it begins with 'Opening"),
        ("true", "its output is no ExecCredential: there is none"),
        ("echo '[]'", "its output is no ExecCredential"),
        (f"echo '{credential('client.authentication.k8s.io/v1beta1', token='x')}'", "configured"),
        (f"echo '{credential()}'", "neither a token nor certificate and key"),
        (f"echo '{credential(clientKeyData='x')}'", "neither a token nor certificate and key"),
        ("head -c 3000000 /dev/zero", "its output is no ExecCredential"),
    ],
)
def test_a_plugin_that_prints_rubbish(tmp_path, output, words):
    why, detail = refused(plugin(tmp_path, output))
    assert why is Why.MISCONFIGURED
    assert words in detail


def test_versions_and_modes_that_cannot_work():
    assert refused("x", apiVersion="client.authentication.k8s.io/v1alpha1") == (
        Why.MISCONFIGURED,
        "exec plugin: invalid apiVersion 'client.authentication.k8s.io/v1alpha1'",
    )
    assert "interactiveMode is Always" in refused("x", interactiveMode="Always")[1]
    assert refused("") == (Why.MISCONFIGURED, "exec plugin: no command is given")


def test_what_a_plugin_says_is_redacted(tmp_path):
    secret = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    _, detail = refused(plugin(tmp_path, f"echo 'bad token {secret}' >&2; exit 1"))
    assert secret not in detail


def test_a_legacy_auth_provider_by_the_official_loader(tmp_path):
    body = base64.urlsafe_b64encode(json.dumps({"exp": 4_000_000_000}).encode()).decode()
    token = f"eyJhbGciOiJub25lIn0.{body.rstrip('=')}.x"
    data = config()
    data["users"][0]["user"] = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    access = load(kubeconfig=written(tmp_path / "k", data))
    assert asyncio.run(credentials_of(access, 10)).token == token


def test_a_legacy_auth_provider_without_a_token(tmp_path):
    data = config()
    data["users"][0]["user"] = {"auth-provider": {"name": "azure", "config": {}}}
    access = load(kubeconfig=written(tmp_path / "k", data))
    with pytest.raises(Unavailable, match="auth-provider azure gave no token") as caught:
        asyncio.run(credentials_of(access, 10))
    assert caught.value.why is Why.MISCONFIGURED


def test_a_legacy_auth_provider_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    data = config()
    data["users"][0]["user"] = {"auth-provider": {"name": "oidc", "config": {"id-token": "x"}}}
    access = load(kubeconfig=written(tmp_path / "k", data))
    with pytest.raises(
        Unavailable, match=r"needs pip install 'hopcheck\[auth-provider\]'"
    ) as caught:
        asyncio.run(credentials_of(access, 10))
    assert caught.value.why is Why.MISCONFIGURED


# --- proxies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "no_proxy", "used"),
    [
        ("https://api.example.com", "", True),
        ("https://api.example.com", "example.org", True),
        ("https://api.example.com", "example.com", False),
        ("https://api.example.com", ".example.com", False),
        ("https://example.com", ".example.com", True),
        ("https://api.example.com:6443", "api.example.com:443", True),
        ("https://api.example.com:6443", "api.example.com:6443", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", False),
        ("https://10.1.2.3", "192.168.0.0/16", True),
        ("https://[fd00::1]:6443", "fd00::/8", False),
        ("https://api.example.com", "*", False),
        ("https://127.0.0.1:6443", "", False),
        ("https://localhost:6443", "", False),
        ("http://api.example.com", "", False),
    ],
)
def test_proxy_for(server, no_proxy, used):
    env = {"HTTPS_PROXY": "proxy.example.com:3128", "NO_PROXY": no_proxy}
    assert proxy_for(server, env) == ("http://proxy.example.com:3128" if used else None)
