"""junit.xml against the published XSD."""

import xml.etree.ElementTree as ET
from importlib import resources

import pytest
import xmlschema

from hopcheck.model import Step
from hopcheck.report.junit import to_junit
from tests.report.examples import BROKEN, EXAMPLES, HEALTHY, HOST, UNKNOWN, hostile

XSD = xmlschema.XMLSchema(str(resources.files("hopcheck.report") / "junit.xsd"))


def parse(xml: bytes) -> ET.Element:
    XSD.validate(xml.decode())
    return ET.fromstring(xml)  # our own


def properties(element: ET.Element) -> dict[str, str]:
    return {one.attrib["name"]: one.attrib["value"] for one in element.iterfind("properties/*")}


def test_seven_cases_a_host_and_right_counts() -> None:
    root = parse(to_junit([*EXAMPLES.values(), hostile()]))
    assert root.tag == "testsuites"
    assert len(root) == 5
    for suite in root:
        cases = suite.findall("testcase")
        assert [one.get("classname") for one in cases] == [f"hopcheck.{step}" for step in Step]
        assert suite.get("tests") == "7"
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    assert root.get("tests") == "35"
    assert root.get("failures") == "7"
    assert root.get("errors") == "0"


def test_a_failed_step_says_what_to_fix() -> None:
    root = parse(to_junit([BROKEN]))
    case = root.find(f"testsuite/testcase[@name='endpoints[{HOST}]']")
    assert case is not None
    assert properties(case) == {
        "host": HOST,
        "step": "endpoints",
        "number": "5",
        "status": "fail",
        "code": "END001",
        "codes": "END001",
        "root_cause": "END001 Service default/my-app-service",
        "owner": "team-checkout",
    }
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("type") == "END001"
    assert failure.get("message") == (
        "END001 Service default/my-app-service: The Service selects no pod"
    )
    assert "Fix: Set spec.selector" in (failure.text or "")
    assert "  kubectl -n default get pods --show-labels\n" in (failure.text or "")


def test_a_consequence_names_its_cause() -> None:
    root = parse(to_junit([BROKEN]))
    case = root.find(f"testsuite/testcase[@name='request[{HOST}]']")
    assert case is not None
    assert properties(case)["caused_by"] == "END001-1"
    assert properties(case)["root_cause"] == "END001 Service default/my-app-service"


def test_unknown_and_not_applicable_are_skipped_that_word_first() -> None:
    root = parse(to_junit([UNKNOWN]))
    messages = [one.get("message", "") for one in root.iter("skipped")]
    assert messages[0] == "not_applicable: the addresses belong to no load balancer"
    assert messages[1] == "unknown: no kubeconfig: set KUBECONFIG or --kubeconfig"
    assert len(messages) == 6


def test_a_warning_passes_and_is_told() -> None:
    root = parse(to_junit([HEALTHY]))
    case = root.find(f"testsuite/testcase[@name='request[{HOST}]']")
    assert case is not None
    assert case.find("failure") is None
    assert case.find("skipped") is None
    assert "REQ009 The certificate expires in 6 days" in (case.findtext("system-out") or "")


def test_a_defect_of_the_suite_is_an_error() -> None:
    root = parse(to_junit([HEALTHY], {(HOST, Step.INGRESS): "KeyError: 'spec'\ntraceback"}))
    (error,) = root.iter("error")
    assert error.get("message") == "KeyError: 'spec'"
    assert root.get("errors") == "1"
    assert root.get("failures") == "0"


@pytest.mark.parametrize("bad", ["\x1b", "\x00", "\u202e", "\ud800"])
def test_hostile_text_is_gone(bad: str) -> None:
    assert bad not in to_junit([hostile()]).decode()
