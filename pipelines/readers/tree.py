"""What lies below a corpus' folder, whatever lies there: what cannot be a clip costs itself, is counted and is a finding."""

import os
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.readers.listing import Finding, Listing, Source, nfc, suffix_of
from space_data.errors import SpaceError
from space_data.store import Place

_FOLDER, _FILE, _DANGLING = "folder", "file", "link to nowhere"
_SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


@dataclass(frozen=True)
class Tree:
    """What lies below a folder: names relative to it, with ``/``, sorted."""

    files: list[str]
    linked_folders: list[str]
    """links to folders that were not entered"""
    dangling: list[str]
    """those of the files that are links which point nowhere"""
    left_out: list[tuple[str, Finding]]
    """what no reader may touch, and the words or suffix under which it is counted as ignored"""
    n_files: int
    """number of ``files``, which a reader of millions may clear"""

    def listing(
        self,
        sources: Iterable[Source],
        ignored: Iterable[str],
        findings: list[Finding],
        companions: int,
        counts: Counter[str],
        lost: int = 0,
    ) -> Listing:
        """The listing of a reader that sorted ``files`` into clips, companions and ``ignored`` ones."""
        ignored_by_suffix = Counter(suffix_of(name) or "without suffix" for name in ignored)
        ignored_by_suffix.update("linked folder" for _ in self.linked_folders)
        ignored_by_suffix.update(words for words, _ in self.left_out)
        n_files = self.n_files + len(self.linked_folders) + len(self.left_out)
        by_id = sorted(sources, key=lambda source: source.clip_id)
        found = findings + [Finding("lost", name, "the link points nowhere") for name in self.dangling]
        found += [finding for _, finding in self.left_out]
        return Listing(by_id, ignored_by_suffix, found, n_files, companions, lost, counts)


def walk(root: Place, follow_links: bool = True) -> Tree:
    """Everything below ``root``, a folder or a prefix of a bucket, which has neither links nor folders that cannot be read.

    Hidden files and folders are skipped. No file is looked at, so a million of them take seconds. Linked folders are entered
    once each and only if they lie outside ``root``: what lies inside is found without the link, and circles end. A link that
    points nowhere counts as a file: opening it says what is wrong. Folders that cannot be read, names that are not UTF-8 or
    differ only in their Unicode form, and what is no file at all are left out.

    Raises:
        SpaceError: ``root`` itself cannot be read.
    """
    if root.is_remote:
        kept, refused = _nameable([name for name in root.names(below=True) if "/." not in name and not name.startswith(".")])
        return Tree(kept, [], [], refused, len(kept))
    files: list[str] = []
    linked_folders: list[str] = []
    dangling: set[str] = set()
    left_out: list[tuple[str, Finding]] = []
    waiting = [""]
    entered = {root.resolved()}
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(f"{root.uri}/{folder}" if folder else root.uri) as found:
                entries = sorted(found, key=lambda entry: entry.name)  # which of two links is entered
        except OSError as error:
            if not folder:
                raise SpaceError(f"{root}: folder cannot be listed ({error.strerror})") from error
            left_out.append(("unreadable folder", Finding("not_entered", printable(folder), str(error.strerror))))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{folder}/{entry.name}" if folder else entry.name
            what = _what(entry)
            if what in (_FILE, _DANGLING):
                files.append(name)
                if what == _DANGLING:
                    dangling.add(name)
            elif what != _FOLDER:
                left_out.append(("not a file", Finding("not_a_file", printable(name), what)))
            elif not entry.is_symlink() or (follow_links and _is_outside(entry.path, entered)):
                waiting.append(name)
            else:
                linked_folders.append(name)
    kept, refused = _nameable(sorted(files))
    left_out = sorted(left_out + refused, key=lambda pair: pair[1].path)
    return Tree(kept, sorted(linked_folders), sorted(dangling & set(kept)), left_out, len(kept))


def _what(entry: os.DirEntry[str]) -> str:
    """``_FOLDER``, ``_FILE``, ``_DANGLING``, or in words why an entry is neither."""
    try:
        if entry.is_dir():
            return _FOLDER
        if entry.is_file():
            return _FILE
        return _SPECIAL.get(stat.S_IFMT(entry.stat().st_mode), "neither file nor folder")
    except FileNotFoundError:
        return _DANGLING if entry.is_symlink() else "gone while the folder was listed"
    except OSError as error:  # a link to itself, a link into a folder that may not be read
        return str(error.strerror)


def _is_outside(link: str, entered: set[str]) -> bool:
    """Whether a linked folder neither holds, nor lies in, one that is or will be entered; then it is one of them."""
    target = os.path.realpath(link)
    if any(os.path.commonpath((target, other)) in (target, other) for other in entered):
        return False
    entered.add(target)
    return True


def _nameable(files: list[str]) -> tuple[list[str], list[tuple[str, Finding]]]:
    """The files that a table can name, and those that it cannot, as ``Tree.left_out``."""
    if all(name.isascii() for name in files):
        return files, []
    forms = Counter(nfc(name) for name in files if not name.isascii())
    kept: list[str] = []
    refused: list[tuple[str, Finding]] = []
    for name in files:
        if not is_utf8(name):
            finding = Finding("misnamed", printable(name), "the name is not UTF-8 (rename it)")
        elif forms[nfc(name)] > 1:
            finding = Finding("collision", name, f"written {printable(name, ascii_only=True)} (rename one of them)")
        else:
            kept.append(name)
            continue
        refused.append((suffix_of(printable(name)) or "without suffix", finding))
    return kept, refused


def is_utf8(name: str) -> bool:
    """Whether a name from the file system can be written as UTF-8; other bytes come as lone surrogates."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def printable(name: str, ascii_only: bool = False) -> str:
    """A name as it can be printed: escaped if it is not UTF-8, or where every code point should be seen."""
    return name if is_utf8(name) and not ascii_only else ascii(name)[1:-1]
