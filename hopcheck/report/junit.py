"""junit.xml: what CI systems read; the shipped junit.xsd is its grammar."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence

from hopcheck.model import Finding, OwnStep, Report, Severity, Status, Step, StepResult
from hopcheck.report.json import public_url
from hopcheck.report.labels import changing, follows, label, origins, weight
from hopcheck.report.text import command, for_xml

# (host, step) -> the words of a defect of the suite in that step.
Defects = Mapping[tuple[str, Step], str]


def to_junit(reports: Sequence[Report], defects: Defects | None = None) -> bytes:
    """One <testsuites> with a <testsuite> per report and seven <testcase> in each, and the user's.

    `defects` names the steps in which the suite itself failed: they become <error>.
    """
    root = ET.Element("testsuites", name="hopcheck")
    for report in reports:
        root.append(_suite(report, defects or {}))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", f"{sum(report.duration_s for report in reports):.3f}")
    ET.indent(root)
    xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _suite(report: Report, defects: Defects) -> ET.Element:
    suite = ET.Element(
        "testsuite",
        name=for_xml(report.target.host),
        time=f"{report.duration_s:.3f}",
        timestamp=for_xml(report.started_at),
        url=for_xml(public_url(report.target)),
    )
    _properties(
        suite,
        {
            "host": report.target.host,
            "verdict": report.verdict.value,
            "headline": report.headline,
            "fingerprint": report.fingerprint,
            "coverage": f"{report.coverage.seen}/{report.coverage.of}",
            "complete": str(report.complete).lower(),
            "root_cause": "; ".join(_cause(finding) for finding in report.root_causes),
        },
    )
    for step in report.steps:
        suite.append(_case(report, step, defects.get((report.target.host, step.step))))
    for own in report.yours:
        suite.append(_own_case(report, own))
    for attribute, element in (
        ("tests", "testcase"),
        ("failures", "testcase/failure"),
        ("errors", "testcase/error"),
        ("skipped", "testcase/skipped"),
    ):
        suite.set(attribute, str(len(suite.findall(element))))
    return suite


def _case(report: Report, step: StepResult, defect: str | None) -> ET.Element:
    case = _testcase(report, step.step.value, step)
    findings = sorted(step.findings, key=weight)
    _properties(case, _case_properties(report, step, findings))
    if defect is not None:
        _result(case, "error", "defect", defect.partition("\n")[0], defect)
    elif step.status is Status.FAIL:
        errors = [finding for finding in findings if finding.severity is Severity.ERROR]
        first = errors[0] if errors else None
        message = f"{first.code} {first.object}: {first.title}" if first else step.reason or ""
        text = "\n\n".join(_finding_text(report, finding) for finding in errors)
        _result(case, "failure", first.code if first else "fail", message, text)
        findings = [finding for finding in findings if finding.severity is not Severity.ERROR]
    elif step.status in (Status.UNKNOWN, Status.NOT_APPLICABLE):
        reason = f"{step.status.value}: {step.reason or label('no_reason')}"
        _result(case, "skipped", step.status.value, reason, "")
    said = [_finding_text(report, finding) for finding in findings]
    if step.reason and step.status not in (Status.UNKNOWN, Status.NOT_APPLICABLE):
        said.insert(0, step.reason)
    if said:
        ET.SubElement(case, "system-out").text = for_xml("\n\n".join(said))
    return case


def _testcase(report: Report, kind: str, check: StepResult | OwnStep) -> ET.Element:
    return ET.Element(
        "testcase",
        classname=f"hopcheck.{kind}",
        name=for_xml(f"{check.step}[{report.target.host}]"),
        time=f"{check.duration_s:.3f}",
    )


def _own_case(report: Report, own: OwnStep) -> ET.Element:
    """A check of the user's own: after the seven, with its name as it is."""
    case = _testcase(report, "yours", own)
    _properties(case, {"host": report.target.host, "step": own.step, "status": own.status.value})
    reason = own.reason or ""
    if own.status is Status.FAIL:
        _result(case, "failure", "yours", own.title, reason)
    elif own.status is not Status.PASS:
        _result(case, "skipped", own.status.value, f"{own.status.value}: {reason}", "")
    return case


def _case_properties(
    report: Report, step: StepResult, findings: Sequence[Finding]
) -> dict[str, str]:
    roots = [one for one in origins(report, [f.id for f in findings]) if one.root_cause]
    owners = [one.owner for one in (*roots, *findings) if one.owner]
    return {
        "host": report.target.host,
        "step": step.step.value,
        "number": str(step.number),
        "status": step.status.value,
        "code": findings[0].code if findings else "",
        "codes": ",".join(dict.fromkeys(finding.code for finding in findings)),
        "root_cause": "; ".join(_cause(one) for one in roots),
        "caused_by": ",".join(dict.fromkeys(i for f in findings for i in f.caused_by)),
        "owner": "; ".join(dict.fromkeys(owners)),
        "left_out": "; ".join(_cause(one) for one in report.skipped if one.step is step.step),
    }


def _cause(finding: Finding) -> str:
    return f"{finding.code} {finding.object}"


def _finding_text(report: Report, finding: Finding) -> str:
    lines = [f"{finding.code} {finding.title}", f"{label('object')}: {finding.object}"]
    if finding.message:
        lines.append(finding.message)
    if consequence := follows(report, finding):
        lines.append(consequence)
    said = {key: getattr(finding, key) for key in ("expected", "actual", "fix")}
    lines += [f"{label(key)}: {value}" for key, value in said.items() if value]
    if finding.commands:
        lines.append(f"{label('confirm')}:")
        lines.extend(f"  {command(one)}" for one in finding.commands)
    for one in finding.fix_commands:
        lines += [f"{changing(one)}:", f"  {command(one)}"]
    if finding.docs_url:
        lines.append(finding.docs_url)
    return "\n".join(lines)


def _properties(parent: ET.Element, values: Mapping[str, str]) -> None:
    properties = ET.SubElement(parent, "properties")
    for name, value in values.items():
        if value:
            ET.SubElement(properties, "property", name=name, value=for_xml(value))


def _result(case: ET.Element, tag: str, kind: str, message: str, text: str) -> None:
    element = ET.SubElement(case, tag, type=for_xml(kind), message=for_xml(message))
    element.text = for_xml(text) or None
