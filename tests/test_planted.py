"""Secrets planted wherever text of a cluster can enter; none of them may be in any output."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hopcheck.lab import topology
from hopcheck.lab.pods import Behaviour
from hopcheck.lab.running import RunningLab
from hopcheck.lab.topology import APP, GATEWAY, HOST, INGRESS, SERVICE, TRAEFIK

ACCOUNT = "123456789012"  # the lab's AWS account

# Forms in which a secret is told by its beginning, or by the word before it.
FORMS = (
    "k8s-aws-v1.{}", "ya29.{}", "token: {}", "X-Api-Key: {}", "client_secret: {}",
    "SECRET_KEY = '{}'", "--certificatesresolvers.le.acme.eab.hmacencoded={}", "csrf={}",
    "sessionid={}", '<input type="hidden" name="csrf_token" value="{}">',
)  # fmt: skip


class Canaries:
    """Makes secrets of every form, each with a mark of its own, and remembers all marks."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}

    def _mark(self, where: str) -> str:
        mark = f"cAnAry{len(self.marks):03}xQ7"
        self.marks[mark] = where
        return mark

    def text(self, where: str) -> str:
        """A text with a secret of every form, a line each: a cookie goes on to the line's end."""
        return "\n".join(self.lines(where))

    def lines(self, where: str) -> list[str]:
        """A secret of every form, as a log line or an annotation may hold it."""
        one = self._mark
        return [
            f"Authorization: Bearer {one(where + ': bearer')}4711",
            f"https://admin:{one(where + ': URL')}@registry.example.com/v2/",
            f"GET /pay?card={one(where + ': query')}&ok=1",
            f"password={one(where + ': password')}",
            f'{{"client_secret":"{one(where + ": JSON")}"}}',
            f"mail to {one(where + ': mail')}@corp.example.com",
            f"jwt eyJhbGciOiJIUzI1NiJ9.{one(where + ': JWT')}abcdefgh.c2lnbmF0dXJl",
            f"-----BEGIN PRIVATE KEY-----{one(where + ': key')}-----END PRIVATE KEY-----",
            *(form.format(one(f"{where}: {form}") + "4711") for form in FORMS),
            f"Cookie: sid={one(where + ': cookie')}",
        ]

    def value(self, where: str) -> str:
        """A secret whose key alone tells that it is one."""
        return self._mark(where)

    def in_(self, text: str) -> list[str]:
        """Where the secrets that `text` holds were planted."""
        return [where for mark, where in self.marks.items() if mark in text]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with RunningLab() as running:
        yield running


@pytest.fixture(scope="module")
def planted(lab: RunningLab) -> Iterator[Canaries]:
    canaries = Canaries()
    lab.call(lambda: plant_objects(lab, canaries))
    lab.run(
        lab.lab.set_app(
            None,
            Behaviour(
                status=500,
                body=f"<pre>{canaries.text('body')}</pre>",
                headers=(
                    ("Set-Cookie", f"session={canaries.value('Set-Cookie')}; HttpOnly"),
                    ("Authorization", f"Bearer {canaries.value('header Authorization')}"),
                    ("X-Api-Key", canaries.value("header X-Api-Key")),
                    *(("X-Debug", line) for line in canaries.lines("header X-Debug")),
                    ("Location", f"/login?next={canaries.value('Location')}"),
                ),
            ),
        )
    )
    lab.settle()
    lab.call(lambda: plant_logs(lab, canaries))
    yield canaries
    lab.heal()


def annotated(canaries: Canaries, kind: str) -> Any:
    def edit(obj: dict[str, Any]) -> None:
        obj["metadata"].setdefault("annotations", {}).update(
            {
                "example.com/note": canaries.text(f"annotation of {kind}"),
                "kubectl.kubernetes.io/last-applied-configuration": (
                    f'{{"spec":{{"password":"{canaries.value(f"last-applied of {kind}")}"}}}}'
                ),
            }
        )

    return edit


def plant_objects(lab: RunningLab, canaries: Canaries) -> None:
    store = lab.lab.store
    objects: list[tuple[str, str | None, str]] = [
        ("ingresses", APP, INGRESS),
        ("services", APP, SERVICE),
        ("services", GATEWAY, TRAEFIK),
        ("deployments", APP, "my-app"),
        ("deployments", GATEWAY, TRAEFIK),
        ("nodes", None, "node-1"),
        ("namespaces", None, APP),
        ("ingressclasses", None, TRAEFIK),
        *(("pods", APP, name) for name in topology.APP_PODS),
        *(("pods", GATEWAY, name) for name in topology.TRAEFIK_PODS),
    ]
    for resource, namespace, name in objects:
        store.patch(resource, namespace, name, annotated(canaries, f"{resource} {name}"))
    for namespace, names in ((APP, topology.APP_PODS), (GATEWAY, topology.TRAEFIK_PODS)):
        for name in names:
            store.patch("pods", namespace, name, lambda o, n=name: with_environment(o, canaries, n))
    store.put(
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "Middleware",
            "metadata": {"name": "headers", "namespace": APP},
            "spec": {
                "headers": {
                    "customRequestHeaders": {
                        "Authorization": f"Bearer {canaries.value('middleware Authorization')}",
                        "X-Api-Key": canaries.value("middleware X-Api-Key"),
                        "X-Note": canaries.text("middleware X-Note"),
                    }
                }
            },
        }
    )
    store.patch("ingresses", APP, INGRESS, use_the_middleware)
    store.put(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "failed", "namespace": APP},
            "type": "Warning",
            "reason": "Failed",
            "message": f"Failed to build: {canaries.text('event')}",
            "involvedObject": {"kind": "Ingress", "name": INGRESS, "namespace": APP},
            "lastTimestamp": "2026-02-25T03:00:00Z",
        }
    )
    for group in lab.lab.cloud.security_groups:
        group["Description"] = canaries.text("security group")


def use_the_middleware(ingress: dict[str, Any]) -> None:
    annotations = ingress["metadata"]["annotations"]
    annotations["traefik.ingress.kubernetes.io/router.middlewares"] = f"{APP}-headers@kubernetescrd"


def with_environment(pod: dict[str, Any], canaries: Canaries, name: str) -> None:
    container = pod["spec"]["containers"][0]
    container.setdefault("env", []).extend(
        [
            {"name": "DB_PASSWORD", "value": canaries.value(f"DB_PASSWORD of {name}")},
            {"name": "NOTE", "value": canaries.text(f"environment of {name}")},
        ]
    )
    container["command"] = ["sh", "-c", f"run --api-key={canaries.value(f'command of {name}')}"]
    if name in topology.TRAEFIK_PODS:  # whose command line is read for its configuration
        del container["command"]


def plant_logs(lab: RunningLab, canaries: Canaries) -> None:
    """Lines as Traefik (text, JSON, access log) and client-go write them."""
    now = datetime.now(UTC)
    for name in topology.TRAEFIK_PODS:
        lines = [
            *(
                f'{now:%Y-%m-%dT%H:%M:%SZ} ERR Cannot create service error="service not found" '
                f"ingress={INGRESS} namespace={APP} note={line}"
                for line in canaries.lines("log")
            ),
            f'{{"level":"error","ingress":"{INGRESS}","namespace":"{APP}","error":"service not '
            f'found","message":"Cannot create service","token":'
            f'"{canaries.value("JSON log")}","time":"{now:%Y-%m-%dT%H:%M:%SZ}"}}',
            f'{{"RequestHost":"{HOST}","RequestPath":"/a?token={canaries.value("access log")}",'
            f'"DownstreamStatus":500,"OriginStatus":500,"RouterName":"r","request_Cookie":'
            f'"sid={canaries.value("access log cookie")}","request_Authorization":'
            f'"Basic {canaries.value("access log authorization")}"}}',
            *(
                f"E0225 03:00:01.100000       1 reflector.go:158] failed to list *v1.Secret: "
                f"secrets is forbidden: {line}"
                for line in canaries.lines("klog")
            ),
        ]
        stamped = [(now, line) for line in lines]
        lab.lab.server.set_log(GATEWAY, name, TRAEFIK, lambda s=stamped: s, lambda s=stamped: s)


def outputs(lab: RunningLab, directory: Path, *more: str) -> dict[str, str]:
    """Everything that a run leaves or prints, by name."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "hopcheck", "diagnose", *lab.arguments(), "--direct-probes",
         "--reports", str(directory), *more],
        env=kept | lab.environment(), capture_output=True, text=True, timeout=60, check=False,
        cwd=directory,
    )  # fmt: skip
    assert done.returncode in (1, 4), done.stderr
    found = {"standard output": done.stdout, "standard error": done.stderr}
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            text = path.read_bytes().decode("utf-8", "replace")
            found[str(path.relative_to(directory))] = text
    assert {name.rpartition(".")[2] for name in found} >= {"html", "json", "xml", "md", "db"}
    return found


@pytest.mark.parametrize("more", [("-v",), ("--json",), ("--redact", "strict", "-v")])
def test_no_secret_is_in_any_output(
    lab: RunningLab, planted: Canaries, tmp_path: Path, more: tuple[str, ...]
) -> None:
    asked = planted.value("query of the URL asked for")
    url = f"https://{HOST}/pay?card={asked}"
    found = outputs(lab, tmp_path, *more, "--", url)
    leaks = {name: planted.in_(text) for name, text in found.items() if planted.in_(text)}
    assert leaks == {}
    # The lab's own credentials, which the run itself used.
    secrets = (lab.lab.token, lab.environment()["AWS_SECRET_ACCESS_KEY"])
    assert not [name for name, text in found.items() for one in secrets if one in text]


def test_what_was_planted_was_read(lab: RunningLab, planted: Canaries, tmp_path: Path) -> None:
    """The places are real: what stands around the secrets is in the evidence."""
    found = outputs(lab, tmp_path, "--", HOST)
    (evidence,) = [
        text for name, text in found.items()
        if name.endswith("evidence.json") and "latest" not in name
    ]  # fmt: skip
    for around in ("registry.example.com/v2/", "Failed to build", "DB_PASSWORD", "reflector.go:158",
                   "x-debug", "customRequestHeaders"):  # fmt: skip
        assert around in evidence, around


def test_strict_takes_out_account_ids(lab: RunningLab, planted: Canaries, tmp_path: Path) -> None:
    found = outputs(lab, tmp_path, "--redact", "strict", "--", HOST)
    for name, text in found.items():
        if name.startswith("standard"):
            continue
        assert ACCOUNT not in text, name
