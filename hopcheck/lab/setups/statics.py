"""Where Traefik's static configuration stands: files, variables, a shell's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from hopcheck.lab.setups.gallery import Obj, get, put, setup
from hopcheck.lab.setups.traefiks import FAMILY, edit_container, edit_pods
from hopcheck.lab.topology import GATEWAY, TRAEFIK

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab
    from hopcheck.lab.traefik import TraefikProcess

# Sections that an argument switches on by itself.
_SECTIONS = frozenset(
    {"ping", "tls", "prometheus", "kubernetesingress", "kubernetescrd", "accesslog"}
)


def _pairs(args: list[str]) -> dict[str, str]:
    found = (word.lstrip("-").partition("=") for word in args)
    return {name: value if equals else "true" for name, equals, value in found}


def _static_file(args: list[str]) -> str:
    """The arguments as a static file; every value is text there too."""
    tree: dict[str, Any] = {}
    for name, value in _pairs(args).items():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(_one_spelling(branch, parent), {})
        branch.setdefault(last, {} if last in _SECTIONS else value)
    return yaml.safe_dump(tree)


def _one_spelling(branch: Obj, name: str) -> str:
    return next((known for known in branch if known.lower() == name.lower()), name)


def _template_args(lab: Lab) -> list[str]:
    found = get(lab, "deployments", GATEWAY, TRAEFIK)
    args: list[str] = found["spec"]["template"]["spec"]["containers"][0]["args"]
    return args


async def _by_file(lab: Lab, mount: str, args: list[str]) -> None:
    name = "traefik.yml"
    put(
        lab, "ConfigMap", TRAEFIK, namespace=GATEWAY, data={name: _static_file(_template_args(lab))}
    )

    def edit(spec: Obj) -> None:
        spec["volumes"] = [{"name": "static", "configMap": {"name": TRAEFIK}}]
        mounted = {"name": "static", "mountPath": mount, "readOnly": True}
        spec["containers"][0] |= {"args": args, "volumeMounts": [mounted]}

    edit_pods(lab, edit)

    def run(process: TraefikProcess) -> None:
        path = lab.directory / f"{process.address}.yml"
        path.write_text(_static_file(process.args))
        process.args = [f"--configFile={path}"]

    await lab.set_traefik_process(run)


@setup(FAMILY, "static-file")
async def static_file(lab: Lab) -> None:
    """The static configuration is a file from a ConfigMap, at its default place."""
    await _by_file(lab, "/etc/traefik", [])


@setup(FAMILY, "static-file-flag")
async def static_file_flag(lab: Lab) -> None:
    """The same at a place that an argument names."""
    await _by_file(lab, "/config", ["--configFile=/config/traefik.yml"])


@setup(FAMILY, "static-file-unread")
async def static_file_unread(lab: Lab) -> None:
    """The file comes from a Secret, which nobody may read: Traefik's API tells the entryPoints."""
    await _by_file(lab, "/etc/traefik", [])

    def secret(spec: Obj) -> None:
        spec["volumes"] = [{"name": "static", "secret": {"secretName": TRAEFIK}}]

    edit_pods(lab, secret)


@setup(FAMILY, "environment")
async def environment(lab: Lab) -> None:
    """The static configuration is in TRAEFIK_… variables."""

    def variables(args: list[str]) -> dict[str, str]:
        return {f"TRAEFIK_{k.upper().replace('.', '_')}": v for k, v in _pairs(args).items()}

    own = [{"name": name, "value": value} for name, value in variables(_template_args(lab)).items()]
    edit_container(lab, lambda container: container.update(args=[], env=own))

    def run(process: TraefikProcess) -> None:
        process.env, process.args = variables(process.args), []

    await lab.set_traefik_process(run)


@setup(FAMILY, "shell-command")
async def shell(lab: Lab) -> None:
    """The command is one line for a shell."""

    def edit(container: Obj) -> None:
        line = " ".join(["exec traefik", *container.pop("args")])
        container |= {"command": ["/bin/sh", "-c"], "args": [line]}

    edit_container(lab, edit)
