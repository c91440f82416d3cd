"""What the stage ``syncnet`` computes: a module of its own, because it needs PyTorch and the stage, without weights, does not."""

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from space_data import clip_media
from space_data.clip_media import Playhead
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.media.container import MediaError
from space_data.media.video import Frame
from space_data.schema import Clip, SyncNetScore
from space_data.tables import vectors
from space_data.timebase import (
    frame_centre_s,
    frames_in,
    frames_to_samples,
    nearest_frames,
    samples_to_frames,
    seconds_to_samples,
)
from space_models.syncnet import (
    LEAST_WINDOWS,
    WINDOW_FRAMES,
    SyncNet,
    as_int16,
    crop_track,
    face_crop,
    lip_embeddings,
    load_syncnet,
    score,
    sound_embeddings,
    windows_of,
)

if TYPE_CHECKING:
    from pipelines.stages.syncnet import Source

logger = logging.getLogger(__name__)


def pictures(clip: Clip) -> Iterator[Frame]:
    """The clip's frames as far as they decode: ``measure`` has noted where the data break off, and its segments end there."""
    try:
        yield from clip_media.pictures(clip)
    except MediaError as error:
        logger.info("%s", error)


def sound(clip: Clip) -> NDArray[np.float32]:
    """The clip's sound: 16 kHz mono (samples,); empty without any."""
    return clip_media.sound(clip).samples if clip_media.has_sound(clip) else np.zeros(0, np.float32)


@lru_cache(maxsize=1)
def _network(path: str, sha256: str) -> SyncNet:
    """The network, once per process, on a GPU if there is one."""
    if sha256_of(path) != sha256:
        raise SpaceError(f"{path}: changed since the stage began")
    net = load_syncnet(Path(path))
    if not torch.cuda.is_available():
        return net
    # The same scores in every run, and those that other machines give.
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, False
    return net.to("cuda")


def boxes_at(rows: pa.Table, start_s: float, n_frames: int) -> NDArray[np.float32]:
    """Face boxes (n_frames, 4) px of a clip's frame rows at 25 per second from ``start_s``; NaN where no face was found."""
    return vectors(rows, "box")[nearest_frames(np.asarray(rows.column("pts_s")), start_s, n_frames)]


def score_segments(source: "Source", rows: pa.Table, sha256: str, batch: int) -> list[SyncNetScore]:
    """Scores of those segments of a clip that have 1.5 s of face and sound.

    Args:
        source: the clip, its segments and the weights' file.
        rows: the clip's ``FrameRow`` rows.
        sha256: of the weights.
        batch: how many frames go through the network at a time.
    """
    net = _network(source.weights, sha256)
    audio = sound(source.clip)
    playhead = Playhead(pictures(source.clip))
    scores = []
    for segment in source.segments:
        begin, wanted = seconds_to_samples(segment.start_s), frames_in(segment.end_s - segment.start_s)
        samples = as_int16(audio[begin : begin + frames_to_samples(wanted)])
        n_frames = samples_to_frames(len(samples))
        windows = windows_of(n_frames)
        track = crop_track(boxes_at(rows, segment.start_s, n_frames)) if windows >= LEAST_WINDOWS else None
        if track is None:
            continue
        times_s = (segment.start_s + frame_centre_s(i) for i in range(windows + WINDOW_FRAMES - 1))
        crops = (face_crop(playhead.at(time_s), place) for time_s, place in zip(times_s, track, strict=False))
        lips = lip_embeddings(net, crops, batch)
        voice = sound_embeddings(net, samples[: frames_to_samples(n_frames)], windows, batch)
        found = score(lips, voice)
        scores.append(SyncNetScore(segment.clip_id, found.windows, found.offset_frames, found.confidence, found.distance))
    return scores
