"""Directory and bucket alike: whole files, nothing invented, one clear line for what fails."""

from pathlib import Path

import pytest

from hopcheck.config.options import UsageError
from hopcheck.schedule.outlets.destination import (
    Bucket,
    ChangedMeanwhileError,
    Destination,
    DestinationError,
    Directory,
    destination,
    in_parallel,
    stored,
)
from hopcheck.schedule.outlets.notify import Memory
from tests.schedule.outlets.receiving import free_port
from tests.schedule.outlets.s3 import BUCKET


@pytest.fixture(params=["directory", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    if request.param == "directory":
        return Directory(tmp_path / "published")
    found: Bucket = request.getfixturevalue("bucket")
    return found


def test_what_is_written_can_be_read(place: Destination) -> None:
    assert place.read("a.example.com/latest/report.html") is None
    place.write("a.example.com/latest/report.html", b"<p>one")
    place.write("a.example.com/latest/report.html", b"<p>two")
    assert place.read("a.example.com/latest/report.html") == b"<p>two"


def test_what_is_stored_is_of_its_kind(place: Destination) -> None:
    assert stored(place, "notified.json", Memory) is None
    for held in (b"{", b'{"format": "\xff"}', b"[]"):
        place.write("notified.json", held)
        with pytest.raises(DestinationError, match=r"/notified\.json: "):
            stored(place, "notified.json", Memory)


def test_children_and_deleting(place: Destination) -> None:
    assert place.children("a/") == []
    for key in ("a/1/x.json", "a/1/y.json", "a/2/x.json", "ab/1/x.json", "index.html"):
        place.write(key, b"{}")
    assert place.children("a/") == ["1", "2"]
    place.delete_below("a/1/")
    place.delete_below("a/1/")
    assert place.children("a/") == ["2"]
    assert place.read("ab/1/x.json") == b"{}"


def test_a_write_may_depend_on_what_was_read(bucket: Bucket) -> None:
    bucket.write("history.db", b"1", replaces="")
    with pytest.raises(ChangedMeanwhileError):
        bucket.write("history.db", b"other", replaces="")
    held = bucket.read("history.db")
    assert held is not None
    bucket.write("history.db", b"2", replaces=held.version)
    with pytest.raises(ChangedMeanwhileError):
        bucket.write("history.db", b"late", replaces=held.version)
    assert bucket.read("history.db") == b"2"


def test_types_and_caching_are_what_a_browser_needs(bucket: Bucket) -> None:
    bucket.write("a/latest/report.html", b"")
    bucket.write("a/20260225T030000Z-0000/report.html", b"")
    heads = [
        bucket._client.head_object(Bucket=BUCKET, Key=f"{bucket._prefix}{key}")
        for key in ("a/latest/report.html", "a/20260225T030000Z-0000/report.html")
    ]
    assert [head["ContentType"] for head in heads] == ["text/html; charset=utf-8"] * 2
    assert [head["CacheControl"] for head in heads] == ["no-cache", "max-age=86400, immutable"]


def test_more_keys_than_a_page_holds(bucket: Bucket) -> None:
    keys = [f"a/{n:04}/x" for n in range(1005)]
    assert in_parallel(lambda key: bucket.write(key, b""), keys) == []
    assert len(bucket.children("a/")) == 1005
    bucket.delete_below("a/")
    assert bucket.children("a/") == []


def test_no_such_bucket_and_no_such_server(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = destination("s3://no-such-bucket/x")
    with pytest.raises(DestinationError, match="NoSuchBucket"):
        missing.write("a", b"")
    with pytest.raises(DestinationError, match="NoSuchBucket"):
        missing.children("a/")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(DestinationError, match="s3://b-c/x: GET a"):
        destination("s3://b-c/x").read("a")


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DestinationError):
        Directory(tmp_path / "file").write("a/b", b"")


@pytest.mark.parametrize("where", ["s3://", "s3://B", "gs://bucket/x", "s3://bucket/a b"])
def test_what_is_no_destination(where: str) -> None:
    with pytest.raises(UsageError, match="s3://BUCKET/PREFIX"):
        destination(where)
