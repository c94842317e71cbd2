"""--skip CODE[=object]: what is left out, what stays, and that every report says so."""

import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

import hopcheck
from hopcheck.catalogue.catalogue import make
from hopcheck.config.file import host_runs, load_config
from hopcheck.config.options import Options, UsageError, build_options
from hopcheck.engine.replay import replay
from hopcheck.model import Finding, ObjectRef, Report, Status, Verdict
from hopcheck.report.evidence import load
from hopcheck.report.html import to_html
from hopcheck.report.json import to_dict
from hopcheck.report.junit import to_junit
from hopcheck.report.markdown import to_markdown
from hopcheck.report.terminal import print_report
from hopcheck.verdict.cause import attribute, leave_out, matches
from tests.recorded import SNAPSHOTS
from tests.steps.scenes import SCENES
from tests.steps.test_gallery import found

SCHEMA = json.loads((Path(hopcheck.__file__).parent / "report/report.schema.json").read_text())


def judged(name: str, *skip: str) -> Report:
    options = Options(skip=build_options({"skip": list(skip)}).skip)
    if name in SCENES:
        return replay(SCENES[name][2]().snapshot(), options)
    return replay(load(SNAPSHOTS / f"{name}.json.gz"), options)


def left_out(report: Report) -> list[str]:
    return [finding.code for finding in report.skipped]


def finding(kind: str, name: str, namespace: str | None) -> Finding:
    (one, *_) = judged("ing-svc-missing").root_causes
    return Finding(**{**{k: getattr(one, k) for k in one.__struct_fields__},
                      "object": ObjectRef(kind, name, namespace)})  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ING004", True), ("ing004", True), ("ING005", False),
        ("ING004=my-app", True), ("ING004=default/my-app", True), ("ING004=my-*", True),
        ("ING004=*/my-app", True), ("ING004=default/*", True), ("ING004=d?fault/my-app", True),
        ("ING004=Ingress default/*", True), ("ING004=Ingress *", True),
        ("ING004=my-ap", False), ("ING004=staging/*", False), ("ING004=Service *", False),
        ("ING004=MY-APP", False), ("ING005=*", False), ("ING004=None/*", False),
    ],
)  # fmt: skip
def test_which_findings_a_rule_means(rule: str, expected: bool) -> None:
    assert matches(finding("Ingress", "my-app", "default"), [rule]) is expected


@pytest.mark.parametrize("rule", ["ING004=myapp-nlb:443", "ING004=*:443", "ING004=Listener *"])
def test_objects_without_a_namespace(rule: str) -> None:
    assert matches(finding("Listener", "myapp-nlb:443", None), [rule])
    assert not matches(finding("Listener", "myapp-nlb:443", None), ["ING004=None/*"])


def test_the_cause_and_what_follows_from_it() -> None:
    """The health check's port is known to be wrong: the red targets are no news then."""
    report = judged("tg-health-port", "TGT015")
    assert found(report) == ""
    assert left_out(report) == ["TGT015", "TGT017"]
    assert report.verdict is Verdict.HEALTHY
    assert report.steps[1].status is Status.PASS


def test_what_the_requests_showed_stays() -> None:
    report = judged("ing-svc-missing", "ING004")
    assert report.verdict is Verdict.BROKEN
    assert report.steps[6].status is Status.FAIL
    assert "REQ009" in found(report)
    assert not report.root_causes  # no consequence is promoted
    assert report.headline.endswith(
        "what causes it was left out on purpose (ING004 Ingress default/my-app-ingress)"
    )


def test_a_finding_with_another_cause_stays() -> None:
    report = judged("tpod-static-bad", "TGT017")
    assert left_out(report) == ["TGT017"]
    assert [root.code for root in report.root_causes] == ["SVC008"]


def test_another_object_is_not_left_out() -> None:
    assert found(judged("ing-svc-missing", "ING004=staging/*")) == found(judged("ing-svc-missing"))


def test_a_general_finding_steps_in() -> None:
    """A last resort is a root cause where nothing more precise is left."""
    tie = {"route": "a", "others": "b", "host": "h", "path": "/", "priority": 9}
    gap = {
        "works": "pod",
        "fails": "node",
        "actual": "refused",
        "policy": "",
        "port": "",
        "ns": "",
        "name": "",
    }
    every = attribute(
        [
            make("SVC016", ObjectRef("Service", "traefik", "t"), **gap),
            make("ING009", ObjectRef("Ingress", "a", "d"), **tie),
        ]
    )
    assert [one.code for one in every if one.root_cause] == ["ING009"]
    kept, gone = leave_out(every, ["ING009"])
    assert ([one.code for one in kept if one.root_cause], len(gone)) == (["SVC016"], 1)


def test_a_warning_alone() -> None:
    report = judged("dashboard-exposed", "SVC013")
    assert (found(report), left_out(report)) == ("", ["SVC013"])
    assert report.steps[2].status is Status.PASS


@pytest.fixture(scope="module")
def report() -> Report:
    return judged("tg-health-port", "TGT015=myapp-*")


def test_json_lists_them(report: Report) -> None:
    data = to_dict(report)
    jsonschema.validate(data, SCHEMA)
    assert [one["code"] for one in data["skipped"]] == ["TGT015", "TGT017"]
    assert data["skipped"][1]["caused_by"] == ["TGT015-1"]


def test_html_shows_them(report: Report) -> None:
    page = to_html(report).decode()
    part = page.partition("Left out on purpose")[2]
    assert "TGT015" in part
    assert "myapp-websecure" in part
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors
    assert "Left out on purpose" not in to_html(judged("healthy")).decode()


def test_the_summary_says_so_in_ten_lines(report: Report) -> None:
    text = to_markdown(report, where="reports/x").decode()
    assert "Left out on purpose: TGT015 TargetGroup myapp-websecure" in text
    assert len(text.splitlines()) <= 10


def test_the_terminal_says_so(report: Report) -> None:
    def shown(verbose: bool) -> str:
        console = Console(file=io.StringIO(), width=100)
        print_report(report, console, verbose=verbose)
        return console.file.getvalue()  # type: ignore[attr-defined]

    assert "Left out on purpose: TGT015 TargetGroup myapp-websecure, TGT017" in shown(False)
    assert len(shown(False).splitlines()) <= 25
    assert "checks health on port" in shown(True)


def test_junit_has_it_as_a_property(report: Report) -> None:
    xml = to_junit([report], {}).decode()
    assert 'name="left_out" value="TGT015 TargetGroup myapp-websecure; TGT017' in xml


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("ING999", "did you mean ING0"), ("", "did you mean"), ("=x", "did you mean"),
        ("ING4", "did you mean ING004"), ("req16", "did you mean REQ016"),
        ("svc008 ", "did you mean SVC008"),
        ("ING004=", "CODE=object"), ("ING004= ", "CODE=object"),
    ],
)  # fmt: skip
def test_a_bad_rule_is_a_usage_error(rule: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build_options({"skip": [rule]})


def test_the_configuration_and_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "hopcheck.toml").write_text(
        'skip = ["tgt017=myapp-*"]\n[[host]]\nname = "b.example.com"\nskip = ["ING009"]\n'
    )
    config = load_config(None, tmp_path)
    one, two = host_runs(["a.example.com", "b.example.com"], {}, config)
    assert (one.options.skip, two.options.skip) == (("TGT017=myapp-*",), ("ING009",))
    (typed,) = host_runs(["b.example.com"], {"skip": ("END006",)}, config)
    assert typed.options.skip == ("END006",)
    (tmp_path / "hopcheck.toml").write_text('skip = ["TGT17"]\n')
    with pytest.raises(UsageError, match="did you mean TGT017"):
        host_runs(["a.example.com"], {}, load_config(None, tmp_path))
