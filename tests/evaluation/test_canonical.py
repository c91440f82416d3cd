"""Every video becomes frames on the recording's clock, or a row with the right reason: twenty-odd kinds of broken outputs."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.broken_outputs import KINDS, Good
from evaluation.canonical import Expected, Framing, canonicalise
from evaluation.own_sound import is_silent, lag_between
from evaluation.reasons import REASONS, NotCanonical
from evaluation.verdict import Verdict, judge
from space_data.media.encode import VideoWriter, set_rotation, write_video
from space_data.media.lossless import write_lossless
from space_data.media.video import decode_video
from space_data.timebase import frames_to_samples

N, SIDE = 50, 96


def picture(i: float, width: int = SIDE, height: int = SIDE) -> np.ndarray:
    """A bar that moves a pixel per 25 fps frame over a gradient: its place says which frame it is."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[...] = np.linspace(40, 90, height).astype(np.uint8)[:, None, None]
    at = 10 + i * width / SIDE
    rgb[:, round(at) : round(at + 12 * width / SIDE)] = 220
    return rgb


def number(rgb: np.ndarray) -> int:
    """Which frame of ``picture`` it is."""
    bright = rgb[rgb.shape[0] // 2, :, 0] > 150
    return round(float(np.argmax(bright)) * SIDE / rgb.shape[1]) - 10


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    rng = np.random.default_rng(3)
    n = frames_to_samples(N)
    return (0.2 * np.abs(np.sin(np.arange(n) / 2500)) * rng.normal(size=n)).clip(-1, 1).astype(np.float32)


@pytest.fixture
def expected(speech) -> Expected:
    return Expected(N, SIDE, speech)


def numbers(path: Path) -> list[int]:
    return [number(frame.rgb) for frame in decode_video(path)]


def test_a_file_that_is_canonical_is_scored_as_it_is(tmp_path, expected, speech):
    write_video(tmp_path / "a.mp4", [picture(i) for i in range(N)], audio=speech)
    found = canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv")
    assert found.path == tmp_path / "a.mp4" and not (tmp_path / "out.mkv").exists()
    assert (found.native_width_px, found.native_fps, found.native_frames) == (SIDE, 25, N)
    assert (found.own_sound, found.held_frames) == ("same", 0)


@pytest.mark.parametrize(("fps", "frames"), [(Fraction(30), 60), (Fraction(125, 2), 125), (Fraction(10), 20)])
def test_other_rates_are_taken_by_time(tmp_path, expected, fps, frames):
    write_video(tmp_path / "a.mp4", [picture(i * 25 / float(fps)) for i in range(frames)], fps=fps, crf=4)
    found = canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv")
    seen = numbers(found.path)
    assert len(seen) == N and found.own_sound == "none" and found.native_fps == pytest.approx(float(fps), abs=0.01)
    assert max(abs(got - want) for got, want in zip(seen, range(N), strict=True)) <= max(1, 25 / float(fps))


def test_uneven_time_stamps_are_followed(tmp_path, expected):
    with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, crf=4) as writer:
        for i in [*range(0, 20), *range(20, 40, 4), *range(40, N)]:
            writer.write(picture(i), pts_s=i / 25)
    found = canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv")
    assert numbers(found.path) == [i if not 20 <= i < 40 else 20 + (i - 20) // 4 * 4 for i in range(N)]


def test_frames_are_kept_without_loss_and_resized_in_the_open(tmp_path, expected):
    write_lossless(tmp_path / "a.mkv", (picture(i, 64, 64) for i in range(N)))
    found = canonicalise(tmp_path / "a.mkv", expected, tmp_path / "out.mkv")
    assert (found.native_width_px, found.native_height_px) == (64, 64)
    frames = list(decode_video(found.path))
    assert len(frames) == N and frames[0].rgb.shape == (SIDE, SIDE, 3)
    write_lossless(tmp_path / "b.mkv", (picture(i) for i in range(N + 1)))
    trimmed = canonicalise(tmp_path / "b.mkv", expected, tmp_path / "b_out.mkv")
    for frame, i in zip(decode_video(trimmed.path), range(N), strict=True):
        assert (frame.rgb == picture(i)).all(), "a frame too many is cut, the others are the very same"


def test_a_panel_is_cut_out(tmp_path, expected):
    """Three panels at 62.5 frames per second, the middle one counts."""
    side = np.zeros((SIDE, SIDE, 3), np.uint8)
    frames = [np.hstack([side, picture(i * 25 / 62.5), side + 255]) for i in range(125)]
    write_video(tmp_path / "a.mp4", frames, fps=Fraction(125, 2), crf=4)
    with pytest.raises(NotCanonical, match="288x96"):
        canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv")
    framing = Framing(panel=(1 / 3, 0, 2 / 3, 1))
    seen = numbers(canonicalise(tmp_path / "a.mp4", replace(expected, framing=framing), tmp_path / "out.mkv").path)
    assert max(abs(a - b) for a, b in zip(seen, range(N), strict=True)) <= 1


def test_what_is_missing_at_the_end_is_held_and_counted(tmp_path, expected):
    write_video(tmp_path / "a.mp4", [picture(i) for i in range(N - 4)], crf=4)
    with pytest.raises(NotCanonical, match="46 frames at 25 per second, need 50"):
        canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv")
    found = canonicalise(tmp_path / "a.mp4", replace(expected, framing=Framing(held_frames=3)), tmp_path / "out.mkv")
    assert found.held_frames == 4 and numbers(found.path) == [*range(N - 4), *[N - 5] * 4]


def test_a_frame_counts_whose_middle_is_shown(tmp_path, expected):
    """124 frames at 62.5 per second end at 1.984 s: after the middle of the 50th frame, which is hence the system's own."""
    write_video(tmp_path / "a.mp4", [picture(i * 25 / 62.5) for i in range(124)], fps=Fraction(125, 2))
    assert canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv").held_frames == 0
    write_video(tmp_path / "b.mp4", [picture(i * 25 / 62.5) for i in range(123)], fps=Fraction(125, 2))
    assert canonicalise(tmp_path / "b.mp4", expected, tmp_path / "out.mkv").held_frames == 1


def test_frames_before_the_clip_are_skipped_with_their_sound(tmp_path, expected, speech):
    lead = 5
    frames = [picture(0)] * lead + [picture(i) for i in range(N)] + [picture(N)] * 8
    sound = np.concatenate([np.zeros(frames_to_samples(lead), np.float32), speech, np.zeros(frames_to_samples(8), np.float32)])
    write_video(tmp_path / "a.mp4", frames, crf=4, audio=sound)
    framing = Framing(skipped_frames=lead, surplus_frames=8)
    found = canonicalise(tmp_path / "a.mp4", replace(expected, framing=framing), tmp_path / "out.mkv")
    assert numbers(found.path) == list(range(N)) and found.own_sound == "same"


def test_a_file_whose_pictures_begin_late_has_no_first_frames(tmp_path, expected, speech):
    with VideoWriter(tmp_path / "a.mp4", SIDE, SIDE, audio=speech) as writer:
        for i in range(5, N):
            writer.write(picture(i), pts_s=i / 25)
    with pytest.raises(NotCanonical, match="45 frames") as refusal:
        canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv")
    assert refusal.value.reason == "frame_count"


def test_turned_and_deep_pictures_are_fine(tmp_path, expected):
    write_video(tmp_path / "a.mp4", [np.rot90(picture(i)) for i in range(N)], crf=4)
    set_rotation(tmp_path / "a.mp4", 90)
    assert numbers(canonicalise(tmp_path / "a.mp4", expected, tmp_path / "out.mkv").path) == list(range(N))
    with av.open(str(tmp_path / "ten.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = SIDE, SIDE, "yuv420p10le", {"crf": "4"}
        for i in range(N):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24").reformat(format="yuv420p10le")))
        container.mux(stream.encode(None))
    assert numbers(canonicalise(tmp_path / "ten.mkv", expected, tmp_path / "out.mkv").path) == list(range(N))


def test_a_control_may_stand_still(tmp_path, expected):
    write_video(tmp_path / "a.mp4", [picture(0)] * N)
    assert canonicalise(tmp_path / "a.mp4", replace(expected, may_freeze=True), tmp_path / "out.mkv").path.suffix == ".mp4"


def test_the_face_is_cut_out_where_the_system_frames_by_itself(tmp_path, expected, astronaut):
    frames = [np.roll(astronaut, i % 3, axis=1) for i in range(N)]
    write_video(tmp_path / "a.mp4", frames, crf=18)
    square = replace(expected, size_px=128, framing=Framing(reframes=True))
    found = canonicalise(tmp_path / "a.mp4", square, tmp_path / "out.mkv")
    first = next(decode_video(found.path)).rgb
    assert first.shape == (128, 128, 3) and found.native_width_px == astronaut.shape[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_video_has_its_reason(tmp_path, expected, speech, kind):
    reason, spoil = KINDS[kind]

    def busy(i: int, width: int, height: int) -> np.ndarray:
        noise = np.random.default_rng(i).integers(0, 30, (height, width, 1))
        return np.clip(picture(i, width, height) + noise, 0, 255).astype(np.uint8)

    good = Good(tmp_path / "good.mp4", busy, N, SIDE, speech)
    write_video(good.path, good.frames(), audio=speech)
    spoil(tmp_path / "broken.mp4", good)
    verdict = judge(tmp_path / "broken.mp4", expected, tmp_path / "out.mkv")
    assert (verdict.reason, verdict.canonical) == (reason, None), verdict.detail
    assert verdict.detail and reason in REASONS
    assert not (tmp_path / "out.mkv").exists()


def test_no_face_to_cut_out(tmp_path, expected):
    write_video(tmp_path / "a.mp4", [picture(i) for i in range(N)])
    verdict = judge(tmp_path / "a.mp4", replace(expected, framing=Framing(reframes=True)), tmp_path / "out.mkv")
    assert verdict.reason == "no_face"


def test_a_file_that_may_not_be_read(tmp_path, expected, monkeypatch):
    write_video(tmp_path / "a.mp4", [picture(i) for i in range(N)])

    def refuse(self, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert judge(tmp_path / "a.mp4", expected, tmp_path / "out.mkv").reason == "unreadable"


def test_a_verdict_survives_its_file(tmp_path, expected):
    write_video(tmp_path / "a.mp4", [picture(i) for i in range(N)])
    for verdict in (judge(tmp_path / "a.mp4", expected, tmp_path / "out.mkv"), Verdict("frozen", "one picture")):
        verdict.save(tmp_path / "verdict.json")
        assert Verdict.load(tmp_path / "verdict.json") == verdict


@pytest.mark.parametrize("delay", [0, 1, 4800, -4800])
def test_lags_are_found_whatever_the_volume(speech, delay):
    own = -0.05 * (np.pad(speech, (delay, 0)) if delay >= 0 else speech[-delay:])
    found = lag_between(speech, own.astype(np.float32))
    assert found.seconds == pytest.approx(delay / 16_000, abs=1e-6) and found.correlation == pytest.approx(1, abs=1e-3)


def test_silence_is_silent():
    assert is_silent(np.zeros(0, np.float32)) and is_silent(np.full(100, 1e-4, np.float32))
    assert not is_silent(np.full(100, 0.01, np.float32))
