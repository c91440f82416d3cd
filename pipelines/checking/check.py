"""``space data check``: is this folder the corpus it should be? Totals against the published ones, and what is wrong with it.

The reader finds what names and tables tell (misnamed, missing, unmatched, the same take twice). Here the files themselves are
looked at: empty ones, equal content under two names, and on request what their headers say (``check_headers``).
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from pipelines.checking.headers import probe_all
from pipelines.readers import Source, list_sources, published
from pipelines.readers.listing import ERROR, FINDINGS, Finding
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.store import Place

SAMPLE_BYTES = 4096
"""Files of one size are compared by so many bytes of their middle before they are read whole."""
COLOURS = {"error": "red", "warning": "yellow", "note": "dim"}


@dataclass(frozen=True)
class Total:
    """How many of something are here, and how many the whole corpus has (None: not published)."""

    what: str
    found: float
    published: float | None
    source: str


@dataclass(frozen=True)
class Report:
    """What was found; ``consistent`` if no finding is an error: a part of a corpus is."""

    dataset: str
    root: str
    files: int
    clips: int
    companions: int
    ignored: dict[str, int]
    totals: list[Total]
    findings: list[Finding]

    @property
    def consistent(self) -> bool:
        """Whether nothing is wrong."""
        return not any(FINDINGS[finding.kind][0] == ERROR for finding in self.findings)


def check(reader: str, root: Place, look_at_contents: bool = True, look_into_headers: bool = False, workers: int = 1) -> Report:
    """Reconcile the folder ``root`` with the corpus that ``reader`` knows.

    Args:
        look_at_contents: compare files of equal size (reads 4 kB of each, and wholly those that seem equal).
        look_into_headers: open every file; sound, picture and annotation are compared.
        workers: processes that open them.

    Raises:
        SpaceError: no such reader or folder, no video in it, or the reader lost count of a file.
    """
    listing = list_sources(reader, root)
    if listing.unaccounted():
        raise SpaceError(f"{root}: {listing.unaccounted()} files unaccounted for (a fault of reader {reader!r})")
    findings = listing.findings + repeated_clips(listing.sources)
    counts: dict[str, float] = dict(listing.counts)
    empty, sizes = file_sizes(root, listing.sources)
    known = {finding.path for finding in findings if finding.kind == "lost"}
    findings += [finding for finding in empty if finding.path not in known]
    if look_at_contents:
        findings += equal_contents(root, sizes)
    if look_into_headers:
        probed = probe_all(reader, root, listing.sources, workers)
        findings += [finding for answer in probed for finding in answer.findings]
        counts["hours"] = sum(answer.seconds for answer in probed) / 3600
    findings = [finding for finding in findings if finding.path not in listing.planted]
    totals = _totals(counts, reader)
    findings += [
        Finding("impossible", total.what, f"{total.found:,.10g} here, {total.published:,.10g} published ({total.source})")
        for total in totals
        if total.published is not None and total.found > total.published * (1.01 if total.what == "hours" else 1)
    ]
    order = {kind: position for position, kind in enumerate(FINDINGS)}
    findings.sort(key=lambda finding: (order[finding.kind], finding.path, finding.detail))
    ignored = dict(sorted(listing.ignored.items()))
    return Report(reader, str(root), listing.files, len(listing.sources), listing.companions, ignored, totals, findings)


def _totals(counts: dict[str, float], reader: str) -> list[Total]:
    """What was counted, and what is published, in the order of the latter."""
    whole = published(reader)
    names = [name for name in whole if name in counts] + sorted(set(counts) - set(whole))
    return [
        Total(name, counts[name], whole[name].number if name in whole else None, whole[name].source if name in whole else "")
        for name in names
    ]


def repeated_clips(sources: list[Source]) -> list[Finding]:
    """Clip ids that occur twice: the pipeline could not tell them apart."""
    n = Counter(source.clip_id for source in sources)
    return [Finding("duplicate", clip_id, f"{times} files would have this clip id") for clip_id, times in n.items() if times > 1]


def file_sizes(root: Place, sources: Iterable[Source]) -> tuple[list[Finding], dict[int, list[str]]]:
    """Empty and unreachable files as findings; the other files of the clips by size in bytes."""
    paths = sorted({path for source in sources for path in source.files})
    findings = []
    by_size: dict[int, list[str]] = defaultdict(list)
    for path in paths:
        try:
            size = (root / path).size()
        except OSError as error:
            findings.append(Finding("lost", path, f"cannot be opened ({error.strerror})"))
            continue
        if size:
            by_size[size].append(path)
        else:
            findings.append(Finding("empty", path))
    return findings, by_size


def equal_contents(root: Place, by_size: dict[int, list[str]]) -> list[Finding]:
    """Files with the same bytes as an earlier one."""
    groups = [(size, paths) for size, paths in sorted(by_size.items()) if len(paths) > 1]
    findings = []
    with progress.bar("equal contents", sum(len(paths) for _, paths in groups)) as advance:
        for size, paths in groups:
            alike = defaultdict(list)
            for path in paths:
                advance()
                try:
                    alike[_sample(root / path, size)].append(path)
                except OSError as error:
                    findings.append(Finding("unreadable", path, str(error.strerror)))
            hashes: dict[str, str] = {}
            for path in (path for similar in alike.values() if len(similar) > 1 for path in similar):
                try:
                    first = hashes.setdefault((root / path).sha256(), path)
                except OSError as error:
                    findings.append(Finding("unreadable", path, str(error.strerror)))
                    continue
                if first != path:
                    detail = f"the same {size:,} bytes as {first}"
                    findings.append(Finding("duplicate", path, detail))
    return findings


def _sample(place: Place, size: int) -> bytes:
    """Hash of a few bytes from the middle of a file, where encoded pictures differ and headers do not lie."""
    with place.open() as file:
        file.seek(max(0, (size - SAMPLE_BYTES) // 2))
        return hashlib.sha256(file.read(SAMPLE_BYTES)).digest()


def write_json(report: Report, path: Path) -> None:
    """The whole report, for programs."""
    facts = {**asdict(report), "consistent": report.consistent}
    for finding in facts["findings"]:
        finding["severity"] = FINDINGS[finding["kind"]][0]
    with atomic_file(path) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")


def print_report(report: Report, examples: int, console: Console) -> None:
    """The report for people: totals, then each kind of finding with at most ``examples`` of it."""
    totals = Table("", "here", "in the whole corpus", "", title=f"{report.dataset}: {escape(report.root)}", title_justify="left")
    for total in report.totals:
        whole = "" if total.published is None else f"{_number(total.published)}  ({total.source})"
        totals.add_row(total.what, _number(total.found), whole, _share(total))
    console.print(totals)
    ignored = ", ".join(f"{n} {suffix}" for suffix, n in report.ignored.items()) or "none"
    console.print(f"{report.files:,} files: {report.clips:,} clips, {report.companions:,} annotations and other companions; "
                  f"of no clip: {escape(ignored)}", highlight=False)  # fmt: skip
    kinds = Counter(finding.kind for finding in report.findings)
    if kinds:
        console.print(_findings_table(report.findings, kinds, examples))
    n = Counter(FINDINGS[finding.kind][0] for finding in report.findings)
    verdict = "[green]consistent[/green]" if report.consistent else "[red]not consistent[/red]"
    console.print(f"{verdict}: {n['error']} errors, {n['warning']} warnings, {n['note']} notes", highlight=False)


def _number(value: float) -> str:
    """A count whole, hours with four digits at least."""
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:.3g}"


def _share(total: Total) -> str:
    """In words, how much of the whole is here."""
    if total.published is None:
        return ""
    if total.found == total.published:
        return "[green]complete[/green]"
    if total.found > total.published:
        return "[red]more than there are[/red]" if total.what != "hours" else ""
    return f"a part, {100 * total.found / total.published:.2g} %: fine"


def _findings_table(findings: list[Finding], kinds: Counter[str], examples: int) -> Table:
    table = Table("finding", "n", "what it means, and examples", show_lines=True)
    for kind, (severity, meaning) in FINDINGS.items():
        if kinds[kind]:
            of_kind = [finding for finding in findings if finding.kind == kind]
            shown = [escape(f"{f.path}: {f.detail}" if f.detail else f.path) for f in of_kind[:examples]]
            more = [f"[dim]... and {len(of_kind) - examples} more (--examples, --json)[/dim]"] if len(of_kind) > examples else []
            words = f"[{COLOURS[severity]}]{severity}: {kind}[/]"
            table.add_row(words, str(kinds[kind]), Group(f"[dim]{meaning}[/dim]", *shown, *more))
    return table
