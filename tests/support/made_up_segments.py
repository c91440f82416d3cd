"""A filmed face and what the stages up to ``filter`` would say of it: a clip, its measured frames, decisions on its segments."""

import dataclasses
from pathlib import Path

import numpy as np
from made_up_measures import CLIP
from numpy.typing import NDArray

from pipelines.stages.measure import measure_clip
from space_data.files import sha256_of
from space_data.media.encode import write_video
from space_data.params import Params
from space_data.schema import KEPT, Clip, Decision
from space_data.timebase import frame_start_s, frames_to_samples

FPS = 30


def filmed(folder: Path, name: str, frames: list[NDArray[np.uint8]], params: Params, rng: np.random.Generator) -> Clip:
    """A clip of ``frames`` at 30 per second with noise as its sound, measured: ``folder/<name>/frames.arrow`` and others."""
    height, width = frames[0].shape[:2]
    seconds = len(frames) / FPS
    sound = rng.normal(0, 0.05, frames_to_samples(int(seconds * 25))).astype(np.float32)
    write_video(folder / f"{name}.mp4", frames, fps=FPS, crf=10, audio=sound)
    path, sha256 = str(folder / f"{name}.mp4"), sha256_of(folder / f"{name}.mp4")
    clip = dataclasses.replace(
        CLIP, clip_id=f"set/{name}", path=path, sha256=sha256, video_sha256=sha256, emotion="happy", intensity=0.5, split="val",
        fps=FPS, duration_s=seconds, header_frames=len(frames), width_px=width, height_px=height,
    )  # fmt: skip
    screen = params.measure.screen.model_copy(update={"enabled": False})
    (folder / name).mkdir()
    measure_clip(clip, params.measure.model_copy(update={"screen": screen}), folder / name)
    return clip


def decision_of(clip: Clip, number: int, frames: tuple[int, int], offset: float = 0.0, status: str = KEPT) -> Decision:
    """The decision on a segment of some 25 fps ``frames``."""
    start_s, end_s = (frame_start_s(frame) for frame in frames)
    return Decision(
        clip_id=f"{clip.clip_id}#{number}", source_clip_id=clip.clip_id, segment=number, status=status,
        reasons="" if status == KEPT else "blurred", warnings="", first_frame=round(start_s * FPS),
        end_frame=round(end_s * FPS), start_s=start_s, end_s=end_s, offset_frames=offset, sync_confidence=0.5,
    )  # fmt: skip
