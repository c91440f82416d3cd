"""The report kit: escaping, sorting keys, one copy of Plotly, equal bytes, and a look through a real browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from markupsafe import Markup

from evaluation.blocks import (
    Bar,
    Bars,
    Cell,
    Column,
    Figure,
    Figures,
    Fold,
    Gallery,
    Media,
    Note,
    Segment,
    Stat,
    Stats,
    Strips,
    Table,
    Widget,
    address,
)
from evaluation.html import Page, provenance, thumbnail
from space_data.errors import SpaceError

HOSTILE = "<script>alert('x')</script> & \"quotes\""


def every_block() -> Page:
    """A page that uses every block, with hostile text wherever text can stand."""
    figure = go.Figure(go.Bar(x=[HOSTILE, "</script>"], y=[1, 2]))
    page = Page(HOSTILE, HOSTILE, eyebrow=HOSTILE, stats=[Stat(HOSTILE, HOSTILE, HOSTILE, "good")])
    page.section("One", HOSTILE).add(
        Stats([Stat("kept", "3")]),
        Bars([Bar(HOSTILE, [Segment(1, "good", HOSTILE)], HOSTILE, HOSTILE)], [(HOSTILE, "good")]),
        Note(HOSTILE, "warn"),
        Table([Column(HOSTILE, help=HOSTILE), Column("n", "number")], [[HOSTILE, 1.5], [Cell(HOSTILE, title=HOSTILE), None]]),
    )
    page.section("Two").add(
        Figure(figure, HOSTILE),
        Figures([Figure(figure), Figure(figure)]),
        Gallery([Media("a.png", HOSTILE, [HOSTILE], HOSTILE)], title=HOSTILE, caption=HOSTILE),
        Strips([Media("a.png", HOSTILE)], HOSTILE),
        Gallery([Media("a b.mp4", HOSTILE)]),
        Fold(HOSTILE, [Table([Column(HOSTILE)], [[HOSTILE]])]),
    )
    page.provenance = provenance({HOSTILE: HOSTILE}, {"key": HOSTILE})
    return page


def without_scripts(html: str) -> str:
    return re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_text_of_every_block_is_escaped() -> None:
    html = every_block().render()
    assert "<script>alert" not in html
    assert "alert(&#39;x&#39;)" in without_scripts(html)


def test_a_widget_brings_its_own_markup_style_and_script() -> None:
    page = Page("Title")
    page.section("One").add(Widget(Markup('<b id="w"></b>'), "#w { color: red; }", "/* after the page's own */"))
    html = page.render()
    assert '<style>#w { color: red; }</style><b id="w"></b>' in html
    assert html.index("setUpNavigation();") < html.index("<script>/* after the page's own */</script>")


def test_plotly_stands_in_the_page_once_and_only_if_needed() -> None:
    marker = "plotly.js v"
    assert every_block().render().count(marker) == 1
    plain = Page("t")
    plain.section("s").add(Note("no figure"))
    assert marker not in plain.render()


def test_nothing_is_loaded_from_the_network() -> None:
    markup = without_scripts(every_block().render())
    for found in re.findall(r'(?:src|href)="([^"]*)"', markup):
        assert not re.match(r"(https?:)?//", found), found
    assert "@import" not in markup and "url(" not in markup


def test_same_blocks_same_bytes(tmp_path: Path) -> None:
    every_block().write(tmp_path / "a" / "index.html")
    every_block().write(tmp_path / "b.html")
    assert (tmp_path / "a" / "index.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_figure_spec_is_json_without_template_and_cannot_close_its_script() -> None:
    spec = str(Figure(go.Figure(go.Bar(x=["</script><!--"], y=[1]), layout={"title": "a & b"})).spec())
    assert "<" not in spec and ">" not in spec and "&" not in spec
    read = json.loads(spec)
    assert read["data"][0]["x"] == ["</script><!--"]
    assert "template" not in read["layout"]


def test_table_numbers() -> None:
    columns = [Column("a", "number", digits=2, better="lower"), Column("b", "number"), Column("c", "number", better="higher")]
    rows = [[-1.234, 1234567, Cell(0.5, text="0.50 ± 0.01")], [float("nan"), None, 0.4], [2.0, 3, float("inf")]]
    shown = Table(columns, rows).shown()
    assert [cell.text for cell in shown[0]] == ["−1.23", "1,234,567", "0.50 ± 0.01"]
    assert [cell.sort for cell in shown[0]] == ["-1.234", "1234567.0", "0.5"]
    assert [cell.text for cell in shown[1]] == ["–", "–", "0.400"]
    assert shown[1][0].sort == "" and shown[2][2].sort == ""
    assert [[cell.best for cell in row] for row in shown] == [[True, False, True], [False] * 3, [False] * 3]


def test_table_rejects_ragged_rows() -> None:
    with pytest.raises(SpaceError, match="row of 1 cells, 2 columns"):
        Table([Column("a"), Column("b")], [["x"]]).shown()


def test_bars_of_nothing_do_not_divide_by_zero() -> None:
    assert Bars([]).scale == 1.0
    assert Bars([Bar("a", [Segment(0)])]).scale == 1.0
    assert Bars([Bar("a", [Segment(2), Segment(3)]), Bar("b", [Segment(4)])]).scale == 5.0
    assert Bars([Bar("a", [Segment(2)])], full=8).scale == 8


@pytest.mark.parametrize("source", ["/etc/passwd", "https://x.org/a.mp4", "javascript:alert(1)", "data:text/html,x"])
def test_addresses_must_be_relative(source: str) -> None:
    with pytest.raises(SpaceError, match="relative to the page"):
        address(source)


def test_addresses_are_quoted() -> None:
    assert address('media/a b#1?"x".mp4') == "media/a%20b%231%3F%22x%22.mp4"


def test_media_kinds() -> None:
    assert [Media(s).medium for s in ("a.MP4", "a.wav", "a.png", "data:image/jpeg;base64,xx")] == [
        "video",
        "audio",
        "image",
        "image",
    ]


def test_thumbnail_shrinks_but_never_grows(rng: np.random.Generator) -> None:
    import base64

    import cv2

    def shape(data: str) -> tuple[int, ...]:
        raw = np.frombuffer(base64.b64decode(data.split(",")[1]), np.uint8)
        return cv2.imdecode(raw, cv2.IMREAD_COLOR).shape

    assert shape(thumbnail(rng.integers(0, 255, (300, 400, 3), np.uint8), 200)) == (150, 200, 3)
    assert shape(thumbnail(np.zeros((30, 40, 3), np.uint8), 200)) == (30, 40, 3)


def test_sections_of_one_title_are_refused() -> None:
    page = Page("t")
    page.section("Losses by reason")
    with pytest.raises(SpaceError, match="two sections"):
        page.section("Losses, by reason")


def test_provenance_outside_git_says_so(tmp_path: Path) -> None:
    block = provenance({"rows": "3"}, {"b": 1, "a": 2}, root=tmp_path)
    assert dict(block.facts)["revision"] == "not a git checkout"
    assert dict(block.facts)["rows"] == "3"
    assert dict(block.texts)["Parameters"].index('"a"') < dict(block.texts)["Parameters"].index('"b"')


def test_page_works_in_a_browser(tmp_path: Path) -> None:
    """Chromium runs the page's script without an error, draws every figure and pages the table."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = every_block()
    page.section("Three").add(Table([Column("n", "number")], [[i] for i in range(120)], searchable=True))
    page.write(tmp_path / "index.html")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    command = [browser, *flags, "--virtual-time-budget=5000", "--dump-dom", (tmp_path / "index.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert 'data-ready="true"' in dom, "the page's script stopped before its end"
    assert dom.count('class="main-svg"') >= 3, "figures were not drawn"
    assert "1–50 of 120" in dom
