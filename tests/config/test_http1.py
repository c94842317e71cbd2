"""--http1.1, its key of the file and its option of pytest are the same setting."""

from pathlib import Path

import pytest

from hopcheck.app.cli import cli
from hopcheck.config.file import Config, host_runs, load_config


@pytest.mark.parametrize("command", ["diagnose", "run", "serve"])
def test_on_the_command_line(command: str) -> None:
    assert cli.commands[command].make_context(command, ["--http1.1"]).params["http1"] is True
    assert cli.commands[command].make_context(command, []).params["http1"] is None


def test_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hopcheck.toml"
    path.write_text('http1 = true\n[[host]]\nname = "a.example"\n')
    (run,) = host_runs(["a.example"], {"http1": None}, load_config(str(path), tmp_path))
    assert run.options.http1
    (run,) = host_runs(["a.example"], {}, Config())
    assert not run.options.http1


def test_of_pytest(pytestconfig: pytest.Config) -> None:
    """The plugin is loaded here as everywhere."""
    options = pytestconfig._parser.parse(["--hop-http1.1"])
    assert options.hop_http1 is True
    assert pytestconfig._parser.parse([]).hop_http1 is None
