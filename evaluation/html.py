"""The kit both reports are made of: one HTML page that opens offline and looks the same in the audit and in the benchmark.

    page = Page("Filter audit", "What was kept, what was dropped, and why", eyebrow="SPACE")
    section = page.section("Losses", "One clip counts once, under the first threshold it failed.")
    section.add(Stats([Stat("kept", "148", "5.9 min", tone="good")]))
    section.add(Bars([Bar("blurred", [Segment(12, "warn")], "12 clips")]))
    section.add(Table([Column("clip", "code"), Column("sharpness", "number", digits=2)], [["a/b", 0.21], ["a/c", None]]))
    section.add(Figure(plotly_figure, "caption"))
    section.add(Gallery([Media("media/a.mp4", "title", badge="kept", tone="good")]))
    section.add(MediaGrid(["truth", "ours"], [MediaRow("clip 1", [Media("media/t.mp4"), Media("media/o.mp4")])]))
    page.provenance = provenance({"systems": "warp, still"}, params.model_dump())
    page.write("reports/x/index.html")

Blocks are frozen dataclasses; the templates beside this file turn them into HTML (Jinja2 with autoescape: every text may hold
anything a file name or label holds). Plotly's script is put into the page once, and only if there is a figure. Equal blocks give
equal bytes: nothing here reads a clock.

Tones are ``plain``, ``good``, ``warn``, ``bad``, ``accent`` and ``quiet``; they are colours of the design system, light and dark.
"""

import base64
import hashlib
import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import cv2
import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.files import atomic_file

Tone = Literal["plain", "good", "warn", "bad", "accent", "quiet"]
ColumnKind = Literal["text", "code", "number", "badge"]
Better = Literal["", "higher", "lower"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".m4v")
AUDIO_SUFFIXES = (".wav", ".mp3", ".m4a")
THUMBNAIL_QUALITY = 82
REPORTED_PACKAGES = ("numpy", "av", "mediapipe", "opencv-contrib-python", "pyarrow", "apache-beam", "torch", "plotly")
MISSING = "–"
SERIES = ("#4f6bed", "#e08a1e", "#1a9c78", "#c2447c", "#7a5af5", "#2b9fc9", "#a3772a", "#6b7280")
"""Colours of data series, legible on light and dark; put into each figure as its colour way."""


@dataclass(frozen=True)
class Stat:
    """One key figure: a large ``value`` under a small ``label``, ``detail`` below it."""

    label: str
    value: str
    detail: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True)
class Stats:
    """A row of key figures."""

    stats: Sequence[Stat]
    kind: str = field(default="stats", init=False)


@dataclass(frozen=True)
class Segment:
    """A part of a bar: its length in the unit of the whole ``Bars`` block."""

    value: float
    tone: Tone = "accent"
    title: str = ""


@dataclass(frozen=True)
class Bar:
    """One labelled bar of one or more segments; ``text`` stands at its end, ``detail`` under the label."""

    label: str
    segments: Sequence[Segment]
    text: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Bars:
    """Horizontal bars on one common scale (``full`` is the length of a full bar; the longest bar if not given)."""

    bars: Sequence[Bar]
    legend: Sequence[tuple[str, Tone]] = ()
    full: float | None = None
    kind: str = field(default="bars", init=False)

    @property
    def scale(self) -> float:
        """Length that fills the width, never 0."""
        longest = max((sum(s.value for s in bar.segments) for bar in self.bars), default=0.0)
        return (self.full or longest) or 1.0


@dataclass(frozen=True)
class Column:
    """A table column. ``digits``: decimals of numbers; ``unit`` stands in the header; ``better`` marks the best value bold."""

    label: str
    kind: ColumnKind = "text"
    digits: int = 3
    unit: str = ""
    better: Better = ""
    help: str = ""


@dataclass(frozen=True)
class Cell:
    """A value with its own text (``0.52 ± 0.03`` sorted by 0.52), colour, tool tip or relative link."""

    value: float | str | None
    text: str = ""
    tone: Tone = "plain"
    title: str = ""
    href: str = ""


@dataclass(frozen=True)
class ShownCell:
    """A cell as the template prints it."""

    text: str
    sort: str
    tone: Tone
    title: str
    href: str
    best: bool


@dataclass(frozen=True)
class Table:
    """A table that sorts by a click on its headers; long ones are paged, ``searchable`` ones have a filter box.

    Numbers given as None or NaN print as a dash and sort last. Rows stand in the given order until somebody sorts.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str | float | int | None]]
    caption: str = ""
    searchable: bool = False
    page_rows: int = 50
    kind: str = field(default="table", init=False)

    def shown(self) -> list[list[ShownCell]]:
        """Rows as printed.

        Raises:
            SpaceError: a row of another length than the header.
        """
        for row in self.rows:
            if len(row) != len(self.columns):
                raise SpaceError(f"table {self.caption!r}: row of {len(row)} cells, {len(self.columns)} columns: {list(row)!r}")
        best = [self._best(index) for index in range(len(self.columns))]
        return [
            [_shown(cell, column, best[index]) for index, (cell, column) in enumerate(zip(row, self.columns, strict=True))]
            for row in self.rows
        ]

    def _best(self, index: int) -> float | None:
        values = [v for row in self.rows if (v := _number(row[index])) is not None]
        match self.columns[index].better:
            case "higher":
                return max(values, default=None)
            case "lower":
                return min(values, default=None)
        return None


@dataclass(frozen=True)
class Figure:
    """A Plotly figure. Fonts, backgrounds and grid colours come from the page (they follow light and dark)."""

    figure: Any
    caption: str = ""
    height_px: int = 340
    title: str = ""
    kind: str = field(default="figure", init=False)

    def spec(self) -> Markup:
        """Data and layout as JSON that is safe inside a script element, keys sorted."""
        from plotly.utils import PlotlyJSONEncoder

        raw = self.figure.to_plotly_json()
        layout = {key: value for key, value in raw.get("layout", {}).items() if key != "template"}
        text = json.dumps({"data": raw["data"], "layout": layout}, cls=PlotlyJSONEncoder, sort_keys=True)
        return Markup(_script_safe(text))


@dataclass(frozen=True)
class Figures:
    """Several figures side by side, as many per row as fit."""

    figures: Sequence[Figure]
    kind: str = field(default="figures", init=False)


@dataclass(frozen=True)
class Media:
    """A picture, video or sound: a path relative to the page, or a ``data:`` address made by ``thumbnail``."""

    source: str
    title: str = ""
    lines: Sequence[str] = ()
    badge: str = ""
    tone: Tone = "plain"
    poster: str = ""

    @property
    def medium(self) -> str:
        """``video``, ``audio`` or ``image``, from the suffix."""
        name = self.source.lower()
        if name.endswith(VIDEO_SUFFIXES):
            return "video"
        return "audio" if name.endswith(AUDIO_SUFFIXES) else "image"

    @property
    def address(self) -> str:
        """The source as an address: relative paths are quoted, ``data:`` addresses pass."""
        return address(self.source)

    @property
    def poster_address(self) -> str:
        """The still shown before a video plays, as an address; empty if there is none."""
        return address(self.poster) if self.poster else ""


@dataclass(frozen=True)
class Gallery:
    """Media tiles, as many per row as fit; ``tile_px`` is their least width."""

    media: Sequence[Media]
    tile_px: int = 170
    caption: str = ""
    title: str = ""
    kind: str = field(default="gallery", init=False)


@dataclass(frozen=True)
class MediaRow:
    """One line of a ``MediaGrid``: what it shows, and one medium (or None) per column."""

    label: str
    media: Sequence[Media | None]
    detail: str = ""


@dataclass(frozen=True)
class MediaGrid:
    """Media compared side by side: systems as columns, clips as rows; a row's videos play together at one click."""

    columns: Sequence[str]
    rows: Sequence[MediaRow]
    caption: str = ""
    kind: str = field(default="media_grid", init=False)


@dataclass(frozen=True)
class Strips:
    """Film strips under each other, each a picture of its own shape with a label to its left: one time axis, many systems."""

    strips: Sequence[Media]
    title: str = ""
    kind: str = field(default="strips", init=False)


@dataclass(frozen=True)
class Note:
    """A paragraph; with a tone, a coloured box."""

    text: str
    tone: Tone = "plain"
    kind: str = field(default="note", init=False)


Block = Stats | Bars | Table | Figure | Figures | Gallery | MediaGrid | Strips | Note


@dataclass
class PageSection:
    """A titled part of a page with an entry in its navigation."""

    title: str
    intro: str = ""
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> "PageSection":
        """Append blocks; returns the section."""
        self.blocks.extend(blocks)
        return self

    @property
    def anchor(self) -> str:
        """Name of the section in links: letters, digits and hyphens of its title."""
        return "-".join("".join(c if c.isalnum() else " " for c in self.title.lower()).split()) or "section"


@dataclass(frozen=True)
class Provenance:
    """Where a report comes from: short facts, then longer texts (parameters) that fold out."""

    facts: Sequence[tuple[str, str]]
    texts: Sequence[tuple[str, str]] = ()


@dataclass
class Page:
    """One report page: a head with key figures, sections with a navigation, provenance at the end."""

    title: str
    subtitle: str = ""
    eyebrow: str = "SPACE"
    stats: Sequence[Stat] = ()
    sections: list[PageSection] = field(default_factory=list)
    provenance: Provenance | None = None

    def section(self, title: str, intro: str = "") -> PageSection:
        """Add a section and return it, to be filled.

        Raises:
            SpaceError: a section of that title is there already (links could not tell them apart).
        """
        section = PageSection(title, intro)
        if section.anchor in {other.anchor for other in self.sections} | {"provenance"}:
            raise SpaceError(f"page {self.title!r}: two sections {title!r}, titles must differ")
        self.sections.append(section)
        return section

    def render(self) -> str:
        """The page as one HTML document without references to the network."""
        has_figures = any(isinstance(block, Figure | Figures) for section in self.sections for block in section.blocks)
        return (
            _environment()
            .get_template("page.html")
            .render(page=self, plotly_script=_plotly_script() if has_figures else "", series=json.dumps(SERIES))
        )

    def write(self, path: Path | str) -> None:
        """Render to ``path``, atomically."""
        html = self.render()
        with atomic_file(path) as part:
            part.write_text(html, encoding="utf-8")


def thumbnail(rgb: NDArray[np.uint8], width_px: int) -> str:
    """A picture (H, W, 3) shrunk to ``width_px`` as a ``data:`` JPEG address for ``Media``; smaller pictures keep their size."""
    height, width = rgb.shape[:2]
    if width > width_px:
        size = (width_px, max(1, round(height * width_px / width)))
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, THUMBNAIL_QUALITY])
    if not done:
        raise SpaceError(f"thumbnail of a {width}x{height} picture: JPEG encoding failed")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def address(source: str) -> str:
    """A relative path as an address (quoted, forward slashes); ``data:image`` addresses pass.

    Raises:
        SpaceError: an absolute path or one with a scheme: the page would break when its folder is moved or sent.
    """
    if source.startswith("data:image/"):
        return source
    path = Path(source)
    if path.is_absolute() or "://" in source or source.startswith(("data:", "javascript:")):
        raise SpaceError(f"media {source[:80]!r}: must be a path relative to the page")
    return quote(path.as_posix())


def provenance(facts: Mapping[str, str], params: Mapping[str, Any] | None = None, root: Path | None = None) -> Provenance:
    """Git revision of ``root`` (the working directory), releases of the packages that make the figures, ``facts``, parameters.

    Dates come from the commit, not from a clock, so that the same revision and data give the same page.
    """
    entries = [("revision", _git_revision(root or Path.cwd())), *((str(k), str(v)) for k, v in facts.items())]
    releases = "\n".join(f"{name} {_release(name)}" for name in REPORTED_PACKAGES)
    texts = [("Package versions", releases)]
    if params is not None:
        settings = json.dumps(params, indent=2, sort_keys=True, default=str)
        entries.append(("parameters", hashlib.sha256(settings.encode()).hexdigest()[:12]))
        texts.append(("Parameters", settings))
    return Provenance(entries, texts)


def _git_revision(root: Path) -> str:
    def git(*arguments: str) -> str | None:
        try:
            result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return result.stdout.strip() if result.returncode == 0 else None

    commit = git("log", "-1", "--format=%h of %cs")
    if not commit:
        return "not a git checkout"
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{commit}, with uncommitted changes" if changed else commit


def _release(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _number(cell: Cell | str | float | int | None) -> float | None:
    value = cell.value if isinstance(cell, Cell) else cell
    if value is None or isinstance(value, str) or not math.isfinite(value):
        return None
    return float(value)


def _shown(given: Cell | str | float | int | None, column: Column, best: float | None) -> ShownCell:
    cell = given if isinstance(given, Cell) else Cell(given)
    number = _number(cell)
    if cell.value is None or (not isinstance(cell.value, str) and number is None):
        return ShownCell(cell.text or MISSING, "", cell.tone, cell.title, _link(cell.href), False)
    if number is None:
        return ShownCell(cell.text or str(cell.value), str(cell.value), cell.tone, cell.title, _link(cell.href), False)
    whole = column.digits == 0 or isinstance(cell.value, int)
    text = cell.text or (f"{number:,.0f}" if whole else f"{number:,.{column.digits}f}").replace("-", "−")
    return ShownCell(text, repr(number), cell.tone, cell.title, _link(cell.href), best is not None and number == best)


def _link(href: str) -> str:
    return address(href) if href else ""


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _plotly_script() -> Markup:
    """Plotly's own script, from the installed package: trusted, and safe inside a script element as it ships."""
    from plotly.offline import get_plotlyjs

    return Markup(get_plotlyjs().replace("</script", "<\\/script"))
