"""report.json against its schema."""

import json
from importlib import resources

import jsonschema
import msgspec
import pytest

from hopcheck import __version__
from hopcheck.model import Report, Target
from hopcheck.report.json import public_url, to_dict, to_json
from tests.report.examples import BROKEN, EXAMPLES, hostile

SCHEMA = json.loads((resources.files("hopcheck.report") / "report.schema.json").read_text())


@pytest.mark.parametrize("report", [*EXAMPLES.values(), hostile()], ids=[*EXAMPLES, "hostile"])
def test_every_report_is_valid(report: Report) -> None:
    jsonschema.Draft202012Validator(
        SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(json.loads(to_json(report).decode("utf-8")))


def test_content() -> None:
    data = json.loads(to_json(BROKEN))
    assert data["tool"] == {"name": "hopcheck", "version": __version__}
    assert data["host"] == "myapp.example.com"
    assert data["verdict"] == "broken"
    assert data["coverage"] == {"seen": 7, "of": 7}
    assert [one["code"] for one in data["root_causes"]] == ["END001"]
    assert data["root_causes"][0]["object"] == {
        "kind": "Service",
        "name": "my-app-service",
        "namespace": "default",
        "field": "spec.selector",
    }
    assert [step["number"] for step in data["steps"]] == [1, 2, 3, 4, 5, 6, 7]
    assert data["steps"][6]["findings"][0]["caused_by"] == ["END001-1"]


def test_since_and_changes() -> None:
    data = json.loads(to_json(BROKEN))
    assert data["since"] == "2026-02-25T02:18:00Z"
    assert data["last_healthy"] == data["compared_with"] == "2026-02-25T02:13:00Z"
    assert data["changes"][0] == {
        "object": {"kind": "Service", "name": "my-app-service", "namespace": "default"},
        "field": "spec.selector.app",
        "before": "my-app",
        "after": "my-ap",
        "at": "2026-02-25T02:14:22Z",
        "by": "kubectl-edit",
    }
    healthy = json.loads(to_json(EXAMPLES["healthy"]))
    assert (healthy["since"], healthy["changes"]) == (None, [])


def test_params_stay_inside() -> None:
    text = to_json(BROKEN)
    assert b"never in report.json" not in text
    assert b'"params"' not in text


def test_the_query_string_is_redacted() -> None:
    target = Target("a.example.com", path="/x?token=hunter2&b=c")
    assert "hunter2" not in public_url(target)
    assert public_url(target).startswith("https://a.example.com/x?token=")
    report = msgspec.structs.replace(BROKEN, target=target)
    assert b"hunter2" not in to_json(report)


def test_facts_of_odd_types_do_not_break_the_report() -> None:
    step = msgspec.structs.replace(BROKEN.steps[0], facts={"set": {1}, 2: object(), "n": 1e999})
    report = msgspec.structs.replace(BROKEN, steps=(step, *BROKEN.steps[1:]))
    assert "set" in to_dict(report)["steps"][0]["facts"]
    json.loads(to_json(report))
