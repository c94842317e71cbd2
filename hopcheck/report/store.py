"""The reports directory: runs are written whole or not at all; the rows of its index."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from hopcheck.config.target import mark_of
from hopcheck.model import Report, Target, Verdict

LATEST = "latest"
INDEX = "index.html"
HISTORY = "history.db"  # and what stands beside it: a journal, damaged ones set aside
_LOCK_WAIT_S = 2.0
_SLUG_LENGTH = 100


class Day(msgspec.Struct, frozen=True):
    """One UTC day of a host: how many complete runs had which verdict, and the worst of them."""

    date: str  # "2026-02-25"
    runs: int = 0
    worst: Verdict | None = None  # None: no run that day
    verdicts: dict[str, int] = {}


class IndexRow(msgspec.Struct, frozen=True):
    """One row of index.html: a slug's newest run. `link` is relative to the reports directory."""

    host: str
    url: str
    verdict: str
    headline: str
    started_at: str
    link: str = ""  # of the directory: report.json, from which the rest is read, has none
    since: str | None = None  # RFC 3339; None: healthy, or not known
    days: tuple[Day, ...] = ()  # oldest first, the last is today; empty: no history


def slug(target: Target) -> str:
    """A directory name for `target`: its host, and a short hash unless it is https://host/.

    Letters, digits, dots and hyphens, at most 109 characters. The hash also stands where the host
    had to be changed (IPv6, too long, hostile); its underscore is in no unchanged host.
    """
    safe = re.sub(r"[^a-z0-9.-]", "-", target.host)[:_SLUG_LENGTH].strip(".") or "host"
    if target.url == f"https://{safe}/" and not safe.startswith((INDEX, HISTORY)):
        return safe
    # A mark may come from a stored file: it becomes a name only if it is one.
    mark = target.mark if re.fullmatch(r"[0-9a-f]{8}", target.mark) else mark_of(target)
    return f"{safe}_{mark}"


def run_name(home: Path, when: datetime) -> str:
    """A name for a run directory below `home` that nothing has yet."""
    stamp = when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    while True:
        name = f"{stamp}-{secrets.token_hex(2)}"
        if not (home / name).exists():
            return name


def write_run(
    base: Path,
    slug: str,
    report: Report,
    files: Mapping[str, bytes],
    when: datetime,
    *,
    all_selected: bool = True,
    name: str | None = None,
) -> Path:
    """Write `files` (name -> content) as one run and return its directory.

    `name` is the directory's, from `run_name`; one is made where none is given. It appears by one
    rename, after everything in it is on disk. `latest` then names it, if the report is complete and
    all seven steps were selected (`all_selected`).
    Raises OSError if the directory cannot be written; then nothing of the run is left.
    """
    home = base / slug
    home.mkdir(parents=True, exist_ok=True)
    name = name or run_name(home, when)
    hidden = home / f".{name}-{os.getpid()}"
    try:
        hidden.mkdir()
        for file_name, content in files.items():
            write_file(hidden / file_name, content)
        _sync_directory(hidden)
        hidden.rename(home / name)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    _sync_directory(home)
    if report.complete and all_selected:
        _point_latest(home, name)
    return home / name


def write_file(path: Path, content: bytes) -> None:
    """Write `content` and have it on disk."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all. Raises OSError."""
    hidden = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(2)}")
    try:
        write_file(hidden, content)
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


def _sync_directory(path: Path) -> None:
    # Some file systems (SMB, FUSE over S3) have no fsync for directories: a rename is all they do.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _point_latest(home: Path, name: str) -> None:
    """Make `latest` a relative symlink to `name`, or a copy of it where links do not exist."""
    new = home / f".{LATEST}-{name}-{os.getpid()}"
    latest = home / LATEST
    try:
        try:
            new.symlink_to(name, target_is_directory=True)
        except (OSError, NotImplementedError):
            shutil.copytree(home / name, new)
        if latest.is_dir() and not latest.is_symlink():
            # A directory cannot be replaced by rename: the old copy steps aside first.
            old = home / f".{LATEST}-old-{name}-{os.getpid()}"
            latest.rename(old)
            new.rename(latest)
            shutil.rmtree(old, ignore_errors=True)
        else:
            new.replace(latest)
    except BaseException:
        if new.is_dir() and not new.is_symlink():
            shutil.rmtree(new, ignore_errors=True)
        else:
            new.unlink(missing_ok=True)
        raise
    _sync_directory(home)


@contextlib.contextmanager
def locked(base: Path) -> Iterator[None]:
    """Hold the index's lock, if it can be had soon: a stale index is better than a hang."""
    import fcntl

    with (base / ".lock").open("w") as file:
        until = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    break
                time.sleep(0.02)
            except OSError:  # a file system without locks
                break
        yield
