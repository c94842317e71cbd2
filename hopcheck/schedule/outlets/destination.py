"""Where reports are published: a directory, or a bucket of S3 or of anything that speaks it.

Keys are paths relative to the reports directory ("<slug>/latest/report.html"), the same in both.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from hopcheck.catalogue.catalogue import text
from hopcheck.collect.ask import within
from hopcheck.config.options import UsageError
from hopcheck.report.store import replace_file

T = TypeVar("T")

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".xml": "application/xml",
    ".md": "text/markdown; charset=utf-8",
    ".prom": "text/plain; version=0.0.4; charset=utf-8",
    ".db": "application/vnd.sqlite3",
}
_AT_ONCE = 8
_LIMIT_S = 60.0  # of a call, its tries included: botocore limits each read, and one may trickle
_MOST_BYTES = 64 << 20
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed", "ConditionalRequestConflict", "409"})


class DestinationError(Exception):
    """The destination cannot be read or written; the message is one clear line."""


class ChangedMeanwhileError(DestinationError):
    """Somebody else has written the key since it was read."""


class Stored(bytes):
    """Content as read, and `version`: what a conditional write is held against."""

    version: str

    def __new__(cls, data: bytes, version: str = "") -> Stored:
        """`data` with its version."""
        made = super().__new__(cls, data)
        made.version = version
        return made


class Destination(Protocol):
    """A place for reports. All methods raise DestinationError."""

    name: str

    def read(self, key: str) -> Stored | None:
        """The content of `key`; None where there is none."""
        ...

    def write(self, key: str, data: bytes, *, replaces: str | None = None) -> None:
        """Put `data` there as a whole.

        With `replaces` ("" for: nothing) only if that version is still there, else
        ChangedMeanwhileError; a destination that cannot tell writes all the same.
        """
        ...

    def children(self, prefix: str) -> list[str]:
        """The names directly below `prefix` ("<slug>/"), sorted."""
        ...

    def delete_below(self, prefix: str) -> None:
        """Delete every key that begins with `prefix`."""
        ...


def destination(
    where: str, *, region: str | None = None, profile: str | None = None
) -> Destination:
    """The destination that ``publish`` names. Raises UsageError."""
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^\s]*))?", where)
    if match:
        return Bucket(match[1], (match[2] or "").strip("/"), region=region, profile=profile)
    if re.match(r"[a-z0-9]+://", where):
        raise UsageError(text("usage", "publish", value=where[:80]))
    return Directory(Path(where))


class Directory:
    """A directory, on a volume that whoever serves the reports can read."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.name = str(base)

    def read(self, key: str) -> Stored | None:
        """See Destination."""
        try:
            return Stored((self.base / key).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise DestinationError(str(error)) from None

    def write(self, key: str, data: bytes, *, replaces: str | None = None) -> None:  # noqa: ARG002
        """See Destination; by a rename, unconditionally."""
        path = self.base / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, data)
        except OSError as error:
            raise DestinationError(str(error)) from None

    def children(self, prefix: str) -> list[str]:
        """See Destination."""
        try:
            return sorted(path.name for path in (self.base / prefix).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DestinationError(str(error)) from None

    def delete_below(self, prefix: str) -> None:
        """See Destination."""
        try:
            shutil.rmtree(self.base / prefix)
        except FileNotFoundError:
            return
        except OSError as error:
            raise DestinationError(str(error)) from None


class Bucket:
    """A prefix of a bucket, by boto3 and its chain of credentials and endpoints."""

    def __init__(
        self, bucket: str, prefix: str, *, region: str | None = None, profile: str | None = None
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._region, self._profile = region, profile
        self._client_made: Any = None
        self._conditional = True
        self._silent_until = 0.0
        self.name = f"s3://{bucket}/{prefix}"

    def read(self, key: str) -> Stored | None:
        """See Destination; the version is the ETag."""

        def get() -> Stored | None:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
            data = answer["Body"].read(_MOST_BYTES + 1)
            if len(data) > _MOST_BYTES:
                raise DestinationError(f"{self.name}: GET {key}: > {_MOST_BYTES >> 20} MiB")
            return Stored(data, str(answer.get("ETag", "")))

        return self._asked(f"GET {key}", get, missing=None)

    def write(self, key: str, data: bytes, *, replaces: str | None = None) -> None:
        """See Destination; one PUT, which S3 shows as a whole or not at all."""
        kind = CONTENT_TYPES.get(Path(key).suffix, "application/octet-stream")
        # Whoever follows a stable link sees the newest; what has a name of its own never changes.
        stable = "/latest/" in f"/{key}" or "/" not in key
        more: dict[str, str] = {}
        if replaces is not None and self._conditional:
            more = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}

        def put() -> None:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._prefix + key,
                Body=data,
                ContentType=kind,
                CacheControl="no-cache" if stable else "max-age=86400, immutable",
                **more,
            )

        try:
            self._asked(f"PUT {key}", put)
        except _NotImplementedError:
            self._conditional = False
            self.write(key, data)

    def children(self, prefix: str) -> list[str]:
        """See Destination."""
        whole = self._prefix + prefix

        def listed() -> list[str]:
            found: list[str] = []
            for page in self._pages(prefix, Delimiter="/"):
                found += [one["Prefix"] for one in page.get("CommonPrefixes", ())]
                found += [one["Key"] for one in page.get("Contents", ())]
            return sorted(name.removeprefix(whole).strip("/") for name in found)

        return self._asked(f"LIST {prefix}", listed)

    def delete_below(self, prefix: str) -> None:
        """See Destination."""

        def delete() -> None:
            # A page has as many as one DeleteObjects takes.
            for page in list(self._pages(prefix)):
                if keys := [{"Key": one["Key"]} for one in page.get("Contents", ())]:
                    self._client.delete_objects(
                        Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
                    )

        self._asked(f"DELETE {prefix}", delete)

    def _pages(self, prefix: str, **more: str) -> Iterable[dict[str, Any]]:
        pages: Iterable[dict[str, Any]] = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix, **more
        )
        return pages

    @property
    def _client(self) -> Any:
        if self._client_made is None:
            import boto3
            from botocore.config import Config

            session = boto3.Session(profile_name=self._profile, region_name=self._region)
            self._client_made = session.client(
                "s3",
                config=Config(
                    connect_timeout=5,
                    read_timeout=15,
                    retries={"mode": "standard", "max_attempts": 4},
                    max_pool_connections=_AT_ONCE,
                ),
            )
        return self._client_made

    def _asked(self, what: str, call: Callable[[], T], **known: T) -> T:
        """The call's result; `missing` (if given) for a key that is not there."""
        from botocore.exceptions import ClientError

        if time.monotonic() < self._silent_until:  # one that hangs is not waited for call by call
            raise DestinationError(f"{self.name}: {what}: {text('why', 'timed_out')}")
        try:
            return within(_LIMIT_S, call)
        except TimeoutError:
            self._silent_until = time.monotonic() + _LIMIT_S
            raise DestinationError(f"{self.name}: {what}: {text('why', 'timed_out')}") from None
        except DestinationError:
            raise
        except ClientError as error:
            said = error.response.get("Error", {})
            code = str(said.get("Code", ""))
            if "missing" in known and code in _MISSING:
                return known["missing"]
            if code in _CHANGED:
                raise ChangedMeanwhileError(f"{self.name}: {what}: {code}") from None
            if code == "NotImplemented":
                raise _NotImplementedError(f"{self.name}: {what}: {code}") from None
            words = said.get("Message") or code
            raise DestinationError(f"{self.name}: {what}: {code}: {words}") from None
        except Exception as error:  # noqa: BLE001  # botocore's, urllib3's, a parser's
            raise DestinationError(f"{self.name}: {what}: {error}") from None


class _NotImplementedError(DestinationError):
    """An S3-compatible server without conditional writes."""


def stored(place: Destination, key: str, kind: type[T]) -> T | None:
    """What `key` holds as JSON, None where there is none; DestinationError for another content."""
    held = place.read(key)
    try:
        return msgspec.json.decode(held, type=kind) if held is not None else None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DestinationError(f"{place.name}/{key}: {error}") from None


def in_parallel(work: Callable[[T], None], items: Sequence[T]) -> list[str]:
    """Do `work` for each item on a few threads; [] or one line: what failed first, how much more.

    DestinationError alone is such a failure.
    """
    failed: list[str] = []

    def one(item: T) -> None:
        try:
            work(item)
        except DestinationError as error:
            failed.append(str(error))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(one, items))
    if len(failed) < 2:
        return failed
    return [text("note", "errors", first=failed[0], count=len(failed) - 1)]
