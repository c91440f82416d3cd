"""What a report page holds: key figures, bars, tables, figures, media. Frozen dataclasses that say what, not how it looks;
`evaluation.html` puts them on a page.

Tones are ``plain``, ``good``, ``warn``, ``bad``, ``accent`` and ``quiet``; they are colours of the design system, light and dark.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from markupsafe import Markup

from space_data.errors import SpaceError

Tone = Literal["plain", "good", "warn", "bad", "accent", "quiet"]
ColumnKind = Literal["text", "code", "number", "badge"]
Better = Literal["", "higher", "lower"]

VIDEO_SUFFIXES = (".mp4", ".webm", ".m4v")
AUDIO_SUFFIXES = (".wav", ".mp3", ".m4a")
MISSING = "–"


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
    """A value with its own text (``0.52 ± 0.03`` sorted by 0.52), colour, tool tip or link (relative, or within the page)."""

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
        return Markup(script_safe(text))


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


@dataclass(frozen=True)
class Widget:
    """A part with a behaviour of its own: trusted markup, its style and its script (run after the page's own)."""

    markup: Markup
    style: str = ""
    script: str = ""
    kind: str = field(default="widget", init=False)


@dataclass(frozen=True)
class Fold:
    """Tables that fold out at a click on ``title``."""

    title: str
    tables: Sequence[Table]
    kind: str = field(default="fold", init=False)


Block = Stats | Bars | Table | Figure | Figures | Gallery | Strips | Note | Widget | Fold


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
    return href if href.startswith("#") else address(href) if href else ""


def script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
