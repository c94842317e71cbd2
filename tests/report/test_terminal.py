"""The terminal's first screen, and progress."""

import io
import re
from collections.abc import Iterator

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from hopcheck.catalogue import language
from hopcheck.model import Finding, ObjectRef, Report, Step
from hopcheck.report.labels import label
from hopcheck.report.terminal import Progress, make_console, print_report
from tests.report.examples import BROKEN, EXAMPLES, SELECTOR, finding, hostile

LONG = "word " * 400


def shown(report: Report, width: int = 100, **options: object) -> str:
    out = io.StringIO()
    print_report(report, Console(file=out, width=width), **options)  # type: ignore[arg-type]
    return out.getvalue()


def lines_on_screen(text: str, width: int = 100) -> int:
    return sum(max(1, -(-len(line) // width)) for line in text.splitlines())


def with_causes(*causes: Finding) -> Report:
    return msgspec.structs.replace(BROKEN, root_causes=causes)


TWO = with_causes(
    SELECTOR, finding("ING004", Step.INGRESS, ObjectRef("Ingress", "i", "ns"), fix="F")
)
TEN = with_causes(*[SELECTOR] * 10)
WORDY = msgspec.structs.replace(
    with_causes(
        msgspec.structs.replace(
            SELECTOR, title=LONG, message=LONG, expected=LONG, actual=LONG, commands=(LONG,) * 9
        )
    ),
    headline=LONG,
    steps=tuple(msgspec.structs.replace(one, reason=LONG, title=LONG) for one in BROKEN.steps),
)


@pytest.mark.parametrize("report", [*EXAMPLES.values(), TWO, TEN], ids=[*EXAMPLES, "two", "ten"])
def test_the_first_screen_has_25_lines(report: Report) -> None:
    text = shown(report, where="reports/myapp.example.com/20260225T030000Z-abcd")
    assert lines_on_screen(text) <= 25
    assert [int(n) for n in re.findall(r"^ \S (\d) ", text, re.M)] == [1, 2, 3, 4, 5, 6, 7]


def test_verdict_cause_fix_and_commands() -> None:
    text = shown(BROKEN, where="reports/x")
    assert text.startswith("BROKEN  https://myapp.example.com/  Every request answers 404")
    assert "Root cause END001 Service default/my-app-service spec.selector\n" in text
    assert "Fix        Set spec.selector of Service default/my-app-service to app=my-app" in text
    for command in SELECTOR.commands[:2]:  # as many as the screen holds
        assert f"  $ {command}\n" in text
    assert "follows from END001" in text
    assert text.endswith("Report: reports/x\n")


FIXING = (
    "kubectl -n default patch services a --type=json -p '[]' --dry-run=server",
    "aws elbv2 modify-listener --listener-arn b --protocol TCP",
)


def test_commands_of_a_fix_are_marked_and_never_cut() -> None:
    long = f"kubectl -n default patch services {'a' * 9_000} --dry-run=server"
    for verbose in (False, True):
        cause = msgspec.structs.replace(SELECTOR, fix_commands=FIXING, commands=())
        step = msgspec.structs.replace(BROKEN.steps[4], findings=(cause,))
        steps = (*BROKEN.steps[:4], step, *BROKEN.steps[5:])
        report = msgspec.structs.replace(BROKEN, root_causes=(cause,), changes=(), steps=steps)
        text = shown(report, verbose=verbose)
        words = (
            "  Changes something; as it stands a dry run, without --dry-run=server it is done:\n"
        )
        assert f"{words}  $ {FIXING[0]}\n" in text
        now = "  Changes something, at once (there is no dry run):\n"
        assert f"{now}  $ {FIXING[1]}\n" in text
        cause = msgspec.structs.replace(cause, fix_commands=(long,))
        assert long not in shown(msgspec.structs.replace(report, root_causes=(cause,)))
        assert "aaaa" not in shown(msgspec.structs.replace(report, root_causes=(cause,), steps=()))


def test_since_and_changes_stand_before_the_fix() -> None:
    lines = shown(BROKEN, where="reports/x").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("Since"))
    assert lines[first] == "Since      02:18:00Z (42 min); last healthy 02:13:00Z"
    assert lines[first + 1] == (
        "Changed    Service default/my-app-service spec.selector.app my-app → my-ap, 02:14:22Z, "
        "kubectl-edit"
    )
    assert lines[first + 2] == (
        "           Middleware default/limits created, 2026-02-24 23:50:01Z, helm"
    )
    heads = [line.split(" ")[0] for line in lines]
    assert heads.index("Root") < first < heads.index("Fix")


def test_nothing_changed_and_nothing_known() -> None:
    same = msgspec.structs.replace(BROKEN, changes=())
    assert "Changed    nothing that was seen on the path differs from" in shown(same)
    lone = msgspec.structs.replace(
        same, since=same.started_at, last_healthy=None, compared_with=None
    )
    assert "Since      first seen in this run; no earlier run is known\n" in shown(lone)
    assert "Changed" not in shown(lone)


NAMES = ("결제-서비스-프런트엔드", "shop-🛒-👩‍💻-frontend", "아주긴이름의오브젝트" * 6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("code", ["en", "ko"])
def test_wide_characters_take_two_cells(code: str, name: str) -> None:
    language.use(code)
    cause = msgspec.structs.replace(
        SELECTOR,
        object=ObjectRef("Service", name, "쇼핑몰"),
        title=f"{name}의 selector",
        actual=f"{name} " * 9,
        fix=f"{name}의 selector를 고치십시오. " * 3,
        commands=(),
    )
    steps = tuple(
        msgspec.structs.replace(one, findings=(), reason=f"{name} " * 9) for one in BROKEN.steps
    )
    report = msgspec.structs.replace(
        with_causes(cause), steps=steps, headline=f"{name} 장애. " * 12
    )
    lines = shown(report, width=80).splitlines()
    assert max(map(cell_len, lines)) <= 80
    # One column for what stands beside the labels, one for the steps' names.
    words = {label(key) for key in ("root_cause", "fix", "actual", "expected", "since")}
    beside = [line for line in lines if any(line.startswith(f"{word} ") for word in words)]
    assert len(beside) >= 3
    for line in beside:
        word = next(one for one in words if line.startswith(f"{one} "))
        assert line[len(word) :].lstrip() == line[len(word) + 11 - cell_len(word) :]
    columns = {
        cell_len(line[: line.index(step.value)])
        for step, line in zip(
            Step, (one for one in lines if re.match(r" \S \d ", one)), strict=True
        )
    }
    assert len(columns) == 1


def test_more_causes_than_fit_are_counted() -> None:
    text = shown(TEN)
    named = text.count("Root cause END001")
    assert named >= 2
    assert f"and {10 - named} more in the report" in text
    assert "Root cause ING004 Ingress ns/i" in shown(TWO)


def test_long_texts_are_cut_but_never_the_fix_or_the_object() -> None:
    text = shown(WORDY)
    # The first command alone takes 21 of the lines; it is never cut, as it is pasted.
    assert lines_on_screen(text) <= 25 + 21
    assert f"  $ {LONG}" in text
    fix = " ".join(line.strip() for line in text.partition("Fix")[2].splitlines())
    assert SELECTOR.fix in " ".join(fix.split())
    long_fix = msgspec.structs.replace(SELECTOR, fix=LONG + "end of the fix")
    assert "end of the fix" in shown(with_causes(long_fix))


def test_quiet_and_verbose() -> None:
    quiet = shown(BROKEN, quiet=True)
    assert quiet == f"BROKEN  https://myapp.example.com/  {BROKEN.headline}\n"
    assert len(shown(WORDY, quiet=True).splitlines()) == 1
    verbose = shown(BROKEN, verbose=True)
    assert "GET /api/v1/namespaces/default/pods: 3 pods: app=my-app" in verbose
    assert "REQ002 error Host myapp.example.com" in verbose
    assert "  DNSRecord myapp.example.com A 203.0.113.9 → 203.0.113.10, 203.0.113.11\n" in verbose


@pytest.mark.parametrize("verbose", [False, True])
def test_hostile_text(verbose: bool) -> None:
    text = shown(hostile(), verbose=verbose)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800]", text)
    assert "[bold]" in text
    assert "\n\nnext" not in text


def test_plain_without_a_terminal_and_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in shown(BROKEN)
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    print_report(BROKEN, Console(file=out, width=100, force_terminal=True))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", out.getvalue())
    monkeypatch.delenv("NO_COLOR")
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system="standard")
    print_report(BROKEN, console)
    assert "\x1b[1;31mBROKEN" in out.getvalue()


def test_an_encoding_without_the_symbols() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    sick = msgspec.structs.replace(BROKEN, headline="kaputt: 한글 …")
    print_report(sick, Console(file=out, width=100), verbose=True)
    out.flush()
    assert b" x 5 fail    endpoints" in raw.getvalue()
    assert b"kaputt: ??" in raw.getvalue()


def test_make_console_is_100_wide_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert make_console().width == 100
    monkeypatch.setenv("COLUMNS", "132")
    assert make_console().width == 132


def test_progress_in_a_pipe_is_plain_lines() -> None:
    out = io.StringIO()
    progress = Progress(Console(file=out))
    progress.start("a.example.com\x1b[2J")
    progress.event("GET /api/v1/services")
    progress.step(BROKEN.steps[0])
    progress.stop()
    assert out.getvalue() == "looking at a.example.com\na.example.com: 1 dns: pass\n"


def frames() -> Iterator[tuple[io.StringIO, Progress]]:
    out = io.StringIO()
    yield out, Progress(Console(file=out, force_terminal=True, width=80))


def test_progress_on_a_terminal_gives_the_cursor_back() -> None:
    for out, progress in frames():
        progress.start("a.example.com")
        progress.event("GET [bold]x[/nonsense]\x1b]0;t\x07")
        progress.step(BROKEN.steps[0])
        progress.stop()
        progress.stop()
        assert out.getvalue().count("\x1b[?25l") == 1
        assert out.getvalue().count("\x1b[?25h") == 1
        assert "\x1b]0" not in out.getvalue()
