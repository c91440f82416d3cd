"""`animate` end to end on the public-domain portrait with small untrained networks: shape, sound, seeds, controls, bad input."""

import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from declared_weights import declared_as, declared_file
from made_up_talk import config, loud_network
from whisper_files import seeded_encoder, write_ctranslate2

from space_data import weights
from space_data.errors import SpaceError
from space_data.media.container import open_media
from space_data.media.encode import write_video, write_wav
from space_data.media.images import read_image, write_image
from space_data.media.probe import probe
from space_data.media.sound import decode_audio, decode_stereo
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.speech_encoder import LOG_MEL, WHISPER_TINY_EN, spec_of
from space_models.animate import animate
from space_models.checkpoints import Card, save_model
from space_models.controls.asked import Controls
from space_models.controls.emotion import parse_emotion
from space_models.motion import load_motion_models
from space_models.portrait import load_portrait
from space_models.posegen.model import PoseGen, PoseGenConfig
from space_models.s2l.calibrate import Calibration, save_calibration
from space_models.s2l.model import config_of, load_s2l
from space_models.s2l.network import FILTER_RANK
from space_models.speech_file import load_speech
from space_models.tracks import Tracks
from space_models.whisper_weights import encoder_sha256

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
N_FRAMES = 20


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny networks as the training stages leave them."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    s2l = loud_network(config())
    save_model(folder / "s2l", s2l, Card("s2l", config_of(s2l), "", "test"))
    sizes = {"lookahead_frames": 2, "memory_frames": 4}
    posegen = PoseGen(PoseGenConfig(**sizes))
    posegen.noise += torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.01, 0.01, 0.005], dtype=torch.float64))
    save_model(folder / "posegen", posegen, Card("posegen", sizes, "", "test"))
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> tuple[Path, Path]:
    """The portrait as a file, and 0.8 s of a voiced buzz in syllables."""
    folder = tmp_path_factory.mktemp("inputs")
    write_image(folder / "portrait.png", astronaut)
    time_s = np.arange(N_FRAMES * 640) / 16_000
    buzz = np.sign(np.sin(2 * np.pi * 120 * time_s)) * 0.3 * np.clip(np.sin(2 * np.pi * 4 * time_s), 0, None)
    write_wav(folder / "speech.wav", buzz.astype(np.float32))
    return folder / "portrait.png", folder / "speech.wav"


def run(inputs: tuple[Path, Path], models: Path, out: Path, emotion: str | None = None, **options: object) -> Tracks:
    """Animate, and read the tracks back."""
    image, audio = inputs
    tracks = out.with_suffix(".parquet")
    asked = {name: options.pop(name) for name in list(options) if name in Controls.__dataclass_fields__}
    controls = Controls(emotion=None if emotion is None else parse_emotion(emotion), **asked)  # type: ignore[arg-type]
    animate(image=image, audio=audio, out=out, params=PARAMS, models=models, tracks=tracks, controls=controls, **options)  # type: ignore[arg-type]
    return Tracks.read(tracks)


def test_a_video_with_its_sound_comes_out_and_repeats_with_its_seed(inputs, models: Path, tmp_path: Path) -> None:
    first = run(inputs, models, tmp_path / "a.mp4", seed=3)
    frames = list(decode_video(tmp_path / "a.mp4"))
    assert len(frames) == N_FRAMES and frames[0].rgb.shape == (512, 512, 3)
    heard, said = decode_audio(tmp_path / "a.mp4")[: N_FRAMES * 640], decode_audio(inputs[1])
    assert np.corrcoef(heard, said[: len(heard)])[0, 1] > 0.9  # AAC, in sync
    again = run(inputs, models, tmp_path / "b.mp4", seed=3)
    assert (first.edited == again.edited).all() and (first.pose == again.pose).all()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    with open_media(tmp_path / "a.mp4") as container:
        title, comment = (container.metadata[name] for name in ("title", "comment"))
    assert title.startswith("Generated video")
    assert comment.startswith("Generated video") and comment.endswith(f"SHA-256 {first.sha256()}"), "of the tracks as read again"


def test_coded_sound_is_kept_as_it_is_unless_it_has_to_be_cut(inputs, models: Path, tmp_path: Path) -> None:
    image, audio = inputs
    write_video(tmp_path / "said.mp4", [np.zeros((64, 64, 3), np.uint8)] * N_FRAMES, audio=decode_audio(audio))
    run((image, tmp_path / "said.mp4"), models, tmp_path / "a.mp4")
    run((image, audio), models, tmp_path / "b.mp4")

    def sound(name: str) -> list[bytes]:
        with open_media(tmp_path / name) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert sound("a.mp4") == sound("said.mp4")
    assert np.array_equal(decode_audio(tmp_path / "a.mp4"), decode_audio(tmp_path / "said.mp4"))
    Tracks.read(tmp_path / "a.parquet").first(N_FRAMES // 2).write(tmp_path / "half.parquet")
    run((image, tmp_path / "said.mp4"), models, tmp_path / "c.mp4", from_tracks=tmp_path / "half.parquet")
    assert len(sound("c.mp4")) < len(sound("a.mp4")) and probe(tmp_path / "c.mp4").duration_s == pytest.approx(0.4, abs=0.07)


def test_joined_recordings_are_told(inputs, models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image, audio = inputs
    write_video(tmp_path / "one.mp4", [np.zeros((64, 64, 3), np.uint8)] * N_FRAMES, audio=decode_audio(audio))
    (tmp_path / "two.mp4").write_bytes(2 * (tmp_path / "one.mp4").read_bytes())
    run((image, tmp_path / "two.mp4"), models, tmp_path / "a.mp4")
    assert "two.mp4: 0.8 s of other recordings are joined to its end and not heard" in caplog.text


def test_pose_modes_and_emotion_reach_the_tracks(inputs, models: Path, tmp_path: Path) -> None:
    moved = run(inputs, models, tmp_path / "a.mp4", seed=1)
    other = run(inputs, models, tmp_path / "b.mp4", seed=2, pose="still", emotion="happy:1")
    copied = run(inputs, models, tmp_path / "c.mp4", seed=5, pose=str(tmp_path / "a.parquet"))
    assert np.ptp(moved.pose, axis=0)[:3].max() > 0.1
    assert np.abs(other.pose).max() == 0
    assert copied.pose == pytest.approx(moved.pose, abs=1e-6)
    assert np.abs(other.edited - moved.edited).max() > 0


def test_a_calibration_named_with_tracks_lets_s2l_speak_anew(inputs, models: Path, tmp_path: Path) -> None:
    s2l = load_s2l(models / "s2l")
    shift = np.zeros(234, np.float32)
    shift[3 * 54] = 0.2
    zeros = np.zeros((234, s2l.config.hidden), np.float32), np.zeros((234, FILTER_RANK), np.float32)
    save_calibration(tmp_path / "me.safetensors", Calibration(s2l.weights_sha256, *zeros, shift, s2l.gap_map, {}))
    before = run(inputs, models, tmp_path / "a.mp4", seed=3)
    as_is = run(inputs, models, tmp_path / "b.mp4", from_tracks=tmp_path / "a.parquet")
    own = run(inputs, models, tmp_path / "c.mp4", from_tracks=tmp_path / "a.parquet", calibration=tmp_path / "me.safetensors")
    assert np.array_equal(as_is.edited, before.edited) and (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert (own.edited - before.edited)[-1, 54, 0] > 0.05 and np.array_equal(own.pose, before.pose)


def test_unknown_is_driven_as_the_null_condition_of_a_model_that_has_one(inputs, models: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    s2l = loud_network(config(unlabelled=True))
    shutil.copytree(models, tmp_path / "null")
    save_model(tmp_path / "null" / "s2l", s2l, Card("s2l", config_of(s2l), "", "test"))
    tracks = {
        (folder.name, emotion): run(inputs, folder, tmp_path / "a.mp4", emotion=emotion).edited
        for folder in (models, tmp_path / "null")
        for emotion in ("neutral", "unknown")
    }
    assert np.isfinite(list(tracks.values())).all()
    assert (tracks[models.name, "unknown"] == tracks[models.name, "neutral"]).all(), "learnt from labelled clips only"
    assert np.abs(tracks["null", "unknown"] - tracks["null", "neutral"]).max() > 0.001


def test_the_first_frame_is_the_photo_and_its_own_emotion_is_asked_for(inputs, models: Path, tmp_path: Path) -> None:
    photo = load_portrait(inputs[0]).normalised
    plain = run(inputs, models, tmp_path / "a.mp4", emotion="happy:1")
    assert plain.edited[0] == pytest.approx(photo, abs=1e-5)
    worn = run(inputs, models, tmp_path / "b.mp4", emotion="happy:1", portrait_emotion=parse_emotion("happy:1"))
    assert worn.edited[0] == pytest.approx(photo, abs=1e-5)
    assert np.abs(worn.edited[-1] - plain.edited[-1]).max() > 1e-3


def test_a_calibration_moves_the_lips_and_belongs_to_its_model(inputs, models: Path, tmp_path: Path) -> None:
    s2l = load_s2l(models / "s2l")
    shift = np.zeros(234, np.float32)
    shift[3 * 54] = 0.2  # a corner of the mouth, to the right
    zeros = np.zeros((234, s2l.config.hidden), np.float32), np.zeros((234, FILTER_RANK), np.float32)
    save_calibration(tmp_path / "me.safetensors", Calibration(s2l.weights_sha256, *zeros, shift, s2l.gap_map, {}))
    plain = run(inputs, models, tmp_path / "a.mp4").edited
    own = run(inputs, models, tmp_path / "b.mp4", calibration=tmp_path / "me.safetensors").edited
    half = 0.1 * (1 - np.exp(-(N_FRAMES - 1) / 25 / PARAMS.animate.fade_s))  # of a shift half counts as the model's constant
    assert (own - plain)[-1, 54, 0] == pytest.approx(half, abs=0.01)
    save_calibration(tmp_path / "other.safetensors", Calibration("f" * 64, *zeros, shift, s2l.gap_map, {}))
    with pytest.raises(SpaceError, match="other.safetensors: made for the model ffffffffffff"):
        run(inputs, models, tmp_path / "c.mp4", calibration=tmp_path / "other.safetensors")


def test_s2l_comes_with_the_encoder_it_learnt_with(models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(models, tmp_path / "both")
    whisper = loud_network(config(WHISPER_TINY_EN))
    save_model(tmp_path / "both" / "s2l-whisper-tiny.en", whisper, Card("s2l", config_of(whisper), "", "test"))
    nowhere = PARAMS.model_copy(update={"features": PARAMS.features.model_copy(update={"weights": str(tmp_path / "none")})})
    with caplog.at_level(logging.INFO):
        assert load_motion_models(tmp_path / "both", nowhere).encoder.spec.name == LOG_MEL
    assert "space weights fetch whisper-tiny.en" in caplog.text, "one line says what would make the lips better"
    asked = nowhere.model_copy(update={"animate": nowhere.animate.model_copy(update={"speech_encoder": WHISPER_TINY_EN})})
    with pytest.raises(SpaceError, match="whisper-tiny.en"):
        load_motion_models(tmp_path / "both", asked)
    shutil.rmtree(tmp_path / "both" / "s2l")
    with pytest.raises(SpaceError, match="whisper-tiny.en"):
        load_motion_models(tmp_path / "both", nowhere)


@pytest.mark.parametrize("layers", [(4, 2), ()])
def test_the_encoder_gives_the_layers_that_the_card_names(
    models: Path, tmp_path: Path, layers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = seeded_encoder()
    file = write_ctranslate2(tmp_path / "model.bin", encoder)
    monkeypatch.setattr(weights, "declared", lambda: {weights.WHISPER: declared_as(declared_file(file), need="one")})
    spec = spec_of(WHISPER_TINY_EN, encoder_sha256(encoder), layers)
    own = replace(
        config(WHISPER_TINY_EN), encoder_sha256=spec.weights_sha256, speech_width=spec.width, encoder_layers=layers
    )  # fmt: skip
    shutil.copytree(models / "posegen", tmp_path / "posegen")
    save_model(tmp_path / "s2l", loud_network(own), Card("s2l", config_of(loud_network(own)), "", "test"))
    there = PARAMS.model_copy(update={"features": PARAMS.features.model_copy(update={"weights": str(tmp_path)})})
    found = load_motion_models(tmp_path, there)
    assert found.encoder.spec == spec
    assert found.encoder.encode(np.zeros(640, np.float32)).shape == (1, 2, found.s2l.config.speech_width)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"calibration": "none.safetensors"}, "none.safetensors: no such file"),
        ({"out": "movie.avi"}, "name ends in '.avi', need .mp4"),
        ({"out": "folder.mp4"}, "is a folder, need the name of a file"),
        ({"out": "silent.wav/o.mp4"}, "output folder cannot be written"),
        ({"tracks": "tracks.csv"}, "name ends in '.csv', need .parquet"),
        ({"audio": "none.wav"}, "no such file"),
        ({"image": "none.png"}, "no such file"),
        ({"image": "blank.png"}, "no human face found"),
        ({"image": "silent.wav"}, "not a readable picture"),
        ({"image": "empty.wav"}, "empty file"),
        ({"audio": "silent.wav"}, "silent"),
        ({"audio": "empty.wav"}, "empty"),
        ({"audio": "short.wav"}, "need at least one frame"),
        ({"audio": "header.wav"}, "not a readable media file"),
        ({"audio": "blank.png"}, "holds no sound or video of its own"),
        ({"pose": "silent.wav"}, "no video stream"),
        ({"pose": "empty.csv"}, "not a readable CSV file"),
        ({"pose": "pitch.csv"}, "no column yaw_deg, roll_deg"),
        ({"pose": "back.csv"}, "time_s of row 3 is 0.5, after 1"),
        ({"pose": "wild.csv"}, "yaw_deg of row 1 is 100, need -90 to 90"),
        ({"from_tracks": "none.parquet"}, "no such file, need tracks"),
        ({"from_tracks": "silent.wav"}, "not a readable Parquet file"),
        ({"tracks": "silent.wav"}, "name ends in '.wav', need .parquet"),
        ({"models": "nowhere"}, "no such model"),
    ],
)
def test_bad_input_is_said_before_the_work(change: dict[str, str], words: str, inputs, models: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "blank.png", np.full((300, 300, 3), 128, np.uint8))
    write_wav(tmp_path / "silent.wav", np.zeros(16_000, np.float32))
    write_wav(tmp_path / "short.wav", np.full(300, 0.1, np.float32))
    (tmp_path / "empty.wav").touch()
    (tmp_path / "header.wav").write_bytes((tmp_path / "silent.wav").read_bytes()[:30])
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "pitch.csv").write_text("time_s,pitch_deg\n0,1\n")
    (tmp_path / "back.csv").write_text("time_s,yaw_deg,pitch_deg,roll_deg\n0,1,2,3\n1,1,2,3\n0.5,1,2,3\n")
    (tmp_path / "wild.csv").write_text("time_s,yaw_deg,pitch_deg,roll_deg\n0,100,2,3\n")
    before = sorted(tmp_path.rglob("*"))
    options: dict[str, object] = {"image": inputs[0], "audio": inputs[1], "out": tmp_path / "o.mp4", "models": models}
    options |= {k: tmp_path / v for k, v in change.items() if k != "pose"}
    controls = Controls(pose=str(tmp_path / change["pose"])) if "pose" in change else Controls()
    with pytest.raises(SpaceError, match=words) as caught:
        animate(params=PARAMS, controls=controls, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_inputs_are_never_overwritten(inputs, models: Path, tmp_path: Path) -> None:
    shutil.copy(inputs[0], tmp_path / "portrait.mp4")  # a name says nothing about its content
    with pytest.raises(SpaceError, match="is an input, need another name"):
        animate(image=tmp_path / "portrait.mp4", audio=inputs[1], out=tmp_path / "portrait.mp4", params=PARAMS, models=models)
    assert (tmp_path / "portrait.mp4").read_bytes() == inputs[0].read_bytes()


def test_an_error_in_the_middle_leaves_nothing_behind(inputs, models: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"an older video")

    def breaks_off(*_args: object) -> Iterator[np.ndarray]:
        yield np.zeros((512, 512, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setattr("space_models.generators.renderers.WarpRenderer.draw", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        run(inputs, models, tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"an older video"


@pytest.mark.parametrize(("rate_hz", "written_hz"), [(22_050, 22_050), (48_000, 48_000), (96_000, 48_000)])
def test_the_sound_keeps_its_rate_and_its_place(rate_hz: int, written_hz: int, inputs, models: Path, tmp_path: Path) -> None:
    """Clicks at known times stay there to a fraction of a millisecond: the encoder's priming is taken out by the container."""
    sound = np.zeros(int(0.8 * rate_hz), np.float32)
    sound[(np.array([0.05, 0.3, 0.71]) * rate_hz).astype(int)] = 0.9
    write_wav(tmp_path / "clicks.wav", sound, rate_hz)
    run((inputs[0], tmp_path / "clicks.wav"), models, tmp_path / "a.mp4")
    info = probe(tmp_path / "a.mp4")
    assert (info.audio_hz, info.audio_start_s, info.video_start_s) == (written_hz, 0.0, 0.0)
    heard = decode_audio(tmp_path / "a.mp4", written_hz)
    for time_s in (0.05, 0.3, 0.71):
        near = np.abs(heard[int((time_s - 0.03) * written_hz) : int((time_s + 0.03) * written_hz)])
        assert near.argmax() / written_hz - 0.03 == pytest.approx(0, abs=0.001)


def test_both_sides_of_the_sound_are_kept(inputs, models: Path, tmp_path: Path) -> None:
    time_s = np.arange(38_400) / 48_000
    sides = np.stack([0.4 * np.sin(2 * np.pi * hz * time_s) for hz in (300, 900)]).astype(np.float32)
    write_video(tmp_path / "talk.mp4", [np.zeros((64, 64, 3), np.uint8)] * 20, audio=sides, audio_hz=48_000)
    run((inputs[0], tmp_path / "talk.mp4"), models, tmp_path / "a.mp4")
    heard = decode_stereo(tmp_path / "a.mp4", 48_000)[:, 4800:33_600]
    strongest_hz = np.abs(np.fft.rfft(heard)).argmax(axis=1) * 48_000 / heard.shape[1]
    assert strongest_hz == pytest.approx([300, 900], abs=3)


def test_pasted_back_the_photo_is_whole_and_still_around_the_face(inputs, models: Path, tmp_path: Path) -> None:
    photo = read_image(inputs[0])
    wide = np.pad(photo, ((0, 0), (0, 189), (0, 0)), "reflect")  # 701 wide
    write_image(tmp_path / "wide.png", wide)
    run((tmp_path / "wide.png", inputs[1]), models, tmp_path / "a.mp4", paste_back=True)
    frames = [frame.rgb for frame in decode_video(tmp_path / "a.mp4")]
    assert len(frames) == N_FRAMES and frames[0].shape == (512, 700, 3)
    moved = np.abs(frames[-1].astype(int) - frames[0])
    assert moved[:, 450:].mean() < 0.5 < moved[50:250, 120:330].mean()
    with pytest.raises(SpaceError, match="leave out --size"):
        run(inputs, models, tmp_path / "b.mp4", paste_back=True, size_px=512)


def test_sound_without_speech_is_animated_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    time_s = np.arange(16_000) / 16_000
    write_wav(tmp_path / "tone.wav", (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32))
    assert len(load_speech(tmp_path / "tone.wav")) == 25
    assert "0.0 s of speech heard in 1.0 s of sound, need 0.2 s" in caplog.text


def test_stereo_and_truncated_sound_is_accepted(tmp_path: Path) -> None:
    time_s = np.arange(16_000) / 16_000
    write_wav(tmp_path / "whole.wav", (0.3 * np.sin(2 * np.pi * 300 * time_s)).astype(np.float32))
    data = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "half.wav").write_bytes(data[: len(data) // 2])
    assert len(load_speech(tmp_path / "half.wav")) == 12
    write_video(
        tmp_path / "stereo.mp4", [np.zeros((64, 64, 3), np.uint8)] * 25,
        audio=np.stack([np.sin(2 * np.pi * 300 * time_s), np.zeros(16_000)]).astype(np.float32),
    )  # fmt: skip
    assert len(load_speech(tmp_path / "stereo.mp4")) >= 25


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_cannot_be_written_is_named(inputs, models: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(SpaceError, match="output folder cannot be written"):
        run(inputs, models, tmp_path / "locked" / "o.mp4")


def test_telephone_sound_is_accepted_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    time_s = np.arange(8000) / 8000
    write_wav(tmp_path / "phone.wav", (0.3 * np.sin(2 * np.pi * 300 * time_s)).astype(np.float32), rate_hz=8000)
    assert len(load_speech(tmp_path / "phone.wav")) == 25
    assert "recorded at 8000 Hz" in caplog.text
