"""Votes on disk: one SQLite file that survives a killed process and a lost power supply.

The journal is a write-ahead log, flushed at every commit (``synchronous=FULL``): a vote that `add_vote` returned from is there
after ``kill -9``. The first answer to a question stands; to give it again changes nothing.
"""

import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evaluation.study.manifest import Answer, Study
from space_data.errors import SpaceError

RATER_BYTES = 16
BUSY_S = 30.0
"""How long to wait for another process that writes."""
TABLES = """
CREATE TABLE IF NOT EXISTS study (study_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raters (rater TEXT PRIMARY KEY, list INTEGER NOT NULL, began TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS votes (
    rater TEXT NOT NULL REFERENCES raters, trial TEXT NOT NULL, question TEXT NOT NULL,
    answer TEXT NOT NULL CHECK (answer IN ('a', 'b', 'tie')), seconds REAL NOT NULL, plays INTEGER NOT NULL, stored TEXT NOT NULL,
    PRIMARY KEY (rater, trial, question)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Vote:
    """One answer of one rater, as the page gives it."""

    rater: str
    trial: str
    question: str
    answer: Answer
    seconds: float
    """from the question to the answer, presentation included"""
    plays: int


@dataclass(frozen=True)
class Session:
    """A rater's number among the lists, and the answers given so far."""

    rater: str
    list_number: int
    votes: tuple[Vote, ...]


class UnknownRater(SpaceError):
    """No session of that name."""


class Votes:
    """The database of one study; may be used by many threads.

    Raises:
        SpaceError: the file belongs to another study, or is no database.
    """

    def __init__(self, path: Path, study: Study) -> None:
        self._study, self._lock = study, threading.Lock()
        try:
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(TABLES)
        except sqlite3.DatabaseError as error:
            raise SpaceError(f"{path}: cannot be used as a database of votes ({error})") from error
        with self._writing() as connection:
            found = connection.execute("SELECT study_id FROM study").fetchone()
            if found is None:
                connection.execute("INSERT INTO study VALUES (?)", (study.study_id,))
        if found is not None and found[0] != study.study_id:
            self.close()
            raise SpaceError(f"{path}: votes of study {found[0]}, need {study.study_id} (was the study built anew?)")

    def begin(self) -> Session:
        """A new rater with a random name, on the list that fewest have (of those, the first)."""
        rater = secrets.token_hex(RATER_BYTES)
        with self._writing() as connection:
            taken = dict(connection.execute("SELECT list, COUNT(*) FROM raters GROUP BY list").fetchall())
            number = min(range(len(self._study.lists)), key=lambda i: (taken.get(i, 0), i))
            connection.execute("INSERT INTO raters VALUES (?, ?, ?)", (rater, number, _now()))
        return Session(rater, number, ())

    def resume(self, rater: str) -> Session:
        """A rater who comes back.

        Raises:
            UnknownRater: nobody of that name began.
        """
        return Session(rater, self.list_of(rater), tuple(vote for vote in self.all() if vote.rater == rater))

    def list_of(self, rater: str) -> int:
        """Number of the rater's list.

        Raises:
            UnknownRater: nobody of that name began.
        """
        with self._lock:
            found = self._connection.execute("SELECT list FROM raters WHERE rater = ?", (rater,)).fetchone()
        if found is None:
            raise UnknownRater(f"rater {rater[:RATER_BYTES]!r}: never began")
        return found[0]

    def add_vote(self, vote: Vote) -> str:
        """Store a vote; the answer that stands, which is an earlier one where there is one. Returns after the commit."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (rater, trial, question) DO NOTHING",
                (vote.rater, vote.trial, vote.question, vote.answer, vote.seconds, vote.plays, _now()),
            )
            key = (vote.rater, vote.trial, vote.question)
            stands = "SELECT answer FROM votes WHERE rater = ? AND trial = ? AND question = ?"
            return connection.execute(stands, key).fetchone()[0]

    def all(self) -> list[Vote]:
        """Every vote, in the order of its key."""
        with self._lock:
            rows = self._connection.execute("SELECT rater, trial, question, answer, seconds, plays FROM votes").fetchall()
        return [Vote(*row) for row in rows]

    def lists(self) -> dict[str, int]:
        """List number by rater."""
        with self._lock:
            return dict(self._connection.execute("SELECT rater, list FROM raters ORDER BY rater").fetchall())

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other thread or process can come between."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
