"""The committed state of a stage's tables: one small file that says which shards they consist of.

``<stage folder>/manifest.json`` is put last, in one step, for all tables of a stage together. Readers follow it and never list a
folder: a shard that is missing or has another size is an error, one that the manifest does not name is not there.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from space_data.errors import SpaceError
from space_data.store import Place

MANIFEST = "manifest.json"
LEVELS = 3
"""A table lies so many folders below its manifest at most: ``<stage>/<table>/<partition>/``."""


@dataclass(frozen=True)
class Shard:
    """One file of a table."""

    file: str
    """path relative to the manifest's folder"""
    sha256: str
    size: int
    """bytes"""
    rows: int
    part: int
    """number of the shard; clips of one number lie in the shards of that number of all tables"""


@dataclass(frozen=True)
class Ids:
    """A set of ids without its members: sums and exclusive ors of hashes can be added up over shards."""

    count: int = 0
    digest: str = "0" * 16

    @staticmethod
    def of(ids: Iterable[str]) -> "Ids":
        """Of ids that are all different."""
        total, count = 0, 0
        for each in ids:
            total ^= int.from_bytes(hashlib.blake2b(each.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
            count += 1
        return Ids(count, f"{total:016x}")

    def __add__(self, other: "Ids") -> "Ids":
        return Ids(self.count + other.count, f"{int(self.digest, 16) ^ int(other.digest, 16):016x}")


@dataclass(frozen=True)
class Manifest:
    """What a stage made, of what, and with what."""

    stage: str
    parts: int
    """number of shards of each table (and partition of one)"""
    tables: dict[str, list[Shard]]
    """by path below the stage's folder, in order of their parts"""
    counts: dict[str, int] = field(default_factory=dict)
    """number of units per status"""
    inputs: list[Ids] = field(default_factory=list)
    """per part: the ids that came in"""
    outputs: list[Ids] = field(default_factory=list)
    """per part: the ids that the next stage gets"""
    upstream: dict[str, str] = field(default_factory=dict)
    """of the stages that this one has read: the hash of what is in their tables"""
    made_with: dict[str, str] = field(default_factory=dict)
    """settings, code and kinds of the machines that the units were computed on, now or in an earlier run: equal tables are
    promised for equal ones"""

    def to_json(self) -> bytes:
        """The file's content."""
        return (json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @staticmethod
    def from_json(content: bytes) -> "Manifest":
        """From the file's content; ValueError, KeyError, TypeError, AttributeError or RecursionError if it is none."""
        facts: dict[str, Any] = json.loads(content)
        facts["tables"] = {name: [Shard(**shard) for shard in shards] for name, shards in facts["tables"].items()}
        for file in (shard.file for shards in facts["tables"].values() for shard in shards):
            if file.startswith("/") or ".." in file.split("/"):
                raise ValueError(f"shard {file!r} leads out of its folder")
        for name in ("inputs", "outputs"):
            facts[name] = [Ids(**ids) for ids in facts[name]]
        return Manifest(**facts)

    def shards(self, table: str) -> list[Shard]:
        """The shards of a table, or of a folder of partitions, in order of their paths."""
        return [s for name in sorted(self.tables) if name == table or name.startswith(f"{table}/") for s in self.tables[name]]

    def content_sha256(self) -> str:
        """Hash of what is in the tables, whatever code and settings made them: what later stages rest on.

        The ledger is left out, whose rows name code and settings: else a changed rule that decides as before would move all that
        follows.
        """
        shards = {table: [shard.sha256 for shard in own] for table, own in self.tables.items() if table != "ledger"}
        return hashlib.sha256(json.dumps(shards, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Place) -> Manifest | None:
    """The manifest in ``folder``; None if there is none.

    Raises:
        SpaceError: it is damaged.
    """
    place = folder / MANIFEST
    if not place.is_file():
        return None
    try:
        return _parsed(place.read())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpaceError(f"{place}: a damaged manifest ({error}); delete it and run the stage again") from error


@lru_cache(maxsize=8)
def _parsed(content: bytes) -> Manifest:
    """A manifest of 500 shards takes 20 ms to parse, and every shard's plan looks into some. Nobody changes one in place."""
    return Manifest.from_json(content)


def committed(folder: Place, stage: str) -> Manifest:
    """The manifest of a stage that must have run.

    Raises:
        SpaceError: it has not.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise SpaceError(f"{folder}: no such tables (run the stage that writes them: `dvc repro {stage}`)")
    return manifest


def shard_places(table: Place) -> list[Place] | None:
    """The files of the table at ``table``, by the manifest above it; None if there is no manifest.

    Raises:
        SpaceError: a shard is missing or has another size than was written; the manifest knows no such table.
    """
    found = _manifest_above(table)
    if found is None:
        return None
    folder, manifest, below = found
    shards = manifest.shards(below)
    if not shards:
        raise SpaceError(f"{table}: no such table in {folder / MANIFEST} (it has {', '.join(sorted(manifest.tables))})")
    return [_checked(folder, shard) for shard in shards]


def shards_of(table: Place) -> list[Shard]:
    """What the manifest above a table says of its shards, hashes and all; [] if there is no manifest."""
    found = _manifest_above(table)
    return [] if found is None else found[1].shards(found[2])


def is_named(table: Place) -> bool:
    """Whether a manifest above it names the table; its shards may be damaged or gone all the same."""
    found = _manifest_above(table)
    return found is not None and bool(found[1].shards(found[2]))


def _manifest_above(table: Place) -> tuple[Place, Manifest, str] | None:
    """The stage's folder, its manifest, and the path of the table below it."""
    below, folder = table.name, table.parent
    for _ in range(LEVELS):
        manifest = read_manifest(folder)
        if manifest is not None:
            return folder, manifest, below
        below, folder = f"{folder.name}/{below}", folder.parent
    return None


def _checked(folder: Place, shard: Shard) -> Place:
    place = folder / shard.file
    info = place.info()
    if not info.is_file:
        raise SpaceError(f"{place}: this shard is gone (deleted by hand? run the stage that writes it again)")
    if info.size != shard.size:
        raise SpaceError(f"{place}: {info.size} bytes, need {shard.size} (damaged? run the stage that writes it again)")
    return place


def is_intact(place: Place, shard: Shard) -> bool:
    """Whether the bytes at ``place`` are those that were written. Others are marked as written to now: a run looks at the shards
    of its own stage again only if they were, and then replaces them."""
    intact = place.sha256() == shard.sha256
    if not intact:
        place.mark_changed()
    return intact
