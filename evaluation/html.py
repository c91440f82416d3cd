"""The kit both reports are made of: one HTML page that opens offline and looks the same in the audit and in the benchmark.

    page = Page("Filter audit", "What was kept, what was dropped, and why", eyebrow="SPACE")
    section = page.section("Losses", "One clip counts once, under the first threshold it failed.")
    section.add(Stats([Stat("kept", "148", "5.9 min", tone="good")]))
    section.add(Bars([Bar("blurred", [Segment(12, "warn")], "12 clips")]))
    section.add(Table([Column("clip", "code"), Column("sharpness", "number", digits=2)], [["a/b", 0.21], ["a/c", None]]))
    section.add(Figure(plotly_figure, "caption"))
    section.add(Gallery([Media("media/a.mp4", "title", badge="kept", tone="good")]))
    page.provenance = provenance({"systems": "warp, still"}, params.model_dump())
    page.write("reports/x/index.html")

The blocks are those of `evaluation.blocks`; the templates beside this file turn them into HTML (Jinja2 with autoescape: every
text may hold anything a file name or label holds). Plotly's script is put into the page once, and only if there is a figure.
Equal blocks give equal bytes: nothing here reads a clock.
"""

import base64
import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from evaluation.blocks import Block, Figure, Figures, Stat
from space_data.errors import SpaceError
from space_data.store import Place, written

THUMBNAIL_QUALITY = 82
REPORTED_PACKAGES = ("numpy", "av", "mediapipe", "opencv-contrib-python", "pyarrow", "apache-beam", "torch", "plotly")
SERIES = ("#4f6bed", "#e08a1e", "#1a9c78", "#c2447c", "#7a5af5", "#2b9fc9", "#a3772a", "#6b7280")
"""Colours of data series, legible on light and dark; put into each figure as its colour way."""


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

    def write(self, path: Place | Path | str) -> None:
        """Render to ``path``, atomically."""
        html = self.render()
        with written(path) as part:
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
