"""Each code has a page, each page a code, and the pages are current."""

from pathlib import Path

import pytest

from hopcheck.catalogue import entries
from hopcheck.explain import main, page

DOCS = Path(__file__).parent.parent / "docs/findings"


def test_the_pages_are_current(tmp_path: Path) -> None:
    main(tmp_path)
    assert {p.name for p in DOCS.iterdir()} == {p.name for p in tmp_path.iterdir()}
    for made in tmp_path.iterdir():
        assert (DOCS / made.name).read_text() == made.read_text(), made.name


@pytest.mark.parametrize("code", entries())
def test_a_page_says_what_to_do(code: str) -> None:
    text = page(code)
    assert text.startswith(f"# {code}: ")
    for heading in ("Example", "Confirm by hand", "Fix", "Related"):
        assert f"\n## {heading}\n" in text
    assert "{" not in text.replace("{}", "").replace("{.", "").replace("%{", "")


def test_an_unknown_code_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="did you mean ING0"):
        page("ING0O4")
