"""`space animate`: one portrait and speech in, a talking video out. The benchmark's own systems run the same functions.

    speech -> S2L -> normalised landmarks -> edits, PoseGen -> tracks -> renderer
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from space_data import progress
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.files import PART_BYTES, check_length, lengths_in_words, make_folder
from space_data.media.output import FINE_CRF, coded_sound, write_titled
from space_data.params import Params
from space_data.schema import NEUTRAL
from space_data.timebase import frame_start_s
from space_models.controls.asked import Controls
from space_models.generators import DEFAULT_RENDERER, RENDERERS, Driving, Frame, Renderer, RendererEntry, find
from space_models.motion_process import motion_maker
from space_models.portrait import SOURCE_MAX_PX, Portrait, load_portrait
from space_models.provenance import Credentials
from space_models.rendering import rendered
from space_models.speech_file import Speech, load_speech, original_sound
from space_models.tracks import LATENTS, SPEECH, Tracks
from space_models.views import resized, side_by_side, watermarked

if TYPE_CHECKING:
    from space_models.motion import MotionModels  # which imports torch, a second that `MotionProcess` takes beside ours

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).resolve().parent / "assets"
PICTURE_CRF = 12
"""Of the videos that the benchmark compares; H.264 at 18 loses a third of the energy of a sharp face's fine texture."""
PICTURE_SUBQ = 1
"""Of x264: 2, the preset's, costs a quarter more time for an eighth less file, at the same error."""
PASTED_CRF = 8
"""Of a whole photo: what is not animated stays within two grey levels of it, halved colours included, in 1.6 times the file."""
COMMENT = "Generated video: the picture was animated by open-space from one portrait and speech."
TITLE = "Generated video (open-space)"
SIZE_RANGE_PX = (128, 1024)


@dataclass(frozen=True)
class LoadedModels:
    """What `animate` runs, loaded once for any number of videos."""

    motion: "MotionModels"
    entry: RendererEntry
    drawing: Renderer[Any]


def load_models(
    models: Path, params: Params, renderer: str = DEFAULT_RENDERER, calibration: Path | None = None
) -> LoadedModels:
    """See ``animate`` for the arguments.

    Raises:
        SpaceError: no such renderer; a model, or what it was trained with, is missing or damaged.
    """
    from space_models.motion import load_motion_models

    entry: RendererEntry = find(RENDERERS, renderer, "renderer")
    return LoadedModels(load_motion_models(models, params, calibration), entry, entry.load(models, params))


def render(renderer: str, portrait: Portrait, driving: Driving, params: Params, models: Path) -> Iterator[Frame]:
    """Frames of ``driving`` by the named renderer, lazily.

    Raises:
        SpaceError: no such renderer.
    """
    drawing = find(RENDERERS, renderer, "renderer").load(models, params)
    return drawing.render(drawing.prepare(portrait), driving)


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
    controls: Controls = Controls(),
    audio_track: int | None = None,
    portrait_emotion: NDArray[np.float32] = NEUTRAL,
    calibration: Path | None = None,
    seed: int = 0,
    renderer: str = DEFAULT_RENDERER,
    size_px: int | None = None,
    compare: bool = False,
    paste_back: bool = False,
    watermark: bool = False,
    from_tracks: Path | None = None,
    tracks: Path | None = None,
    models: Path = ASSETS,
    loaded: LoadedModels | None = None,
    rendering: Callable[[int, int], object] | None = None,
    credentials: Credentials | None = None,
) -> str:
    """Make ``out`` (512x512, 25 fps, H.264 + AAC) from a portrait and speech; returns a line that says what was made.

    Args:
        image, audio, out: files.
        params: what is not asked for.
        controls: what is asked for.
        audio_track: number of the sound track, from 0; None: as players choose.
        portrait_emotion: mixture (9,) that the photo shows.
        calibration: a file of ``space calibrate``.
        seed: of head motion, blinks and gaze.
        renderer: one of ``RENDERERS``.
        size_px: side of the video; None: the renderer's own.
        compare: photo, landmarks and result side by side.
        paste_back: the whole photo, at its own size, with the animated face in it.
        watermark: write "AI-generated" into a corner of the result.
        from_tracks: tracks to render on this portrait, in place of new ones; ``controls`` change what they name.
        tracks: also write the tracks here.
        models: folder of trained models.
        loaded: models of ``load_models``, in place of those that ``models``, ``renderer`` and ``calibration`` name.
        rendering: called with the number of frames that are drawn, and of all, after each.
        credentials: sign the video with these (C2PA).

    Raises:
        SpaceError: anything wrong with the inputs, the options or the output folder, before the work begins.
    """
    for path, suffix in ((out, ".mp4"), (tracks, ".parquet")):
        if path is not None:
            check_output(path, suffix)
    for made in (out, tracks):
        if made is not None and made.resolve() in {path.resolve() for path in (image, audio, from_tracks) if path is not None}:
            raise SpaceError(f"{made}: is an input, need another name (inputs are never overwritten)")
    if size_px is not None and (size_px % 2 or not SIZE_RANGE_PX[0] <= size_px <= SIZE_RANGE_PX[1]):
        raise SpaceError(f"size {size_px}: need an even number from {SIZE_RANGE_PX[0]} to {SIZE_RANGE_PX[1]}")
    if paste_back and (compare or size_px is not None):
        raise SpaceError("--paste-back: the video has the photo's size and nothing beside it (leave out --size and --compare)")
    entry: RendererEntry = loaded.entry if loaded else find(RENDERERS, renderer, "renderer")
    with motion_maker(loaded.motion if loaded else None, models, params, calibration, aside=entry.generator is None) as maker:
        from space_models.paste import pasted, renderer_for  # numba's import, beside torch's

        speech = load_speech(audio, audio_track)
        said_frames = len(speech)
        begun = None if from_tracks is None else Tracks.read(from_tracks)
        portrait = load_portrait(image)
        for path in (out, tracks):
            if path is not None:
                make_folder(path.parent)
        drawing: Renderer[Any] = loaded.drawing if loaded else entry.load(models, params)
        if entry.load_at is not None:
            drawing = renderer_for(entry, portrait, models, params, SOURCE_MAX_PX if paste_back else size_px or CROP_SIZE_PX)
        if controls.timeline is not None:
            controls.timeline.warn_beyond(len(speech))
        if begun is None:
            begun = Tracks.at_rest(portrait, speech.features)
        else:
            begun, speech = same_length(begun.for_portrait(portrait), speech)
            if calibration is not None or portrait_emotion.any():  # named: S2L speaks anew with them
                begun = begun.back_to(SPEECH)
        maker.ask(
            tracks=begun, portrait=portrait, speech=speech, params=params, controls=controls, seed=seed,
            portrait_emotion=portrait_emotion, complete=from_tracks is None,
        )  # fmt: skip
        state, motion = drawing.prepare(portrait), maker.answer()
    latents = drawing.latents(state, motion.driving(portrait))
    if latents is not None:
        motion = replace(motion, latents=latents, latents_of=drawing.latents_of, stage=LATENTS)
    driving = motion.driving(portrait)
    frames = rendered(drawing, state, driving)
    frames = pasted(frames, portrait) if paste_back else resized(frames, size_px or drawing.size_px)
    if watermark:
        frames = watermarked(frames)
    if compare:
        frames = side_by_side(portrait, driving, frames)
    if rendering is not None:
        frames = told(frames, rendering, len(motion))
    sound = sound_for(audio, audio_track, len(speech) if len(speech) < said_frames else None)
    with progress.stopwatch() as elapsed_s:
        write_titled(
            out, progress.track(frames, "render", len(motion)), crf=PASTED_CRF if paste_back else FINE_CRF, subq=PICTURE_SUBQ,
            title=TITLE, comment=f"{COMMENT} Tracks: SHA-256 {motion.sha256()}", **sound,
        )  # fmt: skip
        seconds = elapsed_s()
    if credentials is not None:
        credentials.sign(out, TITLE, motion.sha256())
    if tracks is not None:
        motion.write(tracks)
    length_s = frame_start_s(len(motion))
    return f"{out}: {len(motion)} frames, {length_s:.1f} s, rendered at {len(motion) / max(seconds, 1e-9):.0f} frames/s"


def same_length(tracks: Tracks, speech: Speech) -> tuple[Tracks, Speech]:
    """Tracks and speech cut to the shorter of the two, with a warning if that is more than a frame."""
    n_frames = min(len(tracks), len(speech))
    if abs(len(tracks) - len(speech)) > 1:
        logger.warning(
            "tracks of %.2f s, sound of %.2f s: the video lasts as long as the shorter",
            frame_start_s(len(tracks)), frame_start_s(len(speech)),
        )  # fmt: skip
    return tracks.first(n_frames), speech.first(n_frames)


def told(frames: Iterable[Frame], rendering: Callable[[int, int], object], n_frames: int) -> Iterator[Frame]:
    """The frames; ``rendering`` is told how many there have been, and will be."""
    for number, frame in enumerate(frames, start=1):
        yield frame
        rendering(number, n_frames)


def sound_for(audio: Path, track: int | None, n_frames: int | None) -> dict[str, Any]:
    """The original sound, or its first ``n_frames`` frames, as options of ``TitledWriter``: as it is coded, where that can be."""
    copied = coded_sound(audio, track) if n_frames is None else None
    if copied is not None:
        return {"copied": copied}
    sound, sound_hz = original_sound(audio, track)
    end = None if n_frames is None else round(frame_start_s(n_frames) * sound_hz)
    return {"audio": sound[..., :end], "audio_hz": sound_hz}
