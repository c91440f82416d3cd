"""Ingest to filter on tiny clips and bad files: nothing is lost, and the number of workers changes no byte.

Align and features, which need kept clips, are compared in their own tests.
"""

import base64
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_clips import bad_and_good_folder, buzz, folder_params

from pipelines.job.stage import Context
from pipelines.layout import Layout
from pipelines.stages import filter, ingest, measure, segment, sync
from space_data.media.encode import write_video
from space_data.params import load_params
from space_data.schema import Clip, ClipMeasure, FrameRow, LedgerRow, Measure, SoundRow, Thumbnail
from space_data.tables import read_arrow, read_table
from space_data.thumbnails import shrink


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> list[Layout]:
    """Ingested, measured, cut, compared with the sound and judged, with one worker, two and four; then the videos are deleted."""
    from skimage.data import astronaut

    root = bad_and_good_folder(tmp_path_factory.mktemp("in") / "set", astronaut())
    layouts = []
    for workers in (1, 2, 4):
        layout = Layout.in_folder(tmp_path_factory.mktemp(f"out{workers}"))
        params = folder_params(root, workers)
        for stage in (ingest, measure, segment, sync, filter):
            stage.run(params, layout)
        layouts.append(layout)
    shutil.rmtree(root)
    return layouts


@pytest.mark.parametrize("other", [1, 2])
def test_same_bytes_for_one_two_and_four_workers(measured: list[Layout], other: int) -> None:
    one, two = measured[0], measured[other]

    def made(layout: Layout) -> list[Path]:
        patterns = ("*.parquet", "manifest.json", "*.npz", "metrics.json", "*.csv")
        found = (p.relative_to(layout.data) for pattern in patterns for p in Path(layout.data).rglob(pattern))
        return sorted(file for file in found if ".cache" not in file.parts)

    files = made(one)
    # two shards each of clips and utterances, of the clips, frames, sound and thumbnails of measure, segments, windows and
    # segments of sync, decisions, and five ledgers; five manifests, the scorer of sync, the audit's figures and what it plots
    assert len(files) >= 38 and files == made(two), files
    for file in files:
        assert (Path(one.data) / file).read_bytes() == (Path(two.data) / file).read_bytes(), file


def test_every_file_is_accounted_for(measured: list[Layout]) -> None:
    ledger = {row.clip_id: (row.status, row.reason) for row in read_table(measured[0].ledger("ingest"), LedgerRow)}
    assert ledger == {
        "set/a/cut": ("kept", ""),
        "set/b/mute": ("kept", ""),
        "set/empty": ("rejected", "empty_file"),
        "set/text": ("rejected", "not_media"),
        "set/half": ("rejected", "unreadable"),
    }
    assert [clip.clip_id for clip in read_table(measured[0].clips, Clip)] == ["set/a/cut", "set/b/mute"]


def test_scores_of_the_clips(measured: list[Layout]) -> None:
    rows = read_table(measured[0].measures, Measure)
    first, second, mute = [row for row in rows if row.first_frame in (0, 20)]
    assert [first.clip_id, second.clip_id, mute.clip_id] == ["set/a/cut#0", "set/a/cut#1", "set/b/mute"]
    assert (first.first_frame, first.end_frame, second.first_frame, second.end_frame) == (0, 20, 20, 40)
    assert first.length_s == pytest.approx(0.8, abs=1e-6) and mute.length_s == pytest.approx(0.48, abs=1e-6)
    assert first.has_audio and not mute.has_audio and mute.audio_s == 0
    assert first.speech_share == 0 and first.peak_level_db == pytest.approx(-13.5, abs=1.5)  # a 0.3 sine
    assert mute.lost_share == 0 and mute.face_width_px is not None and 60 < mute.face_width_px < 140
    assert mute.yaw_median_deg is not None and mute.yaw_median_deg < 20 and mute.several_faces_share == 0
    assert mute.reblur_ratio is not None and mute.reblur_ratio < 0.4 and mute.frame_difference > 0.5


def test_filter_opens_no_video(measured: list[Layout]) -> None:
    """The videos are gone by now: another bound gives other decisions and a page with every picture."""
    layout = measured[0]
    params = folder_params(Path(layout.data) / "nowhere")
    page = Path(layout.audit / "index.html")
    for shortest_s, too_short in ((0.1, 0), (9.0, 3)):
        length = params.filter.length_s.model_copy(update={"reject": shortest_s})
        filter.run(params.model_copy(update={"filter": params.filter.model_copy(update={"length_s": length})}), layout)
        short = [row for row in read_table(layout.ledger("filter"), LedgerRow) if row.reason == "too_short"]
        assert len(short) == too_short
        html = page.read_text()
        assert len(set(re.findall('data:image/jpeg;base64,([^"]+)', html))) == 2  # two of three segments begin alike
        for picture in read_table(layout.thumbnails, Thumbnail):
            assert base64.b64encode(picture.jpeg).decode() in html, picture.clip_id


def test_thumbnails_at_the_start_and_after_a_cut(measured: list[Layout], astronaut: np.ndarray) -> None:
    pictures = read_table(measured[0].thumbnails, Thumbnail)
    assert [p.clip_id for p in pictures] == ["set/a/cut", "set/a/cut", "set/b/mute"]
    assert (pictures[0].frame, pictures[2].frame) == (0, 0) and 20 <= pictures[1].frame < 30
    for picture, upright in zip(pictures, (True, False, True), strict=True):
        shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        small = astronaut[0:256, 96:352]
        scene = np.roll(small if upright else 255 - small[::-1], picture.frame % 20, axis=1)
        assert np.abs(shown.astype(int) - shrink(scene)).mean() < 8


def test_frames_and_sound(measured: list[Layout]) -> None:
    frames = read_table(measured[0].frames, FrameRow)
    wanted = [("set/a/cut", i) for i in range(40)] + [("set/b/mute", i) for i in range(12)]
    assert [(f.clip_id, f.frame) for f in frames] == wanted
    cut = frames[:40]
    assert [f.shot for f in cut] == [0] * 20 + [1] * 20
    np.testing.assert_allclose([f.pts_s for f in cut], np.arange(40) / 25, atol=1e-6)
    assert cut[20].frame_difference > 5 * cut[10].frame_difference
    # a portrait that moves one pixel to the right per frame
    x = np.array([f.landmarks_px[0] for f in frames[40:]])
    assert np.polyfit(np.arange(12), x, 1)[0] == pytest.approx(1.0, abs=0.2)
    sound = read_arrow(measured[0].sound, SoundRow)
    assert set(sound["clip_id"].to_pylist()) == {"set/a/cut"} and len(sound) >= 160


def screened(tmp_path: Path, frames: list[np.ndarray], audio: np.ndarray | None) -> ClipMeasure:
    """What ``measure`` says of a clip with the screen on."""
    path = tmp_path / "in" / "c.mp4"
    write_video(path, frames, audio=audio)
    layout = Layout.in_folder(tmp_path / "out")
    params = folder_params(path.parent, screen=True)
    for stage in (ingest, measure, segment):
        stage.run(params, layout)
    (row,) = read_table(layout.clip_measures, ClipMeasure)
    assert bool(row.screened) == (len(read_arrow(layout.frames, FrameRow)) == 0)
    assert {segment.screened for segment in read_table(layout.measures, Measure)} == {row.screened}
    return row


def speechlike(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Real enough for the voice detector: espeak's voice."""
    from space_data.synthetic.espeak import Voice, speak

    audio = speak("The quick brown fox jumps over the lazy dog, and then it does so again.", Voice("en-us")).audio
    return np.resize(audio, n_frames * 640).astype(np.float32)


def test_screen_passes_over_what_cannot_be_kept(tmp_path: Path, astronaut: np.ndarray, rng: np.random.Generator) -> None:
    face = [np.ascontiguousarray(astronaut[0:256, 96:352])] * 60
    assert screened(tmp_path / "mute", face, None).screened == "no_audio"
    assert screened(tmp_path / "zero", face, np.zeros(60 * 640, np.float32)).screened == "silent"
    assert screened(tmp_path / "buzz", face, buzz(60)).screened == "no_speech"
    assert screened(tmp_path / "tiny", [frame[:80, :80] for frame in face], buzz(60)).screened == "low_resolution"


def test_screen_tells_a_face_anywhere_from_none(tmp_path: Path, astronaut: np.ndarray, rng: np.random.Generator) -> None:
    wall = [np.full((256, 256, 3), 90, np.uint8)] * 50
    face = [np.ascontiguousarray(astronaut[0:256, 96:352])] * 30
    voice = speechlike(80, rng)
    assert screened(tmp_path / "wall", wall, voice[: 50 * 640]).screened == "no_face"
    late = screened(tmp_path / "late", [*wall, *face], voice)
    assert (late.screened, late.decoded_frames) == ("", 80)


def test_weights_count_by_their_content_not_by_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from space_data import face_alignment_backend

    monkeypatch.setattr(face_alignment_backend, "weight_files", lambda folder: tuple(folder / name for name in "abc"))
    params = load_params()

    def known_by(folder: str, content: str, landmarks: str = "face_alignment") -> dict[str, str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in "abc":
            (tmp_path / folder / name).write_text(f"{name} {content}")
        changed = params.measure.model_copy(update={"landmarks": landmarks, "weights": str(tmp_path / folder)})
        return measure.prepare(Context(params.model_copy(update={"measure": changed}), Layout.in_folder(tmp_path)))

    assert known_by("one", "first") == known_by("two", "first") != known_by("one", "second")
    assert known_by("one", "first", "mediapipe") == {}, "it needs none: its keys and manifests are what they were"
