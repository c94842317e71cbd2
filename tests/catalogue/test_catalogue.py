"""The catalogue: codes, parameters, texts."""

import string

import pytest

from hopcheck.catalogue.catalogue import Raw, entries, listing, make
from hopcheck.model import ObjectRef

OBJECT = ObjectRef("Service", "app", "default")


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


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
