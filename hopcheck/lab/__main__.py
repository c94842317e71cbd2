"""``python -m hopcheck.lab``: the demo, the gallery, and a lab to work on by hand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from hopcheck.lab.demo import demo, staged
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.field import REPORTS
from hopcheck.lab.lab import Lab
from hopcheck.lab.setups import SETUPS

_USAGE, _FAILED = 2, 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hopcheck.lab", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("faults", help="the names of the gallery, one a line")
    commands.add_parser("setups", help="the names of the healthy set-ups, one a line")
    commands.add_parser("reports", help="the names of the reports from the field, one a line")
    for name, text in (
        ("demo", "diagnose the lab; further arguments are those of `hopcheck diagnose`"),
        ("serve", "run the lab until Ctrl-C"),
    ):
        command = commands.add_parser(name, help=text, allow_abbrev=False)
        chosen = command.add_mutually_exclusive_group()
        chosen.add_argument("--fault", metavar="NAME", help="inject this fault")
        chosen.add_argument("--setup", metavar="NAME", help="arrange this healthy set-up")
        chosen.add_argument("--report", metavar="NAME", help="arrange this report from the field")
        command.add_argument("--url-path", metavar="PATH", help="diagnose this path")
        command.add_argument(
            "--delay", metavar="MS", type=float, default=0.0, help="every party answers later"
        )
        command.add_argument("--traefik", metavar="FILE", type=Path, help="another binary")
    measured = commands.add_parser("accuracy", help="diagnose every fault and more, and count")
    measured.add_argument(
        "names", nargs="*", metavar="NAME", help="these faults, set-ups and reports"
    )
    measured.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="KIND",
        help="fault, set-up, pair, field or edit",
    )
    measured.add_argument("--labs", type=int, default=2, metavar="N", help="labs at a time")
    measured.add_argument("--write-readme", type=Path, metavar="FILE", default=None)
    return parser


def _known(name: str | None, what: str, known: Collection[str]) -> bool:
    """Whether there is such a fault or set-up; says so when there is not."""
    if name is None or name in known:
        return True
    near = difflib.get_close_matches(name, known, n=3)
    listed = f": see `python -m hopcheck.lab {what}s`"
    hint = f"; did you mean {', '.join(near)}?" if near else listed
    print(f"hopcheck.lab: no {what} named {name!r}{hint}", file=sys.stderr)
    return False


async def _serve(lab: Lab, scenario: str | None, arguments: list[str]) -> int:
    """Say how to reach the lab and wait to be interrupted."""
    with contextlib.redirect_stdout(sys.stderr):
        words, environment = await staged(lab, scenario)
    for name, value in environment.items():
        print(f"export {name}={shlex.quote(value)}")
    command = ["hopcheck", "diagnose", *words, *arguments]
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
            return await work(
                lab, options.fault or options.setup or options.report, options.arguments
            )
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
        # In one piece: `hopcheck faults | head` closes the pipe after the first lines.
        print("\n".join(f"{n} (recorded)" if f.inject is None else n for n, f in FAULTS.items()))
        return 0
    if options.command == "setups":
        print("\n".join(SETUPS))
        return 0
    if options.command == "reports":
        print("\n".join(REPORTS))
        return 0
    if options.command == "accuracy":
        if not all(_known(name, "fault", {*FAULTS, *SETUPS, *REPORTS}) for name in options.names):
            return _USAGE
        from hopcheck.lab.accuracy import accuracy

        run = accuracy(options.names, options.write_readme, options.kind, options.labs)
        return asyncio.run(run)
    if not (
        _known(options.fault, "fault", FAULTS)
        and _known(options.setup, "setup", SETUPS)
        and _known(options.report, "report", REPORTS)
    ):
        return _USAGE
    options.arguments = [word for word in further if word != "--"]
    if options.url_path:
        options.arguments += ["--path", options.url_path]
    return asyncio.run(_with_lab(options, demo if options.command == "demo" else _serve))


if __name__ == "__main__":
    sys.exit(main())
