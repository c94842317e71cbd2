"""One browser for all tests of a worker."""

from collections.abc import Iterator

import pytest

from tests.report.chromium import BINARY, Chromium


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    if BINARY is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with Chromium() as chromium:
        yield chromium
