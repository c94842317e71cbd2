"""The words of since when and what changed."""

import msgspec
import pytest

from hopcheck.model import Change, ObjectRef
from hopcheck.report.since import change_line, changes_words, clock, span
from tests.report.examples import BROKEN

INGRESS = ObjectRef("Ingress", "a", "ns")


@pytest.mark.parametrize(
    ("earlier", "later", "words"),
    [
        ("2026-02-25T03:00:00Z", "2026-02-25T03:00:59Z", "59 s"),
        ("2026-02-25T03:00:00Z", "2026-02-25T03:42:10Z", "42 min"),
        ("2026-02-24T03:00:00Z", "2026-02-25T02:59:59Z", "23 h"),
        ("2026-02-20T03:00:00+02:00", "2026-02-25T03:00:00Z", "5 days"),
        ("2026-02-25T03:00:00Z", "2026-02-25T02:00:00Z", ""),  # two clocks that disagree
        ("yesterday", "2026-02-25T02:00:00Z", ""),
    ],
)
def test_span(earlier: str, later: str, words: str) -> None:
    assert span(earlier, later) == words


def test_clock() -> None:
    now = "2026-02-25T03:00:00Z"
    assert clock("2026-02-25T01:30:00+01:00", now) == "00:30:00Z"
    assert clock("2026-02-24T23:59:59.123456Z", now) == "2026-02-24 23:59:59Z"
    assert clock("\x1b[2J", now) == "\x1b[2J"


def test_a_change_on_one_line() -> None:
    def words(field: str, before: object, after: object, **more: str) -> str:
        return change_line(Change(INGRESS, field, before, after, **more), BROKEN.started_at)

    assert words("exists", True, False) == "Ingress ns/a deleted"
    assert words("spec.tls", None, [{"secretName": "x"}]) == (
        "Ingress ns/a spec.tls none → secretName: x"
    )
    assert words("a\nb", 1, 2, by="x\x1b[2Jy") == "Ingress ns/a a b 1 → 2, xy"
    assert len(words("spec", "x" * 1000, "y" * 1000)) < 160


def test_as_many_changes_as_asked_for_and_the_others_counted() -> None:
    many = msgspec.structs.replace(BROKEN, changes=BROKEN.changes * 2)
    assert len(changes_words(BROKEN, 3)) == 3
    assert changes_words(many, 3)[2] == "and 4 more"
    assert changes_words(many, 1)[1] == "and 5 more"
