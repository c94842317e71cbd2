"""The catalogue: codes, parameters, texts."""

import re
import string

import pytest

from hopcheck.catalogue.catalogue import PREFIX_TO_STEP, Raw, entries, listing, make
from hopcheck.model import ObjectRef
from hopcheck.verdict.cause import CONDITIONS, EDGES, LAST_RESORT, SYMPTOMS

OBJECT = ObjectRef("Service", "app", "default")


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("code", entries())
def test_every_entry_is_whole(code: str) -> None:
    entry = entries()[code]
    assert re.fullmatch(r"(DNS|TGT|SVC|ING|END|LOG|REQ)\d{3}", code)
    assert entry.step is PREFIX_TO_STEP[code[:3]]
    assert all([entry.title, entry.message, entry.expected, entry.actual, entry.fix])
    assert entry.commands
    used = set()
    for text in (entry.title, entry.message, entry.expected, entry.actual, entry.fix,
                 *entry.commands):  # fmt: skip
        used |= fields(text)
    for variant in entry.variants.values():
        for value in variant.values():
            for text in value if isinstance(value, list) else [value]:
                used |= fields(text)
    assert used == set(entry.params), f"{used ^ set(entry.params)}"


@pytest.mark.parametrize("code", entries())
def test_every_entry_makes_a_finding(code: str) -> None:
    entry = entries()[code]
    params = {name: f"<{name}>" for name in entry.params}
    for variant in (None, *entry.variants):
        finding = make(code, OBJECT, variant=variant, **params)
        assert finding.code == code
        assert "{" not in finding.message


def test_a_missing_parameter_is_a_defect() -> None:
    with pytest.raises(KeyError, match="DNS001 lacks"):
        make("DNS001", OBJECT, host="a")
    with pytest.raises(KeyError):
        make("DNS999", OBJECT)


def test_commands_are_shell_quoted() -> None:
    finding = make("DNS001", OBJECT, host="a; rm -rf /", resolver="r", dig_server=Raw("@r -p 5"))
    assert "'a; rm -rf /'" in finding.commands[0]
    assert finding.commands[0].endswith("@r -p 5")


def test_braces_in_names_stay_text() -> None:
    finding = make("DNS001", OBJECT, host="{resolver.__class__}", resolver="r", dig_server="")
    assert "{resolver.__class__}" in finding.message


def test_listing() -> None:
    assert listing([]) == "none"
    assert listing([1, 2], 2) == "1, 2"
    assert listing("abc", 2) == "a, b and 1 more"


def test_the_table_of_causes_names_codes_that_exist() -> None:
    from fnmatch import fnmatchcase

    for edge in EDGES:
        assert edge.when in CONDITIONS
        assert edge.because
        for pattern in (*edge.causes, *edge.effects):
            assert any(fnmatchcase(code, pattern) for code in entries()), pattern
    assert set(entries()) >= SYMPTOMS | LAST_RESORT


def test_no_command_changes_anything() -> None:
    """They stand under "Check it yourself"; what is to be changed stands in the fix."""
    changing = {
        "delete",
        "apply",
        "edit",
        "patch",
        "scale",
        "create",
        "replace",
        "restart",
        "label",
    }
    for code, entry in entries().items():
        tables = (entry.commands, *(one.get("commands", ()) for one in entry.variants.values()))
        for words in (line.split() for table in tables for line in table):
            assert not changing & set(words), code
            if words[0] == "aws":
                assert words[2].startswith(("describe-", "get-", "list-")), code
