"""`space animate`: one portrait and speech in, a talking video out. The benchmark's own systems run the same functions.

    speech -> S2L -> normalised landmarks -> controls (blinks, gaze), PoseGen -> tracks -> renderer

A renderer draws the landmarks itself, or is a keypoint generator behind Landmarks2Latents (`space_models.generators`).
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data import progress
from space_data.errors import SpaceError
from space_data.files import PART_BYTES, check_length, lengths_in_words, make_folder
from space_data.landmarks import PoseTrack, posed
from space_data.media.encode import write_video
from space_data.media.probe import probe_audio_hz
from space_data.media.sound import decode_audio, decode_sound
from space_data.params import Animate, Params, Warp
from space_data.schema import TrackFrame
from space_data.speech import log_mel, loudness_db, mean_normalise, seconds_of, speech_mask
from space_data.speech_encoder import SpeechEncoder
from space_data.tables import read_table, write_table
from space_data.timebase import AUDIO_HZ, fit_samples, frame_start_s, samples_to_frames
from space_models import controls
from space_models.checkpoints import CARD_FILE, load_card
from space_models.dataset import by_frame
from space_models.film import NEUTRAL
from space_models.generators import DEFAULT_RENDERER, RENDERERS, Tracks, find
from space_models.portrait import Portrait, load_portrait
from space_models.posegen.model import PoseGen, load_posegen
from space_models.posegen.pose import apply_pose, relative_pose
from space_models.posegen.stream import generate
from space_models.s2l import stream
from space_models.s2l.calibrate import calibrated, load_calibration
from space_models.s2l.model import S2L, load_s2l
from space_models.s2l.output import OutputSettings
from space_models.speech_encoders import AUTO, chosen_encoder

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parent / "assets"
SILENCE_DB = -60.0
LEAST_SPEECH_S = 0.2
TRAVEL_LIMIT_IOD, SCALE_LIMIT = 0.15, 0.06
"""How far generated motion may move the head: a portrait has nothing to show where the head leaves."""
SOUND_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Rates at which players expect AAC; other sound goes into the video at the last one."""
PICTURE_CRF = 12
"""Of H.264: at 18 the fine texture of a sharp face loses a third of its energy."""
COMMENT = "Generated video: the picture was animated by open-space from one portrait and speech."


@dataclass(frozen=True)
class Speech:
    """Sound ready for the models: ``audio`` float32 (640 * T,) at 16 kHz, ``features`` mean-normalised log-mel (T, 160)."""

    audio: NDArray[np.float32]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True)
class MotionModels:
    """What turns speech into motion."""

    s2l: S2L
    posegen: PoseGen
    encoder: SpeechEncoder
    """what S2L hears with"""


@dataclass(frozen=True)
class Motion:
    """A portrait's motion: ``normalised`` landmarks (T, 78, 3) and ``pose``, T frames in pixels of its crop."""

    normalised: NDArray[np.float32]
    pose: PoseTrack

    @property
    def posed(self) -> NDArray[np.float32]:
        """Landmarks in pixels of the crop, (T, 78, 3)."""
        return posed(self.normalised, self.pose)


def speech_features(audio: NDArray[np.float32]) -> Speech:
    """Features of 16 kHz ``audio``, cut to whole frames."""
    n_frames = samples_to_frames(len(audio))
    whole = fit_samples(audio, n_frames)
    return Speech(whole, by_frame(mean_normalise(log_mel(whole))))


def load_speech(path: Path, track: int | None = None) -> Speech:
    """Decode a sound file (or a video's sound) for ``animate``: its default track, or number ``track``, from 0.

    Raises:
        SpaceError: no such file, not media, no audio, shorter than a frame, or silent.
    """
    audio = decode_audio(path, track=track)
    speech = speech_features(audio)
    if not len(speech):
        raise SpaceError(f"{path}: {len(audio) / AUDIO_HZ:.3f} s of sound, need at least one frame ({frame_start_s(1):g} s)")
    loudest = float(loudness_db(speech.audio).max())
    if loudest < SILENCE_DB:
        raise SpaceError(f"{path}: silent (loudest 10 ms at {loudest:.0f} dB, need {SILENCE_DB:.0f} dB; a muted track?)")
    rate_hz = probe_audio_hz(path, track)
    if rate_hz < AUDIO_HZ:
        logger.warning("%s: recorded at %d Hz; lips follow best from %d Hz on (telephone audio?)", path, rate_hz, AUDIO_HZ)
    heard_s = seconds_of(speech_mask(speech.audio))
    if heard_s < LEAST_SPEECH_S:
        logger.warning(
            "%s: %.1f s of speech heard in %.1f s of sound, need %g s (music or noise? the mouth may move at random)",
            path, heard_s, frame_start_s(len(speech)), LEAST_SPEECH_S,
        )  # fmt: skip
    return speech


def original_sound(path: Path, track: int | None = None) -> tuple[NDArray[np.float32], int]:
    """The sound as it goes into the video, mono (samples,), and its rate: its own one, not the 16 kHz that the models hear."""
    rate_hz = probe_audio_hz(path, track)
    rate_hz = rate_hz if rate_hz in SOUND_HZ else SOUND_HZ[-1]
    return decode_sound(path, rate_hz, track=track).samples, rate_hz


def load_motion_models(folder: Path, params: Params, calibration: Path | None = None) -> MotionModels:
    """S2L, with the speech encoder it learnt with, and PoseGen from ``folder`` (``models`` of the pipeline, or the shipped ones).

    Of several S2L the one for ``animate.speech_encoder`` is taken. ``calibration``: a file of ``space calibrate``, made for it.

    Raises:
        SpaceError: a model or the encoder's weights are missing or damaged, or one was made for another.
    """
    trained = s2l_folders(folder)
    weights, wanted = Path(params.features.weights), params.animate.speech_encoder
    only = next(iter(trained)) if len(trained) == 1 and wanted == AUTO else wanted
    encoder = chosen_encoder(only, trained, weights)
    s2l = load_s2l(trained[encoder.spec.name])
    if s2l.config.encoder_sha256 != encoder.spec.weights_sha256:
        raise SpaceError(
            f"{trained[encoder.spec.name]}: learnt with {encoder.spec.name} {s2l.config.encoder_sha256[:12]}, its weights in "
            f"{weights} are {encoder.spec.weights_sha256[:12]} (another release of them? train S2L anew)"
        )
    if calibration is not None:
        s2l = calibrated(s2l, load_calibration(calibration), str(calibration))
    return MotionModels(s2l, load_posegen(folder / "posegen"), encoder)


def s2l_folders(folder: Path) -> dict[str, Path]:
    """By speech encoder the folders in ``folder`` that hold an S2L.

    Raises:
        SpaceError: none does.
    """
    there = [path for path in (folder / "s2l", *sorted(folder.glob("s2l-*"))) if (path / CARD_FILE).is_file()]
    return {str(load_card(path, "s2l").config["encoder"]): path for path in there or [folder / "s2l"]}


def make_motion(
    models: MotionModels,
    portrait: Portrait,
    speech: Speech,
    emotion: NDArray[np.float32],
    seed: int,
    taste: Animate,
    limits: Warp,
    pose: str = "generated",
    portrait_emotion: NDArray[np.float32] = NEUTRAL,
) -> Motion:
    """Motion of ``portrait`` speaking ``speech`` with ``emotion``, (9,) or one per frame (T, 9).

    ``pose``: ``generated``, ``still``, or a file written by ``write_tracks`` whose head motion is used. ``portrait_emotion``
    (9,): what the photo shows already. Sub-seeds keep the parts independent: without head motion the blinks stay where they were.
    """
    n_frames = len(speech)
    heard = models.encoder.encode(speech.audio)
    shown = OutputSettings(taste.articulation, taste.fade_s)
    face = stream.predict(models.s2l, heard, portrait.normalised, emotion, portrait_emotion, shown)
    closure = controls.blink_track(n_frames, np.random.default_rng([seed, 1]), taste.blinks_per_min)
    gaze = controls.gaze_track(n_frames, np.random.default_rng([seed, 2]), taste.at_camera_share)
    face = controls.with_gaze(controls.with_blinks(face, closure), gaze)
    return Motion(face, head_track(models.posegen, portrait, speech, seed, taste, limits, pose))


def head_track(
    posegen: PoseGen, portrait: Portrait, speech: Speech, seed: int, taste: Animate, limits: Warp, pose: str
) -> PoseTrack:
    """Pose per frame; see ``make_motion``."""
    if pose == "still":
        return PoseTrack.from_array(np.repeat(portrait.pose.as_array(), len(speech), 0))
    if pose != "generated":
        return read_pose(Path(pose), portrait, len(speech))
    bounds = np.array(
        [limits.max_yaw_deg, limits.max_pitch_deg, limits.max_roll_deg, TRAVEL_LIMIT_IOD, TRAVEL_LIMIT_IOD, SCALE_LIMIT]
    )
    offsets = generate(posegen, speech.features, np.random.default_rng([seed, 0]), bounds, taste.pose_strength)
    return apply_pose(offsets, portrait.pose)


def read_pose(path: Path, portrait: Portrait, n_frames: int) -> PoseTrack:
    """Head motion of a track file, relative to its first frame, for ``portrait``; held at its end if it is shorter.

    Raises:
        SpaceError: neither a mode nor a file, or an empty track.
    """
    if not path.is_file():
        raise SpaceError(f"pose {str(path)!r}: need 'generated', 'still' or a file written by --tracks")
    rows = read_table(path, TrackFrame)
    if not rows:
        raise SpaceError(f"{path}: no frames in this track")
    track = PoseTrack.from_array(np.stack([row.pose for row in rows]))
    offsets = relative_pose(track)
    offsets = (offsets - offsets[:1])[np.minimum(np.arange(n_frames), len(offsets) - 1)]
    return apply_pose(offsets, portrait.pose)


def render(
    renderer: str, portrait: Portrait, motion: Motion, speech: Speech, emotion: NDArray[np.float32], params: Params, models: Path
) -> Iterator[NDArray[np.uint8]]:
    """Frames of ``motion`` by the named renderer, lazily.

    Raises:
        SpaceError: no such renderer.
    """
    drawing = find(RENDERERS, renderer, "renderer").load(models, params)
    return drawing.render(drawing.prepare(portrait), Tracks(motion.normalised, motion.pose, speech.features, emotion))


def write_tracks(path: Path, motion: Motion) -> None:
    """Landmarks and pose per frame, to look at, edit, or use as ``pose`` of another run."""
    pose = motion.pose.as_array()
    write_table(path, [TrackFrame(i, n.ravel(), pose[i]) for i, n in enumerate(motion.normalised)], TrackFrame)


def check_output(path: Path, suffix: str) -> None:
    """That ``path`` can become a file of this kind.

    Raises:
        SpaceError: another suffix, a folder of that name, or too long a name.
    """
    check_length(path, PART_BYTES)
    if path.is_dir():
        raise SpaceError(f"{path}: is a folder, need the name of a file (e.g. {path / ('out' + suffix)})")
    if path.suffix.lower() != suffix:
        raise SpaceError(f"{path}: name ends in {path.suffix or 'nothing'!r}, need {suffix}")


@lengths_in_words()
def animate(
    *,
    image: Path,
    audio: Path,
    out: Path,
    params: Params,
    audio_track: int | None = None,
    emotion: str = "neutral",
    portrait_emotion: str = "neutral",
    calibration: Path | None = None,
    seed: int = 0,
    pose: str = "generated",
    renderer: str = DEFAULT_RENDERER,
    tracks: Path | None = None,
    models: Path = ASSETS,
) -> str:
    """Make ``out`` (512x512, 25 fps, H.264 + AAC) from a portrait and speech; returns a line that says what was made.

    Raises:
        SpaceError: anything wrong with the inputs, the options or the output folder, before the work begins.
    """
    mixture, worn = controls.parse_emotion(emotion), controls.parse_emotion(portrait_emotion)
    for path, suffix in ((out, ".mp4"), (tracks, ".parquet")):
        if path is not None:
            check_output(path, suffix)
    if out.resolve() in (image.resolve(), audio.resolve()):
        raise SpaceError(f"{out}: is an input, need another name (inputs are never overwritten)")
    speech = load_speech(audio, audio_track)
    sound, sound_hz = original_sound(audio, audio_track)
    portrait = load_portrait(image)
    for path in (out, tracks):
        if path is not None:
            make_folder(path.parent)
    loaded = load_motion_models(models, params, calibration)
    motion = make_motion(loaded, portrait, speech, mixture, seed, params.animate, params.warp, pose, worn)
    frames = render(renderer, portrait, motion, speech, mixture, params, models)
    with progress.stopwatch() as elapsed_s:
        write_video(
            out, progress.track(frames, "render", len(speech)), crf=PICTURE_CRF, audio=sound, audio_hz=sound_hz, comment=COMMENT
        )
        seconds = elapsed_s()
    if tracks is not None:
        write_tracks(tracks, motion)
    length_s = frame_start_s(len(speech))
    return f"{out}: {len(speech)} frames, {length_s:.1f} s, rendered at {len(speech) / max(seconds, 1e-9):.0f} frames/s"
