"""The page's player: what it is told, and in a real browser, whether all videos show the same frame at the same time."""

import asyncio
import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, chromium
from browser import Page as Tab
from made_up_benchmark import N_FRAMES, benchmark

from evaluation.html import Page
from evaluation.report_player import coded, mouths_of, player, player_data, reason
from evaluation.report_tables import clip_table, worst_table
from evaluation.systems import GROUND_TRUTH, OURS, Entry, Kind
from space_data.media.encode import write_video
from space_data.schema import FAILED, SynthesizedClip, TraceFrame
from space_data.timebase import SAMPLES_PER_FRAME, VIDEO_FPS

FIRST, SECOND = "set/ada/00", "set/ada/01"
SYSTEMS = (GROUND_TRUTH.name, OURS[0])
FRAME_S = 1 / VIDEO_FPS


def test_openings_are_one_byte_per_frame():
    """By hand: steps of .1, a lost frame, and more than fits."""
    assert list(base64.b64decode(coded(np.array([0.0, 0.1, np.nan, 0.26, 99.0]), 0.1))) == [0, 1, 255, 3, 254]
    assert coded(None, 0.1) == ""


def test_mouths_are_shares_of_the_picture():
    def seen(x_px: float | None) -> TraceFrame:
        return TraceFrame("s", "c", 0, True, 0.1, 0.3, 0.0, 0.0, 0.0, x_px, 60.0, 10.0)

    assert mouths_of([seen(40.0), seen(60.0), seen(None)], {("s", "c"): 100}) == {("s", "c"): (0.5, 0.6, 0.14)}


def test_why_nothing_plays():
    clip = SynthesizedClip("s", "c", "ada", "calm", 1.0, "", "", "", "", 50, 64, FAILED, "10 of 50 frames", "frame_count")
    assert reason(clip) == "frame_count: 10 of 50 frames" and reason(None) == "not rendered"


def test_the_player_knows_every_system_and_starts_with_contestants(rng):
    data = replace(benchmark(rng), videos={(SYSTEMS[1], FIRST): "media/1 a.mp4"})
    told = player_data(data, [FIRST])
    shown = [system["name"] for system in told["systems"] if system["shown"]]
    assert shown == [GROUND_TRUTH.name, *(entry.name for entry in data.contestants)]
    clip = told["clips"][0]
    by_name = dict(zip([system["name"] for system in told["systems"]], clip["systems"], strict=True))
    assert by_name[SYSTEMS[1]]["video"] == "media/1%20a.mp4" and by_name["still"]["video"] == ""
    gaps = np.frombuffer(base64.b64decode(clip["recording"]), np.uint8)
    np.testing.assert_allclose(gaps[:7] * told["gap_step"], data.gaps["reference", FIRST][:7], atol=told["gap_step"])
    assert gaps[7] == 255 and len(gaps) == N_FRAMES


def test_no_text_ends_the_players_data(rng):
    clips = [replace(c, emotion="</script><b>") for c in benchmark(rng).clips]
    data = replace(benchmark(rng), clips=clips, videos={(SYSTEMS[0], FIRST): "media/1.mp4"})
    markup = str(player(data, data.playable).markup)
    found = re.search(r'<script type="application/json" id="player-data">(.*?)</script>', markup, re.DOTALL)
    assert found and json.loads(found[1])["clips"][0]["label"].startswith("</script><b>")


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A page on a disk with two clips of two systems, 2 s each with sound."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "media").mkdir()
    rng, videos = np.random.default_rng(1), {}
    sound = (0.1 * rng.normal(size=N_FRAMES * SAMPLES_PER_FRAME)).astype(np.float32)
    for system in SYSTEMS:
        for number, clip_id in enumerate((FIRST, SECOND)):
            name = f"media/{number}-{system}.mp4"
            write_video(folder / name, [np.full((64, 64, 3), 4 * i, np.uint8) for i in range(N_FRAMES)], audio=sound)
            videos[system, clip_id] = name
    data = replace(benchmark(rng), videos=videos)
    made = Page("Two clips")
    made.section("Clips").add(clip_table(data), worst_table(data, 3))  # long enough that the player is far below
    made.section("Side by side").add(player(data, data.playable))
    made.write(folder / "index.html")
    return folder / "index.html"


def test_a_long_title_does_not_widen_the_page_of_a_telephone(rng, tmp_path):
    chromium()
    data = benchmark(rng)
    long = Entry("theirs", "Theirs, which somebody has given a title that tells everything but a name", "", Kind.videos)
    clips = [*data.clips, *(replace(c, system="theirs") for c in data.clips if c.system == OURS[0])]
    data = replace(data, clips=clips, added=[long], videos={(SYSTEMS[0], FIRST): "media/1.mp4", ("theirs", FIRST): "media/2.mp4"})
    made = Page("One clip")
    made.section("Side by side").add(player(data, data.playable))
    made.write(tmp_path / "index.html")

    async def overflow_px() -> int:
        async with Browser(tmp_path / "profile") as browser:
            tab = await browser.open("about:blank")
            await tab.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False)
            await tab.go((tmp_path / "index.html").as_uri())
            await tab.until("document.querySelectorAll('#player select option').length > 2")
            return await tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    assert asyncio.run(overflow_px()) == 0


FOLLOW_FRAMES = """(() => {
  window.presented = {};
  for (const video of document.querySelectorAll("#player video")) {
    const note = (now, {mediaTime}) => { presented[video.dataset.system] = mediaTime; video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
  }
})()"""
SLIDE_TO = """(frame) => {
  const slider = document.querySelector("#player input[type=range]");
  slider.value = frame;
  slider.dispatchEvent(new Event("input"));
}"""
LOADED = "[...document.querySelectorAll('#player video')].filter((video) => video.src)"


async def presented(page: Tab) -> list[float]:
    """Time of the frame that each system's video shows, in the browser's own words."""
    told = await page.run("presented")
    return [told.get(system, -1.0) for system in SYSTEMS]


async def both_show(page: Tab, frame: int) -> None:
    """Wait until both videos present this very frame."""
    await page.until(f"[{', '.join(repr(s) for s in SYSTEMS)}].every((s) => Math.round(presented[s] * {VIDEO_FPS}) === {frame})")


async def drive(address: str, profile: Path) -> None:
    """One rater's session with the player."""
    async with Browser(profile) as browser:
        page = await browser.open(address)
        assert await page.run(f"{LOADED}.length") == 0, "nothing is loaded before the player is near"
        await page.click(f"a[href='#play=set%2Fada%2F01&system={SYSTEMS[1]}']")
        await page.until(f"{LOADED}.length === 2")
        assert await page.run("document.activeElement.id") == "player"
        assert (await page.run("document.querySelector('[data-choice=clip]').selectedOptions[0].text")).startswith(f"2 {SECOND}")
        assert await page.run(f"{LOADED}.every((video) => video.src.includes('media/1-'))")
        await page.run(FOLLOW_FRAMES)

        for frame in (1, 2, 3):
            await page.press(".")
            await both_show(page, frame)
        await page.press(",")
        await both_show(page, 2)
        await page.run(f"({SLIDE_TO})(30)")
        await both_show(page, 30)
        assert (await page.run("document.querySelector('#player output').textContent")).startswith("frame 31 of 50 · 1.20 s")

        await page.click("[data-do=start]")
        await both_show(page, 0)
        await page.press(" ")
        apart = []
        for _ in range(20):
            await asyncio.sleep(0.05)
            times = await presented(page)
            apart.append(abs(times[0] - times[1]) <= FRAME_S + 1e-3)
        assert sum(apart) >= 0.8 * len(apart), "within one frame of each other while they play"
        assert await page.run(f"{LOADED}.map((video) => video.muted)") == [True, False], "the linked system is heard"
        await page.click("[data-do=start]")
        await page.until(f"{LOADED}[1].currentTime > 0.1 && !{LOADED}[1].paused")
        await page.run(f"{LOADED}[0].currentTime += 0.2")  # the one that is not heard stumbles, and is back before the end
        await page.until(f"{LOADED}[1].currentTime > 1.3")
        assert await page.run(f"Math.abs({LOADED}[0].currentTime - {LOADED}[1].currentTime)") < FRAME_S

        await page.press("1")
        await page.press("<")
        await page.until(f"{LOADED}.every((video) => !video.paused && Math.abs(video.playbackRate - 0.5) < 0.3)")
        assert await page.run(f"{LOADED}.map((video) => video.muted)") == [False, True]
        assert await page.run(f"{LOADED}[0].playbackRate") == 0.5
        await page.press("m")
        await page.until(f"{LOADED}.every((video) => video.muted)")

        await page.run(f"{LOADED}[1].currentTime += 0.2")
        await page.press(" ")  # paused at once, all show the frame of the one that leads
        await page.until(f"{LOADED}.every((video) => video.paused)")
        await page.until(f"Math.abs(presented[{SYSTEMS[0]!r}] - presented[{SYSTEMS[1]!r}]) < 1e-6")
        await page.press("n")
        await page.until(f"{LOADED}.every((video) => video.src.includes('media/0-'))")
        assert "play=set%2Fada%2F00" in await page.run("location.hash")


def test_two_videos_stay_in_step_in_a_browser(page, tmp_path):
    chromium()
    asyncio.run(drive(page.as_uri(), tmp_path / "profile"))
