"""The one table: everything that takes options takes them from it."""

from typing import Any

import click
import pytest

from hopcheck.app import pytest_plugin
from hopcheck.app.cli import cli
from hopcheck.catalogue import language
from hopcheck.config.options import TABLE, HostRun, Options, options_at
from hopcheck.config.target import parse_target
from hopcheck.schedule.outlets.settings import Outlets
from hopcheck.schedule.plan import CONCURRENCY, WRITE
from tests.config.readme import README, listed

IN_THE_FILE = {"file", "top", "host", "fleet", "outlets"}


def test_a_place_is_a_command_or_known() -> None:
    named = {place for row in TABLE for place in row.at.split("|")}
    assert named - set(cli.commands) == IN_THE_FILE | {"pytest", "again"} - set(cli.commands)


@pytest.mark.parametrize("name", cli.commands)
def test_a_command_takes_what_the_table_names(name: str) -> None:
    taken = {p.name: p.opts for p in cli.commands[name].params if isinstance(p, click.Option)}
    rows = options_at(name)
    assert list(taken) == [row.key for row in rows]
    assert all(f"--{row.flag}" in taken[row.key] for row in rows)


def test_pytest_takes_what_the_table_names() -> None:
    taken: dict[str, Any] = {}

    class Parser:
        def getgroup(self, *_: str) -> "Parser":
            return self

        def addoption(self, name: str, **more: Any) -> None:
            taken[name] = more

    pytest_plugin.pytest_addoption(Parser(), pytest.PytestPluginManager())  # type: ignore[arg-type]
    rows = options_at("pytest")
    assert list(taken) == ["--hop-host", "--hop-url", *(f"--hop-{row.flag}" for row in rows)]
    keys = ["host", "url", *(row.key for row in rows)]
    assert [more["dest"] for more in taken.values()] == [f"hop_{key}" for key in keys]
    assert taken["--hop-resolver"]["action"] == "append"
    assert taken["--hop-strict"]["action"] == "store_true"


@pytest.mark.parametrize(
    ("struct", "fields"),
    [
        ("options", Options.__struct_fields__),
        ("run", [name for name in HostRun.__struct_fields__ if name not in ("target", "options")]),
    ],
)
def test_each_attribute_of_a_run_is_a_row(struct: str, fields: list[str]) -> None:
    made = [row.becomes.partition(".") for row in TABLE]
    names = [
        name or row.key
        for row, (whose, _, name) in zip(TABLE, made, strict=True)
        if whose == struct
    ]
    assert sorted(names) == sorted(fields)


def test_the_defaults_are_those_that_hold() -> None:
    said = {row.key: row.default for row in TABLE if row.default}
    run = HostRun(parse_target("a.example"), Options())
    assert said == {
        "reports": run.reports,
        "config": "hopcheck.toml",
        "concurrency": str(CONCURRENCY),
        "write": WRITE[0],
        "expect_status": run.target.expect_status,
        "timeout": f"{run.options.timeout:g}",
        "deadline": f"{run.options.deadline:g}",
        "watch": "10",
        "listen": Outlets().listen,
        "keep_runs": str(run.keep_runs),
        "keep_days": str(run.keep_days),
    }


def test_every_row_has_its_help_and_no_help_is_left_over() -> None:
    assert set(language.tables("texts")["option"]) == {row.words or row.key for row in TABLE}


def test_the_list_of_the_readme_is_that_of_the_table() -> None:
    words = README.read_text("utf-8")
    assert listed(words) == words, "python -m tests.config.readme"
