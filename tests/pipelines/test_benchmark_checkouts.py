"""The real repositories through their cards: ``pytest -m checkout --checkouts DIR --interpreter PYTHON``; random weights will do.

What must hold whatever the weights: all frames are there, and sound ten frames late gives the same video ten frames late
(ten: a whole number of frames also at 62.5 per second).
"""

from pathlib import Path

import numpy as np
import pytest

from evaluation.canonical import Canonical, Expected, canonicalise
from evaluation.external.card import shipped_card
from evaluation.external.coverage import COVERAGES, padding
from evaluation.external.drive import missing_files
from evaluation.lists.clip_list import Chosen
from pipelines.benchmark.drive import Driver, drive_clip
from space_data.media.encode import write_video, write_wav
from space_data.media.video import decode_video
from space_data.schema import AlignedClip
from space_data.timebase import frames_to_samples
from space_models.portrait import load_portrait

pytestmark = pytest.mark.checkout
N, LATE = 50, 10
SAME_GREY = 2.0
"""Mean difference of grey levels between two codings of one picture."""


@pytest.fixture(params=["wav2lip", "pc_avs", "makeittalk"])
def system(request) -> str:
    root, name = request.config.getoption("--checkouts"), request.param
    program = shipped_card(name).program
    if not root:
        pytest.skip("no --checkouts")
    if missing := missing_files(program, Path(root) / program.checkout):
        pytest.skip(f"not installed: {missing[0]}")
    return name


@pytest.fixture
def rendered(system, request, tmp_path, astronaut):
    """A function that renders a sound by the system, and says what the canonical clip is."""
    config = request.config
    card = shipped_card(system).with_interpreter(config.getoption("--interpreter"))
    checkout = (Path(config.getoption("--checkouts")) / card.program.checkout).absolute()
    photo = load_portrait(astronaut).rgb

    def render(name: str, speech: np.ndarray) -> Canonical:
        video, audio = tmp_path / f"{name}.mp4", tmp_path / f"{name}.wav"
        write_video(video, [photo] * N)
        write_wav(audio, speech)
        clip = AlignedClip(
            clip_id=name, source_clip_id=name, dataset="set", subject="ada", emotion="neutral", intensity=0.0, language="en",
            split="test", video=str(video), audio=str(audio), n_frames=N, size_px=512, start_s=0.0, crop_x0_px=0.0,
            crop_y0_px=0.0, crop_side_px=512.0, applied_offset_frames=0.0,
        )  # fmt: skip
        driver = Driver(card.program, checkout, {name: np.zeros((N, 7), np.float32)}, {})
        pad = padding(COVERAGES[card.program.padding], N)
        drive_clip(driver, Chosen(clip, N), pad, tmp_path / "made", name)
        framing = card.model_copy(update={"pictures": card.pictures.model_copy(update={"reframes": False})}).framing(
            pad.skipped, pad.behind
        )
        expected = Expected(N, 512, np.zeros_like(speech), framing, may_freeze=True)
        return canonicalise(tmp_path / "made" / f"{name}.mp4", expected, tmp_path / f"{name}.canonical.mkv")

    return render


def test_all_frames_are_there_and_late_sound_is_late(rendered):
    rng = np.random.default_rng(0)
    loudness = np.repeat(rng.uniform(0, 0.3, N), frames_to_samples(1))
    speech = (loudness * rng.normal(size=len(loudness))).clip(-1, 1).astype(np.float32)
    late = np.concatenate([np.zeros(frames_to_samples(LATE), np.float32), speech[: -frames_to_samples(LATE)]])
    videos = [rendered(name, sound) for name, sound in (("prompt", speech), ("late", late))]
    first, second = ([frame.rgb.astype(float) for frame in decode_video(video.path)] for video in videos)
    assert len(first) == len(second) == N and videos[0].held_frames == 0
    inner = range(LATE, N - 2 * LATE)  # the ends hear silence instead
    together = np.mean([np.abs(first[i] - second[i + LATE]).mean() for i in inner])
    apart = np.mean([np.abs(first[i] - second[i]).mean() for i in inner])
    assert together < SAME_GREY and together < apart, f"late by {LATE} frames: {together:.2f}, at the same time: {apart:.2f}"
