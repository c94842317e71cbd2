"""``python -m hopcheck.lab.bench``: a cold diagnosis against a person's commands, and fleets."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hopcheck import __version__
from hopcheck.lab import topology
from hopcheck.lab.accuracy import write_between
from hopcheck.lab.bench_fleet import COUNTS, TARGETS, fleet_rows
from hopcheck.lab.cloud.elbv2 import Elbv2
from hopcheck.lab.demo import child_environment
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST

LATE_S = 0.05

_DIG = """
import sys, dns.message, dns.query
address, port = sys.argv[1].rsplit(":", 1)
print(dns.query.udp(dns.message.make_query(sys.argv[2], "A"), address, port=int(port)))
"""


def script(lab: Lab) -> str:
    """What a person without the suite runs, one after the other: the page's checklist.

    Its "AWS console" is the AWS CLI: load balancers, listeners, target groups and the health of
    each group, with ARNs that the person need not look up. Raises FileNotFoundError where the AWS
    CLI, kubectl or curl is not installed.
    """
    arguments = lab.arguments()
    resolver = arguments[arguments.index("--resolver") + 1]
    ca = arguments[arguments.index("--ca-file") + 1]
    port = next(a for a in arguments if a.startswith(":443::")).rpartition(":")[2]
    kubectl, aws, curl = (_installed(name) for name in ("kubectl", "aws", "curl"))
    named = Elbv2(lab.cloud)
    balancer = named.balancer_arn(lab.cloud.load_balancers[topology.LOAD_BALANCER])
    groups = [named.group_arn(group) for group in lab.cloud.target_groups.values()]
    address = lab.cloud.addresses(topology.LOAD_BALANCER)[0]
    return "\n".join(
        [
            _lookup(resolver),
            f"{aws} elbv2 describe-load-balancers",
            f"{aws} elbv2 describe-listeners --load-balancer-arn {balancer}",
            f"{aws} elbv2 describe-target-groups --load-balancer-arn {balancer}",
            *(f"{aws} elbv2 describe-target-health --target-group-arn {arn}" for arn in groups),
            f"{kubectl} get svc -n api-gateway-system traefik",
            f"{kubectl} describe ingress my-app-ingress -n default",
            f"{kubectl} get endpoints my-app-service -n default",
            f"{kubectl} logs -n api-gateway-system deploy/traefik | grep -i ingress | tail -3",
            f"{curl} -sv --cacert {ca} --connect-to ::{address}:{port} https://{HOST}/",
        ]
    )


def _lookup(resolver: str) -> str:
    """The command that asks `resolver` (address:port) for the host."""
    address, _, port = resolver.rpartition(":")
    if shutil.which("dig"):
        return f"dig @{address} -p {port} {HOST}"
    if shutil.which("nslookup"):
        return f"nslookup -port={port} {HOST} {address}"
    print("neither dig nor nslookup is installed: dnspython asks instead", file=sys.stderr)
    return f"{sys.executable} -c '{_DIG}' {resolver} {HOST}"


def _installed(name: str) -> str:
    # What the development environment brings, whether or not it is activated.
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    found = shutil.which(name, path=search)
    if found is None:
        raise FileNotFoundError(f"{name}, which the comparison needs, is not installed")
    return found


async def _once(command: Sequence[str], env: dict[str, str], cwd: str) -> tuple[float, float]:
    """Seconds and the peak memory (MB) of one run."""
    started = time.monotonic()
    null = await asyncio.to_thread(os.open, os.devnull, os.O_WRONLY)
    try:
        process = await asyncio.create_subprocess_exec(
            *command, env=env, cwd=cwd, stdout=null, stderr=null
        )
        peak = 0.0
        while True:
            try:
                async with asyncio.timeout(0.05):
                    await process.wait()
                break
            except TimeoutError:
                peak = max(peak, _peak_mb(process.pid))
    finally:
        os.close(null)
    return time.monotonic() - started, peak


def _peak_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def _environment(lab: Lab) -> dict[str, str]:
    """As users start it: packages that pip installed come with their bytecode."""
    return child_environment(lab) | {"PYTHONDONTWRITEBYTECODE": ""}


async def bench(runs: int) -> list[str]:
    """Measure one host both ways, on the bare lab and with every party late; the table."""
    rows = ["| lab | hopcheck (s) | commands (s) | ratio | memory (MB) |", "|---|---|---|---|---|"]
    async with Lab() as lab:
        env = _environment(lab)
        with tempfile.TemporaryDirectory() as cwd:
            ours = [sys.executable, "-m", "hopcheck", "diagnose", HOST, *lab.arguments(), "--quiet"]
            for name, late in (("bare", 0.0), ("every party 50 ms late", LATE_S)):
                lab.set_delay(late)
                theirs = ["bash", "-c", script(lab)]
                await _once(ours, env, cwd)
                pairs = [
                    (await _once(ours, env, cwd), await _once(theirs, env, cwd))
                    for _ in range(runs)
                ]
                a = statistics.median(mine[0] for mine, _ in pairs)
                b = statistics.median(other[0] for _, other in pairs)
                peak = max(mine[1] for mine, _ in pairs)
                rows.append(f"| {name} | {a:.2f} | {b:.2f} | {a / b:.2f} | {peak:.0f} |")
    return rows


async def fleets(runs: int) -> list[str]:
    """Measure many hosts in one process against a bare program; the table."""
    async with Lab() as lab:
        return await fleet_rows(lab, _environment(lab), _once, runs)


def told(rows: list[str], said: str, targets: str, readme: Path | None, marks: str) -> None:
    """Print a table, and write it into `readme` between the `marks` of that name."""
    print("\n".join(rows))
    print(f"targets: {targets}")
    if readme is not None:
        today = dt.datetime.now(dt.UTC).date().isoformat()
        head = (
            f"{said} (`make bench`, {today}, {__version__}, {os.cpu_count()} cores; "
            f"targets: {targets}):\n\n"
        )
        begin, end = f"<!-- {marks}:begin -->", f"<!-- {marks}:end -->"
        write_between(readme, begin, end, head + "\n".join(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--fleet-runs", type=int, default=3)
    parser.add_argument("--only", choices=["one", "fleet"], default=None)
    parser.add_argument("--write-readme", type=Path, default=None, metavar="FILE")
    options = parser.parse_args()
    if options.only != "fleet":
        told(
            asyncio.run(bench(options.runs)),
            f"Median of {options.runs} cold runs against what a person without it runs, one after "
            "the other: dig, the AWS CLI (load balancers, listeners, target groups, their health), "
            "kubectl (the checklist's lines) and curl",
            "at most 1.5 s bare, ratio 0.5 where every party is late, 200 MB",
            options.write_readme,
            "bench",
        )
    if options.only != "one":
        told(
            asyncio.run(fleets(options.fleet_runs)),
            f"Many hosts in one process, on a lab with {max(COUNTS):,} Ingresses, as many "
            f"Services and twice as many slices; median of {options.fleet_runs} runs against a "
            "program that only resolves and requests each host once",
            TARGETS,
            options.write_readme,
            "bench-fleet",
        )
