"""A visitor with a real browser: uploads, sets controls, gets a video; the page asks nobody else, and keeps nothing."""

import asyncio
import re
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, Page, chromium

from pipelines.demo.limits import Limits
from pipelines.demo.serve import served
from space_data.media.encode import write_wav
from space_data.media.images import write_image
from space_data.params import load_params
from space_data.schema import EMOTIONS
from space_models.animate import ASSETS
from space_models.tracks import Tracks

pytest.importorskip("gradio", reason="Gradio is not installed (the extra 'demo')")

PARAMS = load_params(Path(__file__).resolve().parents[3] / "params.yaml")
STATUS = "document.querySelector('#status textarea').value"
VIDEOS = "[...document.querySelectorAll('#results video')]"
WATCH_BAR = """new MutationObserver(() => {
  const text = document.querySelector('#results').innerText;
  if (text.includes('to go')) window.bar = text;
}).observe(document.body, {childList: true, subtree: true, characterData: true})"""
PASSWORD = "correct horse, staple"
RENDER_S = 120.0


@pytest.fixture
def inputs(tmp_path: Path, astronaut: np.ndarray) -> Path:
    write_image(tmp_path / "face.png", astronaut)
    (tmp_path / "notes.png").write_text("no picture\n")
    write_wav(tmp_path / "speech.wav", (0.3 * np.sin(np.arange(10 * 640) / 17)).astype(np.float32))
    return tmp_path


async def visit(page: Page, url: str, inputs: Path, portrait: str) -> None:
    """Open the page and upload a portrait and speech."""
    await page.go(url)
    await page.until("document.querySelectorAll('#image input[type=file], #audio input[type=file]').length == 2")
    await page.upload("#image input[type=file]", inputs / portrait)
    await page.upload("#audio input[type=file]", inputs / "speech.wav")
    await page.until("document.querySelector('#image img') != null && document.querySelector('#audio input[type=file]') == null")


async def animate(page: Page) -> str:
    """Click, and what the page says when it is done."""
    before = await page.run(STATUS)
    await page.click("#go")
    await page.until(f"{STATUS} != {before!r}", RENDER_S)
    return str(await page.run(STATUS))


async def click_through(url: str, root: Path, inputs: Path) -> set[str]:
    """Returns whom the page asked."""
    async with Browser(inputs / "profile") as browser:
        page = await browser.open("about:blank")
        await page.call("Network.enable")
        await page.go(url)
        await page.until("document.querySelector('#go') != null")
        assert await animate(page) == "error: no portrait yet: upload one, or take the example"
        await visit(page, url, inputs, "notes.png")
        assert (await animate(page)).startswith("error: notes.png: not a readable picture")
        uploads = list(root.glob("*/*/notes.png"))
        await visit(page, url, inputs, "face.png")  # loads the page anew, which ends a visit
        await page.click("#head button")
        await page.click("#pose input[value=still]")
        await page.until("document.querySelector('#pose input[value=still]').checked")
        await page.run(WATCH_BAR)
        told = await animate(page)
        bar = str(await page.run("window.bar"))
        assert re.search(r"10/10\s+frames", bar) and "about 0 s to go" in bar, bar
        assert told.startswith("10 frames, 0.4 s") and "face 93 px wide" in told
        await page.until(f"{VIDEOS}.every(video => video.videoWidth == 512 && video.duration > 0.35) && {VIDEOS}.length == 2")
        tracks = Tracks.read(next(root.glob("*/visit-*/*/video.parquet")))
        assert np.abs(tracks.pose).max() == 0 and tracks.emotion[0, EMOTIONS.index("happy")] == pytest.approx(0.6)
        assert uploads and not uploads[0].exists()
        await page.go("about:blank")
        for _ in range(500):
            if not files_in(root):
                break
            await asyncio.sleep(0.02)
        assert not files_in(root)
        return {address.split("/")[2] for address in page.requested if not address.startswith(("blob:", "data:", "about:"))}


def files_in(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_visitor_gets_a_video_and_leaves_nothing(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chromium()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with served(PARAMS, ASSETS, Limits(speech_s=10, upload_mb=1)) as url:
        (root,) = (tmp_path / "tmp").glob("space-demo-*")
        assert asyncio.run(click_through(url, root, inputs)) == {url.split("/")[2]}
        assert list(root.iterdir()), "the folder of this server"
    assert not list(root.iterdir())


async def log_in(url: str, profile: Path) -> set[str]:
    """Returns whom the page asked."""
    async with Browser(profile) as browser:
        page = await browser.open("about:blank")
        await page.call("Network.enable")
        await page.go(url)
        await page.until("document.querySelector('input[type=password]') != null")
        assert await page.run("document.querySelector('#go')") is None
        for selector, text in (("input:not([type=password])", "ann"), ("input[type=password]", PASSWORD)):
            await page.click(selector)
            for key in text:
                await page.press(key)
        await page.press("Enter")
        await page.until("document.querySelector('#go') != null")
        return {address.split("/")[2] for address in page.requested if not address.startswith(("blob:", "data:", "about:"))}


def test_who_knows_the_password_comes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chromium()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with served(PARAMS, ASSETS, Limits(speech_s=10, upload_mb=1), password=PASSWORD) as url:
        assert asyncio.run(log_in(url, tmp_path / "profile")) == {url.split("/")[2]}
