"""What a healthy set-up is, the register that every module of this package fills, and edits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from hopcheck.lab.apiserver.kinds import LEGACY_GROUP, RESOURCES
from hopcheck.lab.topology import APP, GATEWAY, HOST, INGRESS, SERVICE, TRAEFIK

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

Obj = dict[str, Any]
Arrange = Callable[["Lab"], Awaitable[None]]
Change = Callable[[Obj], None]

_API_VERSION = {one.kind: one.api_version for one in RESOURCES if one.group != LEGACY_GROUP}
_NAMESPACED = {one.kind for one in RESOURCES if one.namespaced}
_LETTERS = {"pass": "p", "not_applicable": "n", "unknown": "u", "warn": "W", "fail": "F"}
PREFIX = "traefik.ingress.kubernetes.io"


@dataclass(frozen=True)
class Setup:
    """One healthy set-up and what a diagnosis of `target` must say of it.

    `steps`: a letter for each of the seven: p pass, n not applicable, u unknown. `options` are
    further arguments of ``hopcheck diagnose``, `without` names of what the person who diagnoses
    lacks: "aws" (credentials), "direct" (--direct-probes), "ca" (--ca-file).
    """

    name: str
    family: str
    summary: str
    arrange: Arrange
    steps: str = "ppppppp"
    target: str = HOST
    options: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()

    def arguments(self, lab: Lab) -> list[str]:
        """The arguments of ``hopcheck diagnose``."""
        words = lab.arguments()
        if "direct" in self.without:
            words.remove("--direct-probes")
        if "ca" in self.without:
            at = words.index("--ca-file")
            del words[at : at + 2]
        return [self.target, *words, *self.options]

    def environment(self, lab: Lab) -> dict[str, str]:
        """The variables for that command."""
        hidden = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if "aws" in self.without else ()
        return {k: v for k, v in lab.environment().items() if k not in hidden}

    def alarms(self, report: dict[str, Any]) -> str:
        """What is wrong with a report of the set-up; empty where nothing is."""
        found = [
            f"{one['severity']} {one['code']} {one['object']['kind']} {one['object']['name']}"
            for step in report["steps"]
            for one in step["findings"]
            if one["severity"] != "info"
        ]
        if found:
            return f"false alarm: {', '.join(found)}"
        if report["verdict"] != "healthy":
            return f"expected healthy, found {report['verdict']}: {report['headline']}"
        steps = "".join(_LETTERS[step["status"]] for step in report["steps"])
        return "" if steps == self.steps else f"expected steps {self.steps}, found {steps}"


SETUPS: dict[str, Setup] = {}


def setup(
    family: str,
    name: str,
    steps: str = "ppppppp",
    *,
    target: str = HOST,
    options: tuple[str, ...] = (),
    without: str = "",
) -> Callable[[Arrange], Arrange]:
    """Register the decorated function as a set-up; its first docstring line is the summary."""

    def register(arrange: Arrange) -> Arrange:
        summary = (arrange.__doc__ or "").strip().partition("\n")[0]
        if name in SETUPS or not summary:
            raise ValueError(f"set-up {name}: known already, or without summary")
        lacking = frozenset(without.split())
        SETUPS[name] = Setup(name, family, summary, arrange, steps, target, options, lacking)
        return arrange

    return register


# --- edits


def get(lab: Lab, resource: str, namespace: str | None, name: str) -> Obj:
    """A copy of an object. Raises LookupError where there is none."""
    found = lab.store.get(resource, namespace, name)
    if found is None:
        raise LookupError(f"no {resource} {namespace}/{name}: arrange a healthy lab")
    return found


def put(
    lab: Lab, kind: str, name: str, spec: str | Obj = "", namespace: str = APP, **parts: object
) -> Obj:
    """Write an object; `spec` may be YAML, `parts` are further fields and those of metadata."""
    own = {key: parts.pop(key) for key in ("labels", "annotations") if key in parts}
    where = {"namespace": namespace} if kind in _NAMESPACED else {}
    obj: Obj = {
        "apiVersion": _API_VERSION[kind],
        "kind": kind,
        "metadata": {"name": name, **where, **own},
        **parts,
    }
    if spec:
        obj["spec"] = yaml.safe_load(spec) if isinstance(spec, str) else spec
    return lab.store.put(obj)


def edit_ingress(lab: Lab, change: Change) -> None:
    """Change the application's Ingress."""
    lab.store.patch("ingresses", APP, INGRESS, change)


def edit_service(lab: Lab, change: Change) -> None:
    """Change the spec of the application's Service."""
    lab.store.patch("services", APP, SERVICE, lambda obj: change(obj["spec"]))


def edit_traefik_service(lab: Lab, change: Change) -> None:
    """Change Traefik's Service."""
    lab.store.patch("services", GATEWAY, TRAEFIK, change)


def annotate(lab: Lab, resource: str, name: str, **notes: str) -> None:
    """Add Traefik's annotations; `router__tls` stands for ``…/router.tls``."""

    def edit(obj: Obj) -> None:
        known = obj["metadata"].setdefault("annotations", {})
        known.update({f"{PREFIX}/{k.replace('__', '.')}": v for k, v in notes.items()})

    lab.store.patch(resource, APP, name, edit)


def ingress_only(lab: Lab, *rules: tuple[str, str, str], kind: str = "Prefix") -> None:
    """Give the application's Ingress these rules alone: (host, path, Service)."""

    def edit(obj: Obj) -> None:
        obj["spec"]["rules"] = [
            {
                **({"host": host} if host else {}),
                "http": {"paths": [{"path": path, "pathType": kind, "backend": backend(service)}]},
            }
            for host, path, service in rules
        ]

    edit_ingress(lab, edit)


def backend(service: str, port: int = 80) -> Obj:
    """An Ingress backend."""
    return {"service": {"name": service, "port": {"number": port}}}


def instead_of_ingress(lab: Lab, match: str, services: str, more: str = "") -> None:
    """An IngressRoute on websecure with the site's certificate in place of the Ingress."""
    lab.store.delete("ingresses", APP, INGRESS)
    put(
        lab,
        "IngressRoute",
        "my-app",
        f"{{entryPoints: [websecure], tls: {{secretName: myapp-tls}},"
        f" routes: [{{kind: Rule, match: '{match}', services: {services} {more}}}]}}",
    )


async def flags(lab: Lab, *added: str, without: tuple[str, ...] = ()) -> None:
    """Restart Traefik with further arguments and without those that begin so."""
    await lab.set_traefik_args(
        lambda args: [*(one for one in args if not one.startswith(without or ("\0",))), *added]
    )
