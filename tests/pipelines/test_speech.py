"""Stage ``speech`` with a seeded Whisper on a clip and an utterance: its rows are the encoder's; with log-mel there are none."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from declared_weights import declared_as, declared_file
from made_up_measures import CLIP
from whisper_files import seeded_encoder, write_own

from pipelines.layout import Layout
from pipelines.stages import features, speech
from space_data import weights
from space_data.errors import SpaceError
from space_data.features import FaceTrack, canonical_pose, feature_rows, speech_track
from space_data.files import sha256_of
from space_data.landmarks import N_LANDMARKS
from space_data.manifest import MANIFEST
from space_data.media.encode import as_16_bit, write_wav
from space_data.media.sound import decode_audio
from space_data.params import Params, load_params
from space_data.schema import (
    KEPT,
    Clip,
    FeatureClip,
    FeatureFrame,
    LedgerRow,
    SegmentCrop,
    SpeechFrame,
    Utterance,
    emotion_vector,
)
from space_data.segments import Piece, piece_sound
from space_data.speech import log_mel
from space_data.speech_states import cached_spec, stream_speech
from space_data.tables import read_arrow, read_table, write_sharded
from space_data.timebase import fit_samples, frames_to_samples
from space_models.speech_encoders import WhisperStates

REPOSITORY = Path(__file__).resolve().parents[2]
SHARDS, WHISPER = 2, "whisper-tiny.en"
SEGMENTS = {"set/a#0": (0.0, 22, 1.0), "set/a#1": (0.88, 23, 0.0)}
"""start_s, n_frames, offset_frames"""
UTTERANCE = "set/said"


@pytest.fixture
def layout(tmp_path: Path, rng: np.random.Generator) -> Layout:
    """What the stages before leave of a filmed clip with two segments (split val) and of an utterance (train)."""
    layout = Layout.in_folder(tmp_path / "run")
    sound = tmp_path / "raw" / "a.wav"
    said = tmp_path / "raw" / "said.wav"
    sound.parent.mkdir()
    for file in (sound, said):
        write_wav(file, rng.normal(0, 0.05, frames_to_samples(50)).astype(np.float32))
    clip = dataclasses.replace(
        CLIP, clip_id="set/a", path=str(sound), audio_path="", sha256=sha256_of(sound), split="val", duration_s=2.0,
    )  # fmt: skip
    crops = [SegmentCrop(i, "set/a", start, n, offset, 0, 0, 64, 64) for i, (start, n, offset) in SEGMENTS.items()]
    known = [("video", i, n, "val") for i, (_, n, _) in SEGMENTS.items()] + [("speech_only", UTTERANCE, 40, "train")]
    clips = [FeatureClip(i, kind, "set", "who", "", split, emotion_vector("neutral", 0.0), n) for kind, i, n, split in known]
    utterance = Utterance(
        **{field.name: "" for field in dataclasses.fields(Utterance)} | {
            "clip_id": UTTERANCE, "audio": str(said), "audio_sha256": sha256_of(said), "intensity": 0.0,
        }
    )  # fmt: skip
    write_sharded(layout.feature_split("val"), mel_rows(clip), FeatureFrame, 1)  # as the stage: segments stay with their clip
    write_sharded(layout.clips, [clip], Clip, SHARDS)
    write_sharded(layout.stage("ingest") / "utterances", [utterance], Utterance, SHARDS)
    write_sharded(layout.segment_crops, crops, SegmentCrop, SHARDS)
    write_sharded(layout.feature_clips, clips, FeatureClip, SHARDS)
    return layout


def heard(clip: Clip) -> dict[str, np.ndarray]:
    """The sound of the segments, as ``features`` hears it."""
    audio = decode_audio(Path(clip.path))
    return {i: as_16_bit(piece_sound(audio, Piece(i, start, n), offset)) for i, (start, n, offset) in SEGMENTS.items()}


def mel_rows(clip: Clip) -> list[FeatureFrame]:
    rows, points = [], np.random.default_rng(1).normal(size=(50, N_LANDMARKS, 3)).astype(np.float32)
    for clip_id, audio in heard(clip).items():
        n = SEGMENTS[clip_id][1]
        face = FaceTrack(points[:n], canonical_pose(n, 64), np.zeros(n, bool))
        rows += feature_rows(clip_id, face, speech_track(audio, n))
    return rows


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seeded weights, declared in place of the published ones."""
    (tmp_path / "weights").mkdir()
    declare(write_own(tmp_path / "weights" / "seeded.safetensors", seeded_encoder()), monkeypatch)
    return tmp_path / "weights"


def declare(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "declared", lambda: {weights.WHISPER: declared_as(declared_file(file), need="one")})


def params_with(encoder: str, folder: Path, workers: int = 1, layers: tuple[int, ...] = (4, 2)) -> Params:
    params = load_params(REPOSITORY / "params.yaml")
    heard_by = params.features.model_copy(update={"speech_encoder": encoder, "weights": str(folder), "speech_layers": layers})
    job = params.job.model_copy(update={"workers": workers, "shards": SHARDS, "attempts": 1})
    return params.model_copy(update={"features": heard_by, "job": job})


def read(layout: Layout, name: str, split: str | None = None) -> dict[str, np.ndarray]:
    return dict(stream_speech(name, layout.feature_frames, layout.speech, split))


def test_log_mel_leaves_the_table_empty_and_is_read_from_the_features(layout: Layout, tmp_path: Path) -> None:
    speech.run(params_with("log-mel", tmp_path / "none"), layout)
    assert len(read_arrow(layout.speech / "states", SpeechFrame)) == 0 and read_table(layout.ledger("speech"), LedgerRow) == []
    assert cached_spec(layout.speech).name == "log-mel"
    assert b"speech_layers" not in (layout.speech / MANIFEST).read(), "what is about Whisper changes nothing here"
    (clip,) = read_table(layout.clips, Clip)
    found = read(layout, "log-mel", "val")
    assert found.keys() == SEGMENTS.keys()
    for clip_id, audio in heard(clip).items():
        np.testing.assert_array_equal(found[clip_id].reshape(-1, 40), log_mel(audio))
    with pytest.raises(SpaceError, match="holds states of log-mel, need whisper-tiny.en .set features.speech_encoder"):
        read(layout, WHISPER)


def test_states_are_those_of_the_encoder_on_the_segments_sound(layout: Layout, weights_folder: Path) -> None:
    speech.run(params_with(WHISPER, weights_folder), layout)
    encoder = WhisperStates(seeded_encoder(), (4, 2))
    assert cached_spec(layout.speech) == encoder.spec
    (clip,) = read_table(layout.clips, Clip)
    (utterance,) = read_table(layout.stage("ingest") / "utterances", Utterance)
    wanted = heard(clip) | {UTTERANCE: fit_samples(decode_audio(Path(utterance.audio)), 40)}
    found = read(layout, WHISPER)
    assert found.keys() == wanted.keys() and read(layout, WHISPER, "train").keys() == {UTTERANCE}
    for clip_id, audio in wanted.items():
        assert found[clip_id].shape == (len(audio) // 640, 2, 768)
        # half precision: two threads round some values the other way
        np.testing.assert_allclose(found[clip_id], encoder.encode(audio), atol=2e-3)
    order = [table.column("clip_id").to_pylist() for table in (
        read_arrow(layout.feature_split("val"), FeatureFrame), read_arrow(layout.speech / "states" / "split=val", SpeechFrame),
    )]  # fmt: skip
    assert order[0] == order[1], "a loader may read the same row group of both tables"
    fates = {(row.clip_id, row.status) for row in read_table(layout.ledger("speech"), LedgerRow)}
    assert fates == {(clip_id, KEPT) for clip_id in wanted}


def test_other_weights_other_states_and_the_same_ones_from_another_file_none_anew(
    layout: Layout, weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = params_with(WHISPER, weights_folder)
    speech.run(params, layout)
    before, first = (layout.speech / MANIFEST).read(), read(layout, WHISPER)
    again = write_own(weights_folder / "again.safetensors", seeded_encoder())
    declare(again, monkeypatch)
    shards = {file.uri for file in (layout.speech / "states").files(".parquet", below=True)}
    speech.run(params, layout)
    assert {file.uri for file in (layout.speech / "states").files(".parquet", below=True)} == shards, "named by keys: kept"
    other = write_own(weights_folder / "other.safetensors", seeded_encoder(2))
    declare(other, monkeypatch)
    speech.run(params, layout)
    assert (layout.speech / MANIFEST).read() != before
    assert all(np.abs(states - first[clip_id]).max() > 0.1 for clip_id, states in read(layout, WHISPER).items())


def test_other_layers_are_heard_anew(layout: Layout, weights_folder: Path) -> None:
    speech.run(params_with(WHISPER, weights_folder), layout)
    both = read(layout, WHISPER)
    for layers in ((2,), ()):
        speech.run(params_with(WHISPER, weights_folder, layers=layers), layout)
        assert cached_spec(layout.speech).layers == layers
        for clip_id, states in read(layout, WHISPER).items():
            np.testing.assert_array_equal(states, both[clip_id][..., 384:] if layers else both[clip_id][..., :384])
    with pytest.raises(SpaceError, match=r"layers \[7\], need different ones of 0 ... 4"):
        speech.run(params_with(WHISPER, weights_folder, layers=(7,)), layout)


def test_back_to_log_mel_nothing_stays(layout: Layout, weights_folder: Path) -> None:
    speech.run(params_with(WHISPER, weights_folder), layout)
    speech.run(params_with("log-mel", weights_folder), layout)
    assert len(read_arrow(layout.speech / "states", SpeechFrame)) == 0


def test_missing_weights_stop_the_stage_with_the_command(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="weights whisper-tiny.en .*`space weights fetch whisper-tiny.en --folder"):
        speech.run(params_with(WHISPER, tmp_path / "none"), layout)


def test_the_encoder_is_no_setting_of_the_stage_features(tmp_path: Path) -> None:
    settings = [features.STAGE.settings(params_with(name, tmp_path)) for name in ("log-mel", WHISPER)]
    assert settings[0] == settings[1] and settings[0].model_dump() == {"min_frames": 38, "max_lost_share": 0.1}
