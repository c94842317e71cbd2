"""Which language is spoken, and that English stands in for what another one lacks."""

from collections.abc import Iterator

import pytest

from hopcheck.catalogue import language
from hopcheck.catalogue.language import LANGUAGES, of_environment, tables, use


@pytest.fixture(autouse=True)
def back_to_english() -> Iterator[None]:
    yield
    use("en", asked=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko"}, "ko"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LC_ALL": "C", "LANG": "ko_KR.UTF-8"}, "en"),
        ({"LC_ALL": "", "LC_MESSAGES": "ko_KR", "LANG": "en_US"}, "ko"),
    ],
)
def test_the_locale_decides(environment: dict[str, str], expected: str) -> None:
    assert of_environment(environment) == expected


def test_only_languages_that_there_are() -> None:
    with pytest.raises(ValueError, match="'tlh'"):
        use("tlh")
    assert language.language() == "en"


def test_english_stands_in_for_what_is_missing() -> None:
    over = language.over({"a": {"x": "one", "y": "two"}, "b": "c"}, {"a": {"x": "하나"}})
    assert over == {"a": {"x": "하나", "y": "two"}, "b": "c"}


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_every_table(code: str) -> None:
    english = tables("texts")
    use(code)
    assert tables("texts").keys() == english.keys()


def test_an_asked_language_beats_the_configuration() -> None:
    language.prefer("ko")
    assert language.language() == "ko"
    use("en")
    language.prefer("ko")
    assert language.language() == "en"
