"""Raters of known preference click through the real page in a real browser, and the analysis finds what they prefer."""

import asyncio
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from browser import Browser, Page, chromium
from made_up_study import COLOURS, KEY, RECORDED, TEXTS, plan, sources_in

from evaluation.study.answers import collected
from evaluation.study.build import build
from evaluation.study.manifest import RECORDING, Study, StudyFolder, Trial
from evaluation.study.questions import chosen_questions
from evaluation.study.results import results_of
from evaluation.study.server import StudyServer

ORDER = (RECORDING, "frozen", RECORDED, "zebra", "quagga")
"""What the raters like, the best first; between zebra and quagga they see no difference."""
Clicked = set[tuple[str, str, str]]
SCREEN, TRIAL, QUESTION = (f"document.documentElement?.dataset.{name}" for name in ("screen", "trial", "question"))

MIDDLE = "[...document.getElementById('canvas-%s').getContext('2d').getImageData(32, 32, 1, 1).data]"


def wanted(trial: Trial) -> str:
    if {trial.left, trial.right} == {"zebra", "quagga"}:
        return "tie"
    return "a" if ORDER.index(trial.left) < ORDER.index(trial.right) else "b"


async def answer(page: Page, study: Study, keyboard: bool, clicked: Clicked) -> None:
    """One question: nothing can be answered before both have played to the end."""
    trial_id, question = await page.run(TRIAL), await page.run(QUESTION)
    trial = next(t for one in study.lists for t in one.trials if t.id == trial_id)
    choice, sides = wanted(trial), (trial.left, trial.right)
    await page.until("!document.getElementById('play').disabled")
    assert await page.run("document.getElementById('choices').disabled && document.getElementById('next').disabled")
    await page.press({"a": "1", "b": "2", "tie": "0"}[choice])
    assert not await page.run("document.querySelector('input:checked')"), "a key answers nothing before the end"
    await (page.press(" ") if keyboard else page.click("#play"))
    await page.until("!document.getElementById('choices').disabled")
    if await page.run("location.protocol") == "http:":  # of a video from a disk no pixel can be read
        colours = [await page.run(MIDDLE % side) for side in "ab"]
        expected = [COLOURS.get(name, COLOURS[RECORDED]) for name in sides]
        assert [np.argmax(colour[:3]) for colour in colours] == [np.argmax(colour) for colour in expected]
    if keyboard:
        await page.press({"a": "1", "b": "2", "tie": "0"}[choice])
        await page.press("Enter")
    else:
        await page.click(f"input[value={choice}]")
        await page.click("#next")
    await page.until(f"{SCREEN} == 'done' || {TRIAL} != '{trial_id}' || {QUESTION} != '{question}'")
    clicked.add((trial_id, question, choice))


async def session(page: Page, study: Study, keyboard: bool, reload_after: int | None) -> Clicked:
    """From consent to thanks; ``reload_after`` so many answers the page is loaded again, and goes on."""
    clicked: Clicked = set()
    await page.until(f"{SCREEN} == 'consent'")
    await page.click("#consent button")
    assert await page.run(SCREEN) == "consent", "nobody begins without agreeing"
    await page.click("#agree")
    await page.click("#consent button")
    await page.until(f"{SCREEN} == 'instructions'")
    await page.click("#begin")
    while await page.run(SCREEN) == "trial":
        await answer(page, study, keyboard, clicked)
        if len(clicked) == reload_after:
            await page.call("Page.reload")
            await page.until(f"{SCREEN} == 'instructions'")
            await page.click("#begin")
    return clicked


async def click_through(server: StudyServer, folder: StudyFolder, study: Study, work: Path) -> Clicked:
    """A rater on the server by mouse, one by keyboard alone; one with a page from a disk, whose answers are saved as a file."""
    clicked: Clicked = set()
    async with Browser(work / "profile") as browser:
        page = await browser.open(server.url)
        for rater in range(2):
            clicked |= await session(page, study, keyboard=rater == 1, reload_after=2 if rater == 0 else None)
            await page.run("localStorage.clear()")
            await page.go(server.url + f"?{rater}")  # without the name in the fragment: somebody else
        await page.go((folder.page / "index.html").as_uri() + "#list=3")
        await page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(work))
        clicked |= await session(page, study, keyboard=False, reload_after=1)
        await page.click("#download")
        for _ in range(200):
            if list(work.glob("answers-*.json")):
                break
            await asyncio.sleep(0.05)
    return clicked


def test_raters_of_known_preference_are_recovered_by_clicking(tmp_path: Path) -> None:
    chromium()
    folder = StudyFolder(tmp_path / "study")
    pairs = [("zebra", "quagga"), ("zebra", RECORDED), ("quagga", RECORDED)]
    sources, questions = sources_in(tmp_path / "systems"), chosen_questions("preference")
    study = build(folder.root, sources, pairs, questions, TEXTS, plan(3, 3, 1), key=KEY)
    server = StudyServer(folder, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        clicked = asyncio.run(click_through(server, folder, study, tmp_path))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    files = sorted(tmp_path.glob("answers-*.json"))
    assert len(files) == 1 and json.loads(files[0].read_text())["list"] == 2
    judgements = collected(folder, study, files)
    assert {(one.trial, one.question, one.answer) for one in judgements} == clicked
    assert len(judgements) == 3 * 4 and all(one.plays == 1 and one.seconds >= 0.4 for one in judgements)
    results = results_of(study, judgements)
    assert len(results.counting) == 3
    assert {(one.first, one.second): one.rate.rate for one in results.rates} == dict(zip(pairs, (0.5, 0.0, 0.0), strict=True))
    (strengths,) = results.strengths
    assert strengths.fit is not None and strengths.fit.strengths[0].system == RECORDED


def test_the_driver_is_there_or_the_tests_say_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        chromium()
