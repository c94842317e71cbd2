"""reports/history.db: a row for each run and each of its steps.

The journal is a rollback journal (TRUNCATE), never WAL, whose shared memory does not work on
network file systems (https://www.sqlite.org/wal.html). Every write is one transaction, so a kill
at any point leaves a whole run or none; writers wait for each other for a few seconds at most.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hopcheck.catalogue.catalogue import text
from hopcheck.history.runs import Reported, Row, read_report, run_directories
from hopcheck.model import Report, Verdict
from hopcheck.report.store import HISTORY, Day, locked

T = TypeVar("T")

_VERSION = 1
_APPLICATION = 0x686F7063  # "hopc"
_WAIT_S = 5.0
_DAY_S = 86_400
_IMPORTED = 200  # newest run directories of a host that are read again where rows are missing
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  slug TEXT NOT NULL,
  directory TEXT NOT NULL,
  host TEXT NOT NULL,
  url TEXT NOT NULL,
  started_at TEXT NOT NULL,
  at REAL NOT NULL,
  duration_s REAL NOT NULL,
  verdict TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  headline TEXT NOT NULL,
  root_causes TEXT NOT NULL,
  seen INTEGER NOT NULL,
  complete INTEGER NOT NULL,
  strict INTEGER NOT NULL,
  since TEXT,
  UNIQUE (slug, directory)
);
CREATE TABLE steps (
  run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
  step TEXT NOT NULL,
  status TEXT NOT NULL,
  duration_s REAL NOT NULL,
  PRIMARY KEY (run, step)
) WITHOUT ROWID;
CREATE INDEX runs_by_time ON runs (slug, at);
"""
_COLUMNS = Row.__struct_fields__
# The worst of a day first.
_WORST = (Verdict.BROKEN, Verdict.DEGRADED, Verdict.UNKNOWN, Verdict.HEALTHY)


class HistoryError(Exception):
    """The history cannot be read or written; the message is one clear line."""


class History:
    """The history of the reports directory `base`, opened (and made) at the first use.

    Usable as a context manager. All methods raise HistoryError. `said` holds a line for people
    after a damaged file was set aside.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._file = base / HISTORY
        self._connection: sqlite3.Connection | None = None
        self.said: str | None = None

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; it is opened again by the next use."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    # --- reading ---------------------------------------------------------------------------

    def newest(self, slug: str, until: str | None = None) -> Row | None:
        """The newest complete run (that began not later than `until`)."""
        return next(iter(self.runs(slug, 1, until=until, complete=True)), None)

    def healthy(self, slug: str, until: str | None = None, limit: int = 1) -> tuple[Row, ...]:
        """The newest complete and healthy runs."""
        return self.runs(slug, limit, until=until, complete=True, verdict=Verdict.HEALTHY)

    def runs(
        self,
        slug: str,
        limit: int = 100,
        *,
        until: str | None = None,
        complete: bool = False,
        verdict: Verdict | None = None,
    ) -> tuple[Row, ...]:
        """The newest runs of a slug, newest first."""
        where, values = "slug = ?", [slug]
        if until is not None:
            where += " AND at <= ?"
            values.append(str(posix(until)))
        if complete:
            where += " AND complete"
        if verdict is not None:
            where += " AND verdict = ?"
            values.append(verdict.value)
        query = (  # no text of others in it
            f"SELECT {', '.join(_COLUMNS)} FROM runs WHERE {where} "  # noqa: S608
            f"ORDER BY at DESC, id DESC LIMIT {limit}"
        )

        def read(connection: sqlite3.Connection) -> tuple[Row, ...]:
            return tuple(_row(values) for values in connection.execute(query, values))

        found = self._guarded(read)
        # Where the slug has no row at all, its directories are read first.
        return self._guarded(read) if not found and self.catch_up(slug) else found

    def all_days(self, until: str, n: int = 7) -> dict[str, tuple[Day, ...]]:
        """The last `n` UTC days of every slug with a run in them, oldest first.

        The last is that of `until` (RFC 3339).
        """
        last = dt.datetime.fromtimestamp(posix(until), dt.UTC).date()
        dates = [(last - dt.timedelta(days=back)).isoformat() for back in range(n - 1, -1, -1)]
        begin = posix(dates[0])

        def read(connection: sqlite3.Connection) -> dict[str, dict[str, dict[str, int]]]:
            found: dict[str, dict[str, dict[str, int]]] = {}
            for slug, date, verdict, count in connection.execute(
                "SELECT slug, date(at, 'unixepoch'), verdict, count(*) FROM runs "
                "WHERE complete AND at >= ? AND at < ? GROUP BY 1, 2, 3",
                (begin, begin + n * _DAY_S),
            ):
                found.setdefault(slug, {}).setdefault(date, {})[verdict] = count
            return found

        return {
            slug: tuple(_day(date, days.get(date, {})) for date in dates)
            for slug, days in self._guarded(read).items()
        }

    # --- writing ---------------------------------------------------------------------------

    def record(self, slug: str, report: Report, directory: str) -> None:
        """Add a run that was written to `directory` (its name); once, however often it is told."""
        from hopcheck.report.json import to_dict

        self._add(slug, {directory: msgspec.convert(to_dict(report), type=Reported)})

    def catch_up(self, slug: str) -> int:
        """Add the run directories of `slug` that have no row; how many there were."""

        def known(connection: sqlite3.Connection) -> set[str]:
            return {
                row[0]
                for row in connection.execute("SELECT directory FROM runs WHERE slug = ?", (slug,))
            }

        have = self._guarded(known)
        home = self._base / slug
        names = [name for name in run_directories(home) if name not in have][-_IMPORTED:]
        found = {name: run for name in names if (run := read_report(home / name)) is not None}
        if found:
            self._add(slug, found)
        return len(found)

    def forget(self, slug: str, before: float, most: int, keep: frozenset[str]) -> None:
        """Delete the rows of runs that began before `before`, and all but the newest `most`.

        Those of the directories in `keep` stay.
        """

        def write(connection: sqlite3.Connection) -> None:
            rows = connection.execute(
                "SELECT id, directory, at FROM runs WHERE slug = ? ORDER BY at DESC, id DESC",
                (slug,),
            ).fetchall()
            gone = [
                (row,)
                for place, (row, directory, at) in enumerate(rows)
                if (at < before or place >= most) and directory not in keep
            ]
            if gone:
                with _transaction(connection):
                    connection.executemany("DELETE FROM runs WHERE id = ?", gone)

        self._guarded(write)

    def _add(self, slug: str, runs: dict[str, Reported]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                for directory, run in runs.items():
                    _insert(connection, run.row(slug, directory), run)

        self._guarded(write)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """All that is written in the block as one transaction: many runs cost one sync of the disk.

        Raises HistoryError.
        """
        connection = self._guarded(lambda opened: opened)
        try:
            with _transaction(connection):
                yield
        except sqlite3.Error as error:
            self.close()
            raise HistoryError(self._said("history", error=error)) from None

    # --- the file --------------------------------------------------------------------------

    def _guarded(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` on the open database; once more on a new one where the file is damaged."""
        try:
            try:
                return work(self._open())
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._set_aside()
                return work(self._open())
        except sqlite3.Error as error:
            self.close()
            raise HistoryError(self._said("history", error=error)) from None
        except OSError as error:
            raise HistoryError(self._said("history", error=error.strerror or error)) from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self._base.mkdir(parents=True, exist_ok=True)
        # check_same_thread: reports may be written in a worker thread, one after the other.
        connection = sqlite3.connect(
            self._file, timeout=_WAIT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            connection.execute("PRAGMA synchronous = FULL")
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if _pragma(connection, "application_id") != _APPLICATION:
            with _transaction(connection):
                tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                if tables and _pragma(connection, "application_id") != _APPLICATION:
                    raise HistoryError(self._said("not_ours"))
                if not tables:
                    for statement in _SCHEMA.split(";"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                    connection.execute(f"PRAGMA user_version = {_VERSION}")
        version = _pragma(connection, "user_version")
        if version > _VERSION:
            raise HistoryError(self._said("newer", version=version))

    def _said(self, key: str, **params: object) -> str:
        return text("note", key, file=self._file, **params)

    def _set_aside(self) -> None:
        """Rename the damaged file, and its journal, which belongs to it; a new one is made next."""
        self.close()
        with locked(self._base):
            # Another process may have done it while this one waited.
            if not _still_damaged(self._file):
                return
            stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
            aside = self._base / f"{HISTORY}.damaged-{stamp}-{secrets.token_hex(2)}"
            for suffix in ("-journal", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    Path(f"{self._file}{suffix}").rename(f"{aside}{suffix}")
            self._file.rename(aside)
            self.said = self._said("damaged", aside=aside.name)


def posix(moment: str) -> float:
    """RFC 3339 as a POSIX time; 0.0 for what is no time."""
    try:
        when = dt.datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()


def _day(date: str, verdicts: dict[str, int]) -> Day:
    worst = next((verdict for verdict in _WORST if verdict.value in verdicts), None)
    return Day(date, sum(verdicts.values()), worst, verdicts)


def _row(values: tuple[Any, ...]) -> Row:
    named = dict(zip(_COLUMNS, values, strict=True))
    named["root_causes"] = json.loads(named["root_causes"])
    return msgspec.convert(named, Row, strict=False)  # SQLite's 0 and 1 are booleans


def _insert(connection: sqlite3.Connection, row: Row, run: Reported) -> None:
    named = msgspec.structs.asdict(row) | {
        "at": posix(row.started_at),
        "root_causes": json.dumps(row.root_causes),
    }
    marks = ", ".join(f":{name}" for name in named)
    done = connection.execute(
        f"INSERT OR IGNORE INTO runs ({', '.join(named)}) VALUES ({marks})",  # noqa: S608  # no text of others in it
        named,
    )
    if done.rowcount:
        # The last of a step that a damaged report.json names twice.
        steps = {
            one.step: (done.lastrowid, one.step, one.status, one.duration_s) for one in run.steps
        }
        connection.executemany("INSERT INTO steps VALUES (?,?,?,?)", steps.values())


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    if connection.in_transaction:  # a batch: its end is the end of this, too
        yield
        return
    # IMMEDIATE: the lock is taken (and waited for) at once; a reader that becomes a writer could
    # not wait.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _still_damaged(file: Path) -> bool:
    with contextlib.closing(sqlite3.connect(file, timeout=1.0)) as connection:
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
        except sqlite3.DatabaseError as error:
            return _is_damage(error)
