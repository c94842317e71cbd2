"""An S3-compatible server for the tests of this directory, and a prefix of its own for each."""

from collections.abc import Iterator

import pytest

from hopcheck.schedule.outlets.destination import Bucket, destination
from tests.schedule.outlets.s3 import BUCKET, ENVIRONMENT, s3_server


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as url:
        yield url


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hopcheck.schedule.outlets.notify.PAUSES_S", (0.0, 0.0))


@pytest.fixture
def bucket(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Bucket:
    for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL_S3": s3_endpoint}).items():
        monkeypatch.setenv(name, value)
    # A prefix of its own for each test: none sees another's keys.
    made = destination(f"s3://{BUCKET}/{request.node.name.partition('[')[0]}")
    assert isinstance(made, Bucket)
    return made
