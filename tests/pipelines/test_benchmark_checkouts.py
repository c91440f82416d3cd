"""The real repositories through their cards: ``pytest -m checkout -n 0 --checkouts DIR --interpreter PYTHON``.

A card ``DIR/<system>.yaml`` takes the place of the shipped one: `tests/support/random_checkouts.py` writes them, and weights.

What must hold whatever the weights: all frames are there, and sound ten frames late gives the same video ten frames late (ten: a
whole number of frames also at 62.5 per second).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.canonical import Canonical, Expected, canonicalise
from evaluation.external.adapters import MAKEITTALK_PX
from evaluation.external.card import Card, Pictures, read_card, shipped_card
from evaluation.external.coverage import COVERAGES, padding
from evaluation.external.drive import missing_files
from evaluation.lists.clip_list import Chosen
from pipelines.benchmark.drive import Driver, drive_clip
from space_data.media.encode import write_video, write_wav
from space_data.media.video import decode_video
from space_data.schema import AlignedClip
from space_data.timebase import AUDIO_HZ, frames_to_samples
from space_models.portrait import load_portrait

pytestmark = pytest.mark.checkout
N, LATE, SIDE = 30, 10, 512
LAGS = range(-3, LATE + 4)
SAME_GREY = 5.0
"""Mean difference of grey levels between a picture and what two lossy codings left of it: 3.3, of another panel 85."""


@pytest.fixture(params=["wav2lip", "pc_avs", "makeittalk"])
def system(request) -> str:
    return request.param


@pytest.fixture
def card(system, request) -> Card:
    config = request.config
    root = Path(config.getoption("--checkouts") or "")
    if root == Path():
        pytest.skip("no --checkouts")
    found = read_card(path) if (path := root / f"{system}.yaml").is_file() else shipped_card(system)
    if missing := missing_files(found.program, root / found.program.checkout):
        pytest.skip(f"not installed: {missing[0]}")
    return found.with_interpreter(config.getoption("--interpreter"))


@dataclass
class Rendered:
    made: Path
    canonical: Canonical


def grey(video: Path) -> np.ndarray:
    """Frames (n, height, width)."""
    return np.stack([frame.rgb.mean(axis=-1) for frame in decode_video(video)])


@pytest.fixture
def photo(astronaut) -> np.ndarray:
    return load_portrait(astronaut).rgb


@pytest.fixture
def render(card, request, tmp_path, photo) -> Callable[[str, np.ndarray], Rendered]:
    """What a system makes of a sound (640 N,), in its own framing."""
    checkout = (Path(request.config.getoption("--checkouts")) / card.program.checkout).absolute()

    def rendered(name: str, speech: np.ndarray) -> Rendered:
        video, audio = tmp_path / f"{name}.mp4", tmp_path / f"{name}.wav"
        write_video(video, [photo] * N)
        write_wav(audio, speech)
        clip = AlignedClip(
            clip_id=name, source_clip_id=name, dataset="set", subject="ada", emotion="neutral", intensity=0.0, language="en",
            split="test", video=str(video), audio=str(audio), n_frames=N, size_px=SIDE, start_s=0.0, crop_x0_px=0.0,
            crop_y0_px=0.0, crop_side_px=512.0, applied_offset_frames=0.0,
        )  # fmt: skip
        driver = Driver(card.program, checkout, {name: np.zeros((N, 7), np.float32)}, {})
        pad = padding(COVERAGES[card.program.padding], N)
        drive_clip(driver, Chosen(clip, N), pad, tmp_path / "made", name)
        made = tmp_path / "made" / f"{name}.mp4"
        # Random weights draw no face that could be cut out, and hardly move.
        framing = card.model_copy(update={"pictures": Pictures(panel=card.pictures.panel)}).framing(pad.skipped, pad.behind)
        expected = Expected(N, SIDE, speech, framing, may_freeze=True)
        return Rendered(made, canonicalise(made, expected, tmp_path / f"{name}.canonical.mkv"))

    return rendered


def voice() -> np.ndarray:
    """Sound (640 (N - LATE),): a voice whose pitch and loudness change from frame to frame."""
    rng = np.random.default_rng(0)
    loudness, pitch_hz = (np.repeat(rng.uniform(*span, N - LATE), frames_to_samples(1)) for span in ((0, 0.3), (120, 250)))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / AUDIO_HZ
    return (loudness * sum(np.sin(k * phase) / k for k in range(1, 12))).clip(-1, 1).astype(np.float32)


def test_all_frames_are_there_and_late_sound_is_late(system, render, photo):
    """Also that the panel beside MakeItTalk's own is the portrait, so that the middle one is the right one."""
    silence = np.zeros(frames_to_samples(LATE), np.float32)
    prompt, late = render("prompt", np.concatenate([voice(), silence])), render("late", np.concatenate([silence, voice()]))
    if system == "makeittalk":
        side = MAKEITTALK_PX
        portrait = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA).mean(axis=-1)
        made = grey(prompt.made)
        assert made.shape[1:] == (side, 3 * side) and np.abs(made[:, :, :side] - portrait).mean() < SAME_GREY
    first, second = grey(prompt.canonical.path), grey(late.canonical.path)
    assert len(first) == len(second) == N and prompt.canonical.held_frames == late.canonical.held_frames == 0
    inner = np.arange(-min(LAGS), N - max(LAGS))
    apart = {lag: float(np.abs(first[inner] - second[inner + lag]).mean()) for lag in LAGS}
    print(system, {lag: round(grey_levels, 2) for lag, grey_levels in apart.items()})
    assert min(apart, key=apart.get) == LATE, apart
