"""Packs: the results of many units in one object, which is also the record that these units are done.

``<cache>/<stage>/<shard>/<hash of the content>.pack`` is an uncompressed zip file: the files of every unit in a folder of its
number, and ``outcomes.json``. It appears whole or not at all, its name is the hash of its bytes, and a pack is never changed: two
attempts at one unit may both write theirs, since equal keys have equal results. Files that a unit leaves in ``BLOBS`` go to a
place of their own before; the pack names them, so it still commits all or nothing.
"""

import errno
import hashlib
import json
import logging
import os
import tempfile
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipelines.job.unit import Outcome
from space_data.store import Place

logger = logging.getLogger(__name__)

SUFFIX = ".pack"
OUTCOMES = "outcomes.json"
BLOBS = "blobs"
DEFAULTS = vars(Outcome(""))
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of every member: equal results, equal bytes."""
OPEN_PACKS = 128
"""At a time, in one reader: a shard of 2000 clips is some 70 packs."""
DAMAGED = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, EOFError, RuntimeError)
"""What a damaged zip file makes ``zipfile`` raise, which takes some damage for a newer format, or for encryption. And an OSError
of number EINVAL, where a damaged directory leads to before the file's beginning."""


@dataclass(frozen=True)
class Kept:
    """Where the result of a unit lies."""

    pack: Place
    number: int
    outcome: Outcome


def write_pack(folder: Place, results: Mapping[str, tuple[Outcome, Path]], blobs: Place) -> Place:
    """Write one pack of ``results`` (key → outcome, and the folder of the unit's files) into ``folder``.

    Args:
        folder: of the stage's shard.
        results: deterministic in their order only if the caller's is.
        blobs: where the files go that units left in ``BLOBS``.

    Raises:
        OSError: the store does not take it.
    """
    records = {}
    with tempfile.TemporaryFile() as buffer:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for number, (key, (outcome, made)) in enumerate(results.items()):
                sizes = dict(outcome.blobs)
                for file in sorted(Path(root, name) for root, _, names in os.walk(made) for name in names):
                    name = file.relative_to(made).as_posix()
                    if name.startswith(BLOBS + "/"):
                        (blobs / name.removeprefix(BLOBS + "/")).put(file)
                        sizes[name.removeprefix(BLOBS + "/")] = file.stat().st_size
                    else:
                        archive.writestr(zipfile.ZipInfo(f"{number}/{name}", LONG_AGO), file.read_bytes())
                facts = vars(outcome) | {"blobs": sizes}
                records[key] = {name: fact for name, fact in facts.items() if fact != DEFAULTS[name]}
            archive.writestr(zipfile.ZipInfo(OUTCOMES, LONG_AGO), json.dumps(records))
        buffer.seek(0)
        content = buffer.read()
    pack = folder / f"{hashlib.sha256(content).hexdigest()}{SUFFIX}"
    pack.put(content)
    return pack


def outcomes_in(pack: Place) -> dict[str, Outcome]:
    """Key → outcome of a pack, from the few bytes that hold them; a damaged pack is removed, and told.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with pack.open() as file, zipfile.ZipFile(file) as archive:
            records = json.loads(archive.read(OUTCOMES))
            return {key: Outcome(**record) for key, record in records.items()}
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        discard(pack, str(error))
        return {}


def discard(pack: Place, why: str) -> None:
    """Remove a damaged pack; what it held is computed again."""
    logger.warning("%s: a damaged kept result (%s): its units are computed again", pack, why)
    pack.delete()


def kept_in(folder: Place, distrusted: Collection[str] = ()) -> dict[str, Kept]:
    """Everything that the packs of one shard hold, by key.

    Where two packs hold a key, one that succeeded goes before one that failed, one of a run that is not ``distrusted`` before one
    that is, and more attempts before fewer.
    """

    def rank(outcome: Outcome) -> tuple[bool, bool, int]:
        return outcome.failed, outcome.run in distrusted, -outcome.attempts

    found: dict[str, Kept] = {}
    for pack in folder.files(SUFFIX):
        for number, (key, outcome) in enumerate(outcomes_in(pack).items()):
            if key not in found or rank(outcome) < rank(found[key].outcome):
                found[key] = Kept(pack, number, outcome)
    return found


class DamagedPackError(Exception):
    """A pack's bytes are not those that were written: it has been removed, and its units have to be computed again."""


class PackReader:
    """The files of units, from packs that have been verified (``with PackReader() as reader``).

    Units come in order of their ids, packs were filled in order of cost: each unit lies in another pack than the one before. So
    packs stay open, the least used one is closed, and none is hashed twice.
    """

    def __init__(self) -> None:
        self._verified: set[Place] = set()
        self._opened: OrderedDict[Place, tuple[zipfile.ZipFile, IO[bytes]]] = OrderedDict()

    def __enter__(self) -> "PackReader":
        return self

    def __exit__(self, *_: object) -> None:
        while self._opened:
            self._close_oldest()

    def _close_oldest(self) -> None:
        for opened in self._opened.popitem(last=False)[1]:
            opened.close()

    def _archive(self, pack: Place) -> zipfile.ZipFile:
        if pack not in self._opened:
            if pack not in self._verified and pack.sha256() != pack.name.removesuffix(SUFFIX):
                discard(pack, "its bytes have changed")
                raise DamagedPackError(str(pack))
            self._verified.add(pack)
            if len(self._opened) == OPEN_PACKS:
                self._close_oldest()
            file = pack.open()
            self._opened[pack] = zipfile.ZipFile(file), file
        self._opened.move_to_end(pack)
        return self._opened[pack][0]

    def read(self, kept: Kept, name: str) -> bytes | None:
        """The file ``name`` of a unit; None if it left none of that name.

        Raises:
            DamagedPackError: see there.
        """
        archive = self._archive(kept.pack)
        try:
            return archive.read(f"{kept.number}/{name}")
        except KeyError:
            return None

    def extract(self, kept: Kept, folder: Path) -> None:
        """Write all files of a unit into ``folder``."""
        archive, prefix = self._archive(kept.pack), f"{kept.number}/"
        for name in archive.namelist():
            if name.startswith(prefix):
                target = folder / name.removeprefix(prefix)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))


def missing_blobs(kept: Iterable[tuple[str, Kept]], blobs: Place) -> Iterator[str]:
    """Keys whose blobs are gone or have another size."""
    sizes: dict[str, int | None] = {}
    for key, entry in kept:
        for name, size in entry.outcome.blobs.items():
            sizes.setdefault(name, (blobs / name).info().size)
            if sizes[name] != size:
                yield key
                break
