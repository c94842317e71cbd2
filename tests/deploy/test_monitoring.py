"""Rules, dashboard and pipelines: parsed by the programs that read them, naming what exists."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from hopcheck.app.cli import cli
from hopcheck.engine.replay import replay
from hopcheck.report.evidence import load
from hopcheck.schedule.outlets.incidents import Outcome
from hopcheck.schedule.outlets.metrics import of_hosts, of_run, registry
from tests.deploy.rendering import DEPLOY

MONITORING = DEPLOY / "monitoring"
SNAPSHOTS = Path(__file__).parents[1] / "snapshots"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool here: apt-get install prometheus"
)


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "rules.yaml"), ("test", "rules", "rules.test.yaml")],
    ids=["check", "test"],
)
def test_promtool_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *arguments], cwd=MONITORING, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_scrape_configuration() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "check", "config", "prometheus.yaml"], cwd=MONITORING,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def exposed() -> set[str]:
    """Every metric that a run can show."""
    reports = [replay(load(SNAPSHOTS / f"{n}.json.gz")) for n in ("healthy", "ing-svc-missing")]
    made = registry(of_hosts(reports), of_run(Outcome(seconds=2.0), failed=("pager",)))
    return {family.name for family in made.collect()}


def named(text: str) -> set[str]:
    return set(re.findall(r"\bhopcheck_[a-z_]+", text))


def test_the_rules_use_metrics_that_exist() -> None:
    used = named((MONITORING / "rules.yaml").read_text())
    assert used
    assert used <= exposed()


def test_the_dashboard_uses_metrics_that_exist() -> None:
    text = (MONITORING / "dashboard.json").read_text()
    dashboard = json.loads(text)
    recorded = {
        rule["record"]
        for group in yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    expressions = " ".join(t["expr"] for p in dashboard["panels"] for t in p["targets"])
    assert named(expressions) <= exposed()
    assert set(re.findall(r"hopcheck:[a-z:_0-9]+", expressions)) <= recorded
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_every_alert_has_a_runbook() -> None:
    for group in yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook_url"].startswith("https://hopcheck.example.com")
                assert rule["labels"]["severity"] in ("critical", "warning")


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_pipelines_call_commands_that_exist(name: str) -> None:
    text = (DEPLOY / "ci" / name).read_text()
    assert isinstance(yaml.safe_load(text), dict)
    assert "junit.xml" in text
    commands = re.findall(r"^\s*(?:- )?hopcheck (\w+) ([^\n]*)", text, re.MULTILINE)
    assert commands
    for command, options in commands:
        shown = CliRunner().invoke(cli, [command, "--help"])
        assert shown.exit_code == 0, shown.output
        for option in re.findall(r"--[a-z-]+", options):
            assert option in shown.output
