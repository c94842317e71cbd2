"""Advice tried by following it: the very commands of a fix, as a person would paste them.

First as they stand, a dry run that may change nothing; then without it. What they mend has to be
healthy afterwards, and a neighbour who was served before has to be served still.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from pathlib import Path
from typing import Any

from hopcheck.lab import settings
from hopcheck.lab.client import resolve
from hopcheck.lab.demo import child_environment
from hopcheck.lab.faults import parts
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import LOAD_BALANCER, TRAEFIK

DRY = ("--dry-run=server", "--dry-run")
_NEIGHBOUR = "neighbour.example.net"
_TOKEN = "someone-who-may-change-things"  # noqa: S105  # of the lab's API server alone
_LIMIT_S = 30.0


def offered(report: dict[str, Any]) -> list[str]:
    """The commands of the root causes' fixes, in their order."""
    return [line for one in report["root_causes"] for line in one["fix_commands"]]


async def follow(lab: Lab, commands: list[str]) -> str:
    """Run them, first as dry runs; "" or what went wrong. The lab has settled afterwards."""
    _move_in(lab)
    await lab.settle()
    alone = await _unserved(lab)  # the fault keeps the neighbour out, too
    for line in commands:
        plain = next((line.removesuffix(f" {f}") for f in DRY if line.endswith(f" {f}")), line)
        if plain != line:
            before = _state(lab)
            if words := await _run(lab, line):
                return f"the dry run fails: {words}"
            if _state(lab) != before:
                return "the dry run has changed something"
        before = _state(lab)
        if words := await _run(lab, plain):
            return words
        if _state(lab) == before:
            return f"nothing is changed by {plain}"
    await lab.settle()
    await lab.complaints_past()
    return "" if alone else await _unserved(lab)


def _state(lab: Lab) -> tuple[object, ...]:
    # A slice may be kept by hand.
    slices = {one["metadata"]["name"]: one["ports"] for one in lab.store.list("endpointslices")}
    return settings.kept_objects(lab.store), slices, lab.cloud.save()


async def _run(lab: Lab, line: str) -> str:
    """Run a command in a shell with the rights to change something; "" or what it said."""
    config = lab.directory / "kubeconfig-of-someone"
    lab.server.account(_TOKEN, "someone", None)
    settings.write_kubeconfig(config, lab.server, lab.certificates, _TOKEN)
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        line,
        env=child_environment(lab) | {"KUBECONFIG": str(config), "PATH": search},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"no end within {_LIMIT_S:.0f} s: {line}"
    # EC2 says of a dry run by an error that it would have succeeded.
    if not process.returncode or b"(DryRunOperation)" in said:
        return ""
    return f"{said.decode(errors='replace').strip()} ({line})"


def _move_in(lab: Lab) -> None:
    """Another host with a Service of its own, on the same Traefik."""
    parts.copied_app(lab, "neighbour", "neighbours")
    service = {"name": "neighbour", "port": {"number": 80}}
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": service}}
    lab.store.put(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "neighbour", "namespace": "neighbours"},
            "spec": {
                "ingressClassName": TRAEFIK,
                "rules": [{"host": _NEIGHBOUR, "http": {"paths": [path]}}],
            },
        }
    )


async def _unserved(lab: Lab) -> str:
    """What keeps the neighbour from being served at an address of the load balancer, or ""."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for address in resolve(lab.dns):
        port = lab.cloud.bound_port(LOAD_BALANCER, address, 443)
        try:
            async with asyncio.timeout(_LIMIT_S):
                reader, writer = await asyncio.open_connection(
                    address, port, ssl=context, server_hostname=_NEIGHBOUR
                )
                writer.write(f"GET / HTTP/1.0\r\nHost: {_NEIGHBOUR}\r\n\r\n".encode())
                first = (await reader.read(-1)).partition(b"\r\n")[0].decode("latin-1")
                writer.close()
        except (OSError, TimeoutError) as error:
            return f"the neighbour is not served at {address}: {error!r}"
        if " 200 " not in f"{first} ":
            return f"the neighbour is not served at {address}: {first}"
    return ""
