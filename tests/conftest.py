"""The project's own tests speak English, whatever the developer's locale; none leaks a language."""

from collections.abc import Iterator

import pytest

from hopcheck.catalogue import language


@pytest.fixture(scope="session", autouse=True)
def a_locale_without_a_language() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name in ("LC_ALL", "LC_MESSAGES"):
            patched.delenv(name, raising=False)
        patched.setenv("LANG", "C.UTF-8")
        yield


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    language.use("en", asked=False)
    yield
    language.use("en", asked=False)
