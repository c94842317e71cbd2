"""summary.md."""

import msgspec
import pytest
from markdown_it import MarkdownIt  # comes with rich

from hopcheck.model import Report
from hopcheck.report.markdown import code, escape, to_markdown
from tests.report.examples import BROKEN, EXAMPLES, SELECTOR, hostile

SEVERAL = msgspec.structs.replace(BROKEN, root_causes=(SELECTOR,) * 5)


@pytest.mark.parametrize("report", [*EXAMPLES.values(), hostile(), SEVERAL])
def test_ten_lines_at_most(report: Report) -> None:
    lines = to_markdown(report, "reports/x/latest/report.html").decode().splitlines()
    assert len(lines) <= 10
    assert not any(char in line for line in lines for char in "\x1b\x00\u202e\ud800")


def test_content() -> None:
    text = to_markdown(BROKEN, "reports/x").decode()
    assert text.startswith("**BROKEN** `https://myapp.example.com/`: Every request answers 404")
    assert "- Root cause: END001 `Service default/my-app-service`\n" in text
    assert "- Fix: Set spec.selector of Service default/my-app-service" in text
    assert "`kubectl -n default get service my-app-service -o jsonpath='{.spec.selector}'`" in text
    assert "- Since: 02:18:00Z \\(42 min\\); last healthy 02:13:00Z\n" in text
    assert (
        "- Changed: `Service default/my-app-service spec.selector.app my-app → my-ap, 02:14:22Z, "
        "kubectl-edit` (and 2 more)\n"
    ) in text
    assert "- Fingerprint: `myapp.example.com END001`\n" in text
    assert "2026-02-25T03:00:00Z" in text
    assert "- Report: `reports/x`\n" in text


def test_a_command_of_a_fix_is_marked_and_whole_or_not_there() -> None:
    line = "kubectl -n default patch services a --type=json -p '[]' --dry-run=server"
    for own, there in ((line, True), (f"aws {'b' * 3_000} --dry-run", False)):
        cause = msgspec.structs.replace(SELECTOR, fix_commands=(own,))
        text = to_markdown(msgspec.structs.replace(BROKEN, root_causes=(cause,))).decode()
        assert ("Changes something; as it stands a dry run" in text) is there
        assert (f"`{line}`" in text) is there
        assert "bbb" not in text
        assert len(text.splitlines()) <= 10


def test_an_interrupted_run_says_so() -> None:
    assert "incomplete" in to_markdown(EXAMPLES["unknown"]).decode()
    assert "incomplete" not in to_markdown(BROKEN).decode()


def test_markdown_is_escaped() -> None:
    assert escape("a*b_[x](y)<img>`c`\n# d") == r"a\*b\_\[x\]\(y\)\<img\>\`c\` \# d"
    assert code("Host(`a`)") == "`` Host(`a`) ``"
    assert code("a``b") == "``` a``b ```"


def test_a_real_parser_makes_no_html_of_it() -> None:
    html = MarkdownIt("commonmark").render(to_markdown(hostile()).decode())
    assert "<strong>BROKEN</strong>" in html
    assert "<li>Root cause: END001 <code>" in html
    assert not any(tag in html for tag in ("<script", "<img", "<a ", "<h1", "<h2"))


def test_no_bare_address_becomes_a_link() -> None:
    assert escape("see http://evil.example/") == r"see http\://evil.example/"
