"""``python -m hopcheck.lab``: the demo, the gallery, and a lab to work on by hand."""

from __future__ import annotations

import argparse
import asyncio
import difflib
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from hopcheck.lab.demo import demo
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.lab import Lab
from hopcheck.lab.topology import HOST

_USAGE, _FAILED = 2, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hopcheck.lab", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("faults", help="the names of the gallery, one a line")
    for name, text in (
        ("demo", "diagnose the lab; further arguments are those of `hopcheck diagnose`"),
        ("serve", "run the lab until Ctrl-C"),
    ):
        command = commands.add_parser(name, help=text, allow_abbrev=False)
        command.add_argument("--fault", metavar="NAME", help="inject this fault")
        command.add_argument("--url-path", metavar="PATH", help="diagnose this path")
        command.add_argument(
            "--delay", metavar="MS", type=float, default=0.0, help="every party answers later"
        )
        command.add_argument("--traefik", metavar="FILE", type=Path, help="another binary")
    measured = commands.add_parser("accuracy", help="diagnose every fault and more, and count")
    measured.add_argument("names", nargs="*", metavar="NAME", help="these faults only")
    measured.add_argument(
        "--kind", action="append", default=[], metavar="KIND", help="fault, set-up, pair or edit"
    )
    measured.add_argument("--labs", type=int, default=2, metavar="N", help="labs at a time")
    measured.add_argument("--write-readme", type=Path, metavar="FILE", default=None)
    return parser


def _known(fault: str | None) -> bool:
    """Whether there is such a fault; says so when there is not."""
    if fault is None or fault in FAULTS:
        return True
    near = difflib.get_close_matches(fault, FAULTS, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ": see `make faults`"
    print(f"hopcheck.lab: no fault named {fault!r}{hint}", file=sys.stderr)
    return False


async def _serve(lab: Lab, fault: str | None, arguments: list[str]) -> int:
    """Say how to reach the lab and wait to be interrupted."""
    if fault is not None:
        await lab.inject(fault)
    asked = FAULTS[fault].asked if fault else (HOST,)
    for name, value in lab.environment().items():
        print(f"export {name}={shlex.quote(value)}")
    command = ["hopcheck", "diagnose", *asked, *lab.arguments(), *arguments]
    print(shlex.join(command), flush=True)
    await asyncio.Event().wait()
    return 0


async def _with_lab(
    options: argparse.Namespace, work: Callable[[Lab, str | None, list[str]], Awaitable[int]]
) -> int:
    """Run `work` on a fresh lab; SIGINT and SIGTERM end both in order."""
    caught: list[signal.Signals] = []
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()

    def stop(received: signal.Signals) -> None:
        if not caught and task is not None:  # a second Ctrl-C must not cut the clean-up short
            task.cancel()
        caught.append(received)

    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop, one)
    try:
        async with Lab(binary=options.traefik) as lab:
            lab.set_delay(options.delay / 1000)
            return await work(lab, options.fault, options.arguments)
    except asyncio.CancelledError:
        if not caught:
            raise
        return 128 + caught[0]
    except (OSError, LookupError) as error:  # TimeoutError among them: a part did not come up
        print(f"hopcheck.lab: {error}", file=sys.stderr)
        return _FAILED


def main(words: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    options, further = _parser().parse_known_args(words)
    if options.command == "faults":
        for fault in FAULTS.values():
            print(f"{fault.name} (recorded)" if fault.inject is None else fault.name)
        return 0
    if options.command == "accuracy":
        if not all(_known(name) for name in options.names):
            return _USAGE
        from hopcheck.lab.accuracy import accuracy

        run = accuracy(options.names, options.write_readme, options.kind, options.labs)
        return asyncio.run(run)
    if not _known(options.fault):
        return _USAGE
    options.arguments = [word for word in further if word != "--"]
    if options.url_path:
        options.arguments += ["--path", options.url_path]
    return asyncio.run(_with_lab(options, demo if options.command == "demo" else _serve))


if __name__ == "__main__":
    sys.exit(main())
