"""Cases from life, as they came; their siblings are made by the tests of the parts they touch.

Those that must be built from real clips (`../shared/cases/make`) run where FFmpeg's program and PyAV can build them.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines.job.unit import Rejected
from pipelines.readers import list_sources
from pipelines.stages.ingest import Task, read_facts
from space_data.errors import SpaceError
from space_data.media.images import read_image
from space_data.media.probe import probe
from space_data.media.sound import decode_sound
from space_data.media.video import VideoFacts, decode_video
from space_models.portrait import load_portrait


def test_sound_that_a_plain_conversion_would_lose(shared_cases: Path) -> None:
    opposite, nan = decode_sound(shared_cases / "antiphase.wav"), decode_sound(shared_cases / "nan.wav")
    assert opposite.facts.treatment.channel is not None and np.abs(opposite.samples).max() > 0.1
    assert nan.facts.bad_samples > 0 and np.isfinite(nan.samples).all() and np.abs(nan.samples).max() > 0.1


def test_parts_of_mp3_joined_with_cat(shared_cases: Path) -> None:
    assert len(decode_sound(shared_cases / "joined.mp3").samples) / 16_000 == pytest.approx(6.1, abs=0.1)


@pytest.mark.parametrize("name", ["rotated_alpha.png", "cutout16.png"])
def test_pictures_that_must_look_like_the_upright_one(shared_cases: Path, name: str) -> None:
    files = (shared_cases / "upright.png", shared_cases / name)
    wanted, found = (cv2.resize(read_image(file), (192, 192), interpolation=cv2.INTER_AREA) for file in files)
    assert np.abs(found.astype(int) - wanted).mean() < 3 and np.abs(found[:20, :20].astype(int) - 127).max() <= 1
    green = found[..., 1].astype(int) - found[..., [0, 2]].max(axis=-1)
    assert green.max() < 30, "what lies under the transparent parts does not show"


@pytest.mark.parametrize("name", ["extra.csv", "openquote.csv"])
def test_a_broken_table_is_one_line_with_file_and_row(shared_cases: Path, tmp_path: Path, name: str) -> None:
    for clip in "abc":
        (tmp_path / f"{clip}.mp4").write_bytes(b"x")
    shutil.copy(shared_cases / name, tmp_path / "labels.csv")
    with pytest.raises(SpaceError, match="labels.csv row 2") as error:
        list_sources("folder", tmp_path)
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module")
def made(shared_cases: Path, shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cases that need real clips, without those that need long encoding.

    Without size-changes too, whose VP8 encoder was seen to spin for ever on a busy machine; ``test_video`` makes its sibling.
    """
    if shutil.which("ffmpeg") is None:
        pytest.skip("FFmpeg's program, which builds these cases, is not installed")
    folder = tmp_path_factory.mktemp("cases")
    for case in ("copy-cut", "cover-first", "second-track", "mirrored", "bad-packet", "time-stamps-restart",
                 "turned-portrait", "symlink-loop", "flat-corpora", "concat-script", "name-in-two-forms"):  # fmt: skip
        subprocess.run([shared_cases / "make", folder, case], check=True, capture_output=True, timeout=120)
    return folder


def decoded(path: Path) -> tuple[list[Any], VideoFacts]:
    facts = VideoFacts()
    return list(decode_video(path, facts=facts)), facts


def test_a_cut_without_encoding_shows_what_it_should(made: Path) -> None:
    for name, shown, hidden in (("cut.mp4", 89, 33), ("cut_hevc.mp4", 102, 93)):
        frames, info = decoded(made / "copy-cut" / name)[0], probe(made / "copy-cut" / name)
        assert (len(frames), info.shown_frames, info.hidden_frames) == (shown, shown, hidden)


def test_a_cover_is_no_video(made: Path) -> None:
    assert len(decoded(made / "cover-first" / "cover_first.mp4")[0]) == 122
    assert probe(made / "cover-first" / "cover_first.mp4").width == 524


def test_the_default_track_is_heard(made: Path) -> None:
    path = made / "second-track" / "dub_first.mkv"
    default, first, second = (decode_sound(path, track=track).samples for track in (None, 0, 1))
    assert (default == second).all() and not np.array_equal(first, second)


def test_a_mirrored_picture_is_upright(made: Path, shared_media: Path) -> None:
    mirrored = next(decode_video(made / "mirrored" / "mirrored.mp4")).rgb
    plain = cv2.resize(next(decode_video(shared_media / "clean_f_524_glasses.mp4")).rgb, (320, 320), interpolation=cv2.INTER_AREA)
    assert np.abs(mirrored.astype(int) - plain).mean() < 5


def test_joined_recordings_follow_each_other(made: Path) -> None:
    frames, _ = decoded(made / "time-stamps-restart" / "joined.ts")
    assert [i for i, f in enumerate(frames) if f.begins_part] == [100] and frames[-1].pts_s == pytest.approx(8.0, abs=0.1)
    assert len(decode_sound(made / "time-stamps-restart" / "joined.ts").samples) / 16_000 == pytest.approx(8.1, abs=0.1)


def test_one_damaged_packet_is_not_the_end(made: Path, shared_media: Path) -> None:
    sound = decode_sound(made / "bad-packet" / "bad_sound_packet.mp4")
    whole = decode_sound(shared_media / "clean_f_524_glasses.mp4").samples
    assert sound.facts.damaged == 1 and len(sound.samples) == pytest.approx(len(whole), abs=2)
    fits = [np.corrcoef(sound.samples[60_000 + lag : 76_000 + lag], whole[60_000:76_000])[0, 1] for lag in (-1, 0, 1)]
    assert max(fits) > 0.95, "what comes after lies where it lay, to a sample"


def test_a_portrait_on_its_side_is_turned_or_refused(made: Path, shared_media: Path) -> None:
    turned = load_portrait(made / "turned-portrait" / "turned.png")
    upright = load_portrait(shared_media / "f_closed_mouth_474.png")
    assert any("turned" in warning for warning in turned.warnings)
    assert np.abs(turned.landmarks[:, :2] - upright.landmarks[:, :2]).max() < 10


def test_a_script_is_no_media(made: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected) as rejection:
        read_facts(Task(str(made / "concat-script" / "script.mp4"), "", (0.0, None), (0, 0, 0, 0), 0))
    assert rejection.value.reason == "not_media"


def test_links_names_and_flattened_corpora(made: Path) -> None:
    loop = list_sources("folder", made / "symlink-loop")
    assert [s.clip_id for s in loop.sources] == ["symlink-loop/a"] and not loop.unaccounted()
    (named,) = list_sources("folder", made / "name-in-two-forms").sources
    assert (named.emotion, named.intensity) == ("happy", 1.0)
    vox = list_sources("voxceleb2", made / "flat-corpora" / "vox").sources
    assert [s.subject for s in vox] == ["vox2/id00012", "vox2/id00012", "vox2/id00017"]
    assert {s.emotion for s in vox} == {"unknown"}
    mead = list_sources("mead", made / "flat-corpora" / "mead").sources
    assert [(s.subject, s.emotion, round(s.intensity, 2)) for s in mead] == [
        ("mead/M003", "angry", 0.33), ("mead/M003", "happy", 0.33), ("mead/M030", "sad", 1.0),
    ]  # fmt: skip
    for corpus, people in (("vox", 2), ("mead", 2)):
        assert len({s.subject for s in list_sources("folder", made / "flat-corpora" / corpus).sources}) == people
