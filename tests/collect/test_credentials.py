"""Who the API server is and what it is shown, by the official client where kubectl would agree."""

import asyncio
import base64
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme

from hopcheck.collect.ask import Run, Unavailable
from hopcheck.collect.kubernetes import credentials
from hopcheck.collect.kubernetes.credentials import Access, client_of, open_api
from hopcheck.collect.kubernetes.load import Refused, load
from hopcheck.config.options import Misnamed, Options
from hopcheck.model import Why

V1 = "client.authentication.k8s.io/v1"


@pytest.fixture(autouse=True)
def nothing_of_the_users(tmp_path, monkeypatch):
    """No kubeconfig, account or proxy but a test's own."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("KUBE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def config(user: dict | None = None, cluster: dict | None = None, **more):
    server = {"server": "https://api.example.com:6443"}
    return {
        "clusters": [{"name": "c", "cluster": {**server, **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": "t"} if user is None else user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
        **more,
    }


def written(path: Path, data: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


def found(
    kubeconfig: str | None = None,
    context: str | None = None,
    account: Path = Path("/nonexistent"),
) -> dict:
    """What the process answers, asked for in this one."""
    asked = {"kubeconfig": kubeconfig, "context": context, "account": str(account)}
    return load(asked, lambda _: None)


def refused(kubeconfig: str | None = None, context: str | None = None) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        found(kubeconfig, context)
    return caught.value.why, str(caught.value)


def opened(path: str | None, timeout: float = 5.0, **options) -> Access:
    """The whole way: by a process of its own."""

    async def main():
        access, http = await open_api(Run(Options(kubeconfig=path, timeout=timeout, **options)))
        await http.aclose()
        return access

    return asyncio.run(main())


def unavailable(path: str | None, timeout: float = 5.0, **options) -> tuple[Why, str]:
    with pytest.raises(Unavailable) as caught:
        opened(path, timeout, **options)
    assert "\n" not in caught.value.detail
    return caught.value.why, caught.value.detail


def test_a_plain_file(tmp_path):
    access = opened(written(tmp_path / "k", config()))
    assert access == Access(
        server="https://api.example.com:6443", context="x", authorization="Bearer t"
    )


def test_the_default_is_the_file_in_the_home_directory(tmp_path):
    written(tmp_path / ".kube" / "config", config())
    assert found()["authorization"] == "Bearer t"


def two_files(tmp_path: Path) -> str:
    first = config({"token": "first"})
    second = config({"token": "second"}, {"server": "https://second.example.com"})
    second["users"].append({"name": "only-here", "user": {"token": "third"}})
    context = {"cluster": "c", "user": "only-here", "namespace": "shop"}
    second["contexts"].append({"name": "y", "context": context})
    second["current-context"] = "y"
    names = [written(tmp_path / "a", first), str(tmp_path / "missing"), ""]
    names += [written(tmp_path / "empty", "# nothing\n"), written(tmp_path / "b", second)]
    return os.pathsep.join(names)


@pytest.mark.parametrize("context", [None, "y"])
def test_of_several_files_kubectl_reads_the_same(tmp_path, monkeypatch, context):
    """The merged view of the real kubectl; the first file's current-context among it."""
    kubectl = Path(sys.prefix) / "bin" / "kubectl"
    if not kubectl.exists():
        pytest.skip("kubectl is not installed")
    monkeypatch.setenv("KUBECONFIG", two_files(tmp_path))
    command = [str(kubectl), "config", "view", "--minify", "--raw", "-o", "json"]
    command += [f"--context={context}"] if context else []
    seen = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    access = found(context=context)
    assert access["context"] == seen["current-context"] == (context or "x")
    assert access["server"] == seen["clusters"][0]["cluster"]["server"]
    assert access["namespace"] == seen["contexts"][0]["context"].get("namespace")
    assert access["authorization"] == f"Bearer {seen['users'][0]['user']['token']}"


def test_relative_paths_count_from_the_file(tmp_path):
    user = {"tokenFile": "token", "token": "outranked"}
    cluster = {"certificate-authority": "pki/ca.pem"}
    ca = written(tmp_path / "pki" / "ca.pem", "CA")
    written(tmp_path / "token", "from-file\n")
    access = found(written(tmp_path / "k", config(user, cluster)))
    assert (access["ca"], access["authorization"]) == (ca, "Bearer from-file")


def test_data_outranks_files(tmp_path):
    cluster = {
        "certificate-authority": "missing.pem",
        "certificate-authority-data": base64.b64encode(b"INLINE").decode(),
        "tls-server-name": "kubernetes",
        "insecure-skip-tls-verify": True,
    }
    user = {"username": "a", "password": "b", "as": "me", "as-groups": ["g", "h"]}
    access = found(written(tmp_path / "k", config(user, cluster)))
    assert Path(access["ca"]).read_text() == "INLINE"
    assert (access["server_name"], access["insecure"]) == ("kubernetes", True)
    assert access["authorization"] == "Basic YTpi"
    assert access["headers"] == [
        ("Impersonate-User", "me"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
    ]


def test_each_group_is_a_header_of_its_own():
    groups = (("Impersonate-Group", "g"), ("Impersonate-Group", "h"))
    access = Access("https://api.example.com", authorization="Bearer t", headers=groups)
    headers = client_of(access, credentials._tls(access)).headers
    assert headers.get_list("impersonate-group") == ["g", "h"]
    assert headers["authorization"] == "Bearer t"


def test_in_a_pod_the_account_is_used(tmp_path, monkeypatch):
    account = tmp_path / "account"
    written(account / "token", "sa-token\n")
    ca = written(account / "ca.crt", "CA")
    written(account / "namespace", "shop")
    assert refused()[0] == "not_configured"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    access = found(account=account)
    assert (access["server"], access["authorization"]) == (
        "https://[fd00::1]:443",
        "Bearer sa-token",
    )
    assert (access["in_cluster"], access["namespace"], access["ca"]) == (True, "shop", ca)
    written(tmp_path / ".kube" / "config", config())
    assert "in_cluster" not in found(account=account)
    monkeypatch.setenv("HOME", str(account))
    (account / "ca.crt").unlink()
    with pytest.raises(Refused, match=r"the pod's account: .* does not exist"):
        found(account=account)


def test_nothing_is_configured(tmp_path, monkeypatch):
    assert unavailable(None) == (
        Why.NOT_CONFIGURED,
        f"no kubeconfig: KUBECONFIG is not set and {tmp_path}/.kube/config does not exist",
    )
    monkeypatch.setenv("KUBECONFIG", "/nonexistent/config")
    assert refused() == (
        "not_configured",
        "KUBECONFIG names /nonexistent/config, which does not exist",
    )
    empty = written(tmp_path / "empty", "")
    monkeypatch.setenv("KUBECONFIG", empty)
    assert refused() == ("not_configured", f"{empty}: names no cluster (empty kubeconfig)")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("a: [b\nc: d", "line 2: not YAML"),
        ("\x00\x01", "not YAML"),
        ("- a\n", "not a kubeconfig: list"),
        (config(contexts=[]), "context 'x' is not in the kubeconfig; contexts: none"),
        (config(clusters=[]), "cluster 'c' is not in the kubeconfig; clusters: none"),
        (config(users=[]), "user 'u' is not in the kubeconfig; users: none"),
        (config(**{"current-context": ""}), "no current-context is set; contexts: x"),
        (config(clusters=[{"name": "c", "cluster": {"a": "b"}}]), "cluster 'c' has no server"),
        (
            config({"client-certificate-data": "QQ=="}),
            "client-certificate and client-key go together",
        ),
    ],
)
def test_misconfigured(tmp_path, data, words):
    why, detail = refused(written(tmp_path / "k", data))
    assert why == "misconfigured"
    assert words in detail


@pytest.mark.parametrize(
    "data",
    [
        {"clusters": {"c": 1}},
        {"clusters": [{"cluster": {}}], "contexts": [1]},
        config({"tokenFile": "/nonexistent"}),
        config({"client-certificate-data": "=", "client-key-data": "="}),
        config("no mapping"),
        config(cluster={"certificate-authority": "missing.pem"}),
    ],
)
def test_whatever_else_is_wrong_is_one_line(tmp_path, data):
    why, detail = unavailable(written(tmp_path / "k", data))
    assert why is Why.MISCONFIGURED
    assert detail
    assert "Error" not in detail  # no Python exception's name


def test_wrong_context_missing_file_and_directory(tmp_path):
    with pytest.raises(Misnamed, match=r"context 'prod'.*\(what there is: x\)"):
        opened(written(tmp_path / "k", config()), context="prod")
    with pytest.raises(Misnamed, match="kubeconfig '/nonexistent/k'"):
        opened("/nonexistent/k")
    assert refused(str(tmp_path)) == ("misconfigured", f"{tmp_path}: Is a directory")


def test_certificates_that_are_none(tmp_path):
    cluster = {"certificate-authority": written(tmp_path / "ca", "no certificate")}
    why, detail = unavailable(written(tmp_path / "k", config(cluster=cluster)))
    assert why is Why.MISCONFIGURED
    assert detail.startswith("certificates of the kubeconfig cannot be used")


@pytest.mark.parametrize(
    "cluster",
    [
        {"server": "ftp://a"},
        {"server": "https://"},
        {"server": "https://a:port"},
        {"proxy-url": "gopher://proxy:70"},
    ],
)
def test_urls_that_cannot_be_used(tmp_path, cluster):
    assert unavailable(written(tmp_path / "k", config(cluster=cluster)))[0] is Why.MISCONFIGURED


def test_a_proxy_may_speak_socks(tmp_path):
    cluster = {"proxy-url": "socks5://127.0.0.1:1080"}
    access = opened(written(tmp_path / "k", config(cluster=cluster)))
    assert access.proxy == "socks5://127.0.0.1:1080"


def test_a_client_certificate_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    issued = trustme.CA().issue_cert("user@example.com")
    pem = [issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()]
    cert, key = (base64.b64encode(one).decode() for one in pem)
    user = {"client-certificate-data": cert, "client-key-data": key}
    access = opened(written(tmp_path / "k", config(user)))
    assert Path(access.client_key).is_relative_to(tmp_path / "temporary")
    assert list((tmp_path / "temporary").iterdir()) == []


# --- exec plugins -------------------------------------------------------------------------------


def plugin(tmp_path: Path, body: str) -> str:
    path = tmp_path / "plugin"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def with_plugin(tmp_path: Path, command: str, **spec) -> str:
    """A kubeconfig whose user is a plugin's."""
    user = {"exec": {"apiVersion": V1, "command": command, **spec}}
    return written(tmp_path / "k", config(user))


def credential(version: str = V1, **status) -> str:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def test_a_good_plugin_is_told_what_it_needs(tmp_path):
    told = tmp_path / "told"
    body = f"printf %s \"$KUBERNETES_EXEC_INFO$1$MORE\" > {told}; echo '{credential(token='good')}'"
    access = opened(
        with_plugin(
            tmp_path,
            plugin(tmp_path, body),
            args=["arg"],
            env=[{"name": "MORE", "value": "more"}],
            provideClusterInfo=True,
        )
    )
    assert access.authorization == "Bearer good"
    info, end = json.JSONDecoder().raw_decode(told.read_text())
    assert told.read_text()[end:] == "argmore"
    assert (info["apiVersion"], info["kind"]) == (V1, "ExecCredential")
    assert info["spec"]["interactive"] is False
    assert info["spec"]["cluster"]["server"] == "https://api.example.com:6443"


def test_a_plugin_may_give_a_certificate(tmp_path):
    issued = trustme.CA().issue_cert("user@example.com")
    answer = credential(
        clientCertificateData=issued.cert_chain_pems[0].bytes().decode(),
        clientKeyData=issued.private_key_pem.bytes().decode(),
    )
    written(tmp_path / "answer", answer)
    command = plugin(tmp_path, f"cat {tmp_path}/answer")
    access = opened(with_plugin(tmp_path, command))
    assert access.client_cert
    assert access.client_key
    assert access.authorization is None


def test_a_plugin_that_fails(tmp_path):
    command = plugin(tmp_path, "echo 'SSO session expired, run: aws sso login' >&2; exit 3")
    assert unavailable(with_plugin(tmp_path, command)) == (
        Why.MISCONFIGURED,
        f"exec plugin {command}: process returned 3. SSO session expired, run: aws sso login",
    )


def test_a_plugin_that_is_not_installed(tmp_path):
    hint = "Install it\nfrom there."
    why, detail = unavailable(with_plugin(tmp_path, "hopcheck-no-such-plugin", installHint=hint))
    assert why is Why.MISCONFIGURED
    assert "hopcheck-no-such-plugin" in detail
    assert detail.endswith("; Install it from there.")


def test_a_plugin_that_may_not_be_run(tmp_path):
    path = tmp_path / "plugin"
    path.write_text("no program")
    why, detail = unavailable(with_plugin(tmp_path, str(path)))
    assert why is Why.MISCONFIGURED
    assert "Permission denied" in detail


def gone(process: str) -> bool:
    """Whether the process ends within three seconds."""
    status = Path(f"/proc/{process}/stat")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        try:
            if ") Z " in status.read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_a_plugin_that_hangs_is_ended_with_its_children(tmp_path):
    child = tmp_path / "child"
    command = plugin(tmp_path, f"sleep 60 & echo $! > {child}; wait")
    began = time.monotonic()
    assert unavailable(with_plugin(tmp_path, command), timeout=0.5) == (
        Why.TIMED_OUT,
        f"exec plugin {command}: no credentials within 0.5 s",
    )
    assert time.monotonic() - began < 5
    assert gone(child.read_text().strip())


def test_a_child_that_keeps_the_pipe_open_cannot_hold_us(tmp_path):
    child = tmp_path / "child"
    command = plugin(tmp_path, f"sleep 60 & echo $! > {child}; echo '{credential(token='x')}'")
    assert unavailable(with_plugin(tmp_path, command), timeout=0.5)[0] is Why.TIMED_OUT
    assert gone(child.read_text().strip())


def test_what_a_plugin_leaves_behind_is_ended(tmp_path):
    child = tmp_path / "child"
    body = f"sleep 60 >/dev/null 2>&1 & echo $! > {child}; echo '{credential(token='x')}'"
    assert opened(with_plugin(tmp_path, plugin(tmp_path, body))).authorization == "Bearer x"
    assert gone(child.read_text().strip())


def test_a_run_that_is_cancelled_ends_the_plugin(tmp_path):
    child = tmp_path / "child"
    body = f"echo $$ > {child}.new; mv {child}.new {child}; sleep 60"
    path = with_plugin(tmp_path, plugin(tmp_path, body))

    async def main():
        opening = asyncio.create_task(open_api(Run(Options(kubeconfig=path))))
        async with asyncio.timeout(10):
            while not child.exists():  # noqa: ASYNC110  # another process makes it
                await asyncio.sleep(0.01)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)

    asyncio.run(main())
    assert gone(child.read_text().strip())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("echo Opening browser…", "failed to decode process output"),
        ("true", "failed to decode process output"),
        ("head -c 1000 /dev/urandom", "failed to decode process output"),
        ("echo '{}'", "missing key 'apiVersion'"),
        (f"echo '{credential('client.authentication.k8s.io/v1beta1', token='x')}'", "not match"),
        (f"echo '{credential()}'", "missing token or clientCertificateData"),
        (f"echo '{credential(clientCertificateData='x')}'", "missing clientKeyData"),
        # Nobody can be asked: there is no terminal, and nothing to be read.
        ("read answer < /dev/tty || exit 4", "process returned 4"),
        ("read answer || exit 5", "process returned 5"),
        ("test -t 0 || test -t 1 || test -t 2 || exit 6", "process returned 6"),
    ],
)
def test_a_plugin_that_prints_rubbish_or_wants_a_person(tmp_path, body, words):
    command = plugin(tmp_path, body)
    why, detail = unavailable(with_plugin(tmp_path, command))
    assert why is Why.MISCONFIGURED
    assert detail.startswith(f"exec plugin {command}: ")
    assert words in detail


@pytest.mark.parametrize("stream", ["", " >&2"])
def test_a_plugin_that_prints_a_gigabyte_takes_no_memory(tmp_path, stream):
    path = with_plugin(tmp_path, plugin(tmp_path, f"head -c 1000000000 /dev/zero{stream}; exit 1"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    why, detail = unavailable(path, timeout=20)
    assert why is Why.MISCONFIGURED
    assert "printed more than 1 MiB" in detail or "process returned 1" in detail
    # kB: the largest of this process's children; the loading process itself takes some 50 MB.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, 100_000)


def test_a_plugin_that_must_ask_a_person_is_not_run(tmp_path):
    path = with_plugin(tmp_path, "touch", args=[str(tmp_path / "ran")], interactiveMode="Always")
    why, detail = refused(path)
    assert why == "misconfigured"
    assert "interactiveMode is Always" in detail
    assert not (tmp_path / "ran").exists()


def test_what_a_plugin_says_is_redacted(tmp_path):
    secret = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    command = plugin(tmp_path, f"echo 'bad token {secret}' >&2; exit 1")
    _, detail = unavailable(with_plugin(tmp_path, command))
    assert "bad token" in detail
    assert secret not in detail


def test_the_directory_one_is_in_is_not_imported_from(tmp_path, monkeypatch):
    written(tmp_path / "kubernetes" / "__init__.py", "raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert opened(written(tmp_path / "k", config())).authorization == "Bearer t"


def test_a_process_that_ends_early_is_a_reason(tmp_path, monkeypatch):
    broken = tmp_path / "load.py"
    broken.write_text("raise SystemExit('no such library')")
    monkeypatch.setattr(credentials, "_LOADER", broken)
    assert unavailable(written(tmp_path / "k", config())) == (
        Why.ERROR,
        "the kubernetes package ended early: no such library",
    )


def test_what_was_begun_ahead_is_what_is_asked(tmp_path, monkeypatch):
    path = written(tmp_path / "k", config())
    credentials.begin(Options(kubeconfig=path))
    monkeypatch.setattr(credentials, "_LOADER", tmp_path / "not-started-again")
    assert opened(path).authorization == "Bearer t"
    assert unavailable(path)[0] is Why.ERROR  # it was there once


def test_what_was_begun_and_nobody_asked_for_is_ended(tmp_path):
    credentials.begin(Options(kubeconfig=written(tmp_path / "k", config())))
    (begun,) = credentials._begun.values()
    credentials._end_what_nobody_asked_for()
    assert begun._process.returncode is not None
    assert not Path(begun.directory.name).exists()


# --- auth-providers -----------------------------------------------------------------------------


def id_token(**claims) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{body}.x"


def with_provider(tmp_path: Path, name: str, **settings) -> str:
    user = {"auth-provider": {"name": name, "config": settings}}
    return written(tmp_path / "k", config(user))


def test_an_auth_provider(tmp_path):
    token = id_token(exp=4_000_000_000)
    path = with_provider(tmp_path, "oidc", **{"id-token": token})
    assert found(path)["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("name", ["azure", "gcp"])
def test_an_auth_provider_that_gives_nothing(tmp_path, name):
    why, detail = unavailable(with_provider(tmp_path, name))
    assert why is Why.MISCONFIGURED
    assert detail.startswith(f"auth-provider {name}")
    assert detail.endswith("auth-providers were removed from kubectl, use an exec plugin")


def test_an_auth_provider_whose_issuer_is_silent(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings = {
            "id-token": id_token(exp=1),
            "refresh-token": "r",
            "client-id": "i",
            "idp-issuer-url": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        path = with_provider(tmp_path, "oidc", **settings)
        assert unavailable(path, timeout=0.5) == (
            Why.TIMED_OUT,
            "auth-provider oidc: no credentials within 0.5 s",
        )


# --- proxies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "no_proxy", "used"),
    [
        ("https://api.example.com", "", True),
        ("https://api.example.com", "example.org", True),
        ("https://api.example.com", "example.com", False),
        ("https://api.example.com", ".example.com", False),
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
def test_the_environments_proxy(tmp_path, monkeypatch, server, no_proxy, used):
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example.com:3128")
    monkeypatch.setenv("ALL_PROXY", "http://not-asked.example.com")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    path = written(tmp_path / "k", config(cluster={"server": server}))
    assert found(path)["proxy"] == ("http://proxy.example.com:3128" if used else None)


def test_proxy_url_outranks_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    cluster = {"server": "https://127.0.0.1:6443", "proxy-url": "http://bastion.example.com:8080"}
    path = written(tmp_path / "k", config(cluster=cluster))
    assert found(path)["proxy"] == "http://bastion.example.com:8080"
