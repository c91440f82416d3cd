"""Stage ``align``: segments -> square 25 fps video and 16 kHz mono sound of exactly 640 samples per frame, where pixels are used.

    python -m pipelines.stages align        # crops, raw video -> data/align

Where a segment is cropped, when it begins and how long it is, ``features`` has decided without looking at pixels; here they are
rendered, of the splits that ``params.align.splits`` names. Pictures are chosen by presentation time; sound is moved by the
measured audio-visual offset. A source file is decoded once, however many segments it yields, and one picture is in memory at a
time.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.job.packs import BLOBS
from pipelines.job.run import run_stage
from pipelines.job.shards import MEDIA
from pipelines.job.stage import Context, Files, Made, Stage
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.crops import cropped
from pipelines.stages.ingest import inputs_of
from space_data.clip_media import Playhead, pictures, sound
from space_data.crop import CropBox
from space_data.files import file_stem, sha256_of
from space_data.media.encode import VideoWriter, write_wav
from space_data.params import Params
from space_data.schema import AlignedClip, Clip, SegmentCrop
from space_data.segments import Piece, piece_sound
from space_data.store import located
from space_data.tables import read_table
from space_data.timebase import frame_centre_s

NAME = "align"
SUFFIXES = (".mp4", ".wav")
STEM_HASH_CHARACTERS = 12
RENDERED_FILE = "rendered.json"
ALIGN_PER_S = 0.6
"""Seconds that a second of video takes."""


@dataclass(frozen=True)
class Source:
    """A source file and its segments in order of time: the unit of work."""

    clip: Clip
    crops: tuple[SegmentCrop, ...]
    media: str
    """folder of the files of this shard, below the root of the tables"""


@dataclass(frozen=True)
class Rendered:
    """Where the files of a segment lie below the shard's folder, without their suffix, and their hashes."""

    stem: str
    video_sha256: str
    audio_sha256: str


def align_source(source: Source, crf: int, folder: Path) -> None:
    """Unit function: write video and sound of every segment of ``source`` as blobs, and ``rendered.json`` about them."""
    audio = sound(source.clip).samples
    playhead = Playhead(pictures(source.clip))
    made = [align_segment(row, audio, playhead, crf, folder) for row in source.crops]
    (folder / RENDERED_FILE).write_text(json.dumps([dataclasses.asdict(one) for one in made]))


def align_segment(row: SegmentCrop, audio: NDArray[np.float32], playhead: Playhead, crf: int, folder: Path) -> Rendered:
    """Write one segment's files; their names end in a hash of their content and id, so that nothing is ever written over."""
    spoken = piece_sound(audio, Piece(row.clip_id, row.start_s, row.n_frames), row.offset_frames)
    files = [folder / f"segment{suffix}" for suffix in SUFFIXES]
    box = CropBox(row.crop_x0_px, row.crop_y0_px, row.crop_side_px)
    with VideoWriter(files[0], row.size_px, row.size_px, crf=crf, audio=spoken) as writer:
        for frame in range(row.n_frames):
            writer.write(box.apply(playhead.at(row.start_s + frame_centre_s(frame)), row.size_px))
    write_wav(files[1], spoken)
    hashes = [sha256_of(file) for file in files]
    stem = file_stem(row.clip_id, content_hash(row.clip_id, hashes)[:STEM_HASH_CHARACTERS], *SUFFIXES)
    for file, suffix in zip(files, SUFFIXES, strict=True):
        target = folder / BLOBS / f"{stem}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    return Rendered(stem, *hashes)


def items(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard with segments of a wanted split.

    Raises:
        SpaceError: the clip of a segment is not in the table of clips.
    """
    media = f"{NAME}/{MEDIA}/{part:05d}"
    for source in cropped(context, part):
        clip = source.clip
        if clip.split in context.params.align.splits:
            of_file = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
            content = content_hash(clip.sha256, of_file, clip.audio_track, [dataclasses.asdict(row) for row in source.crops])
            value, cost_s = Source(clip, source.crops, media), ALIGN_PER_S * clip.duration_s
            yield Unit(clip.clip_id, content, value, inputs_of(clip), cost_s, source.members)


def aligned_clips(layout: Layout) -> list[AlignedClip]:
    """The rows of the table, with whole paths."""
    return [located(clip, layout.root(NAME), "video", "audio") for clip in read_table(layout.aligned_clips, AlignedClip)]


def finish(unit: Unit, files: Files, context: Context) -> Made:
    """Rows of the aligned segments of one clip."""
    source: Source = unit.value
    clip = source.clip
    rendered = [Rendered(**facts) for facts in json.loads(files(RENDERED_FILE) or b"[]")]
    rows = []
    for row, made in zip(source.crops, rendered, strict=True):
        video, audio = (f"{source.media}/{made.stem}{suffix}" for suffix in SUFFIXES)
        rows.append(
            AlignedClip(
                clip_id=row.clip_id,
                source_clip_id=clip.clip_id,
                dataset=clip.dataset,
                subject=clip.subject,
                emotion=clip.emotion,
                intensity=clip.intensity,
                language=clip.language,
                split=clip.split,
                video=video,
                audio=audio,
                n_frames=row.n_frames,
                size_px=row.size_px,
                start_s=row.start_s,
                crop_x0_px=float(row.crop_x0_px),
                crop_y0_px=float(row.crop_y0_px),
                crop_side_px=float(row.crop_side_px),
                applied_offset_frames=row.offset_frames,
                video_sha256=made.video_sha256,
                audio_sha256=made.audio_sha256,
            )  # fmt: skip
        )
    return Made({"clips": rows})


STAGE = Stage(
    NAME, align_source, {}, items, ("features", "ingest"), lambda params: params.align.crf, derived={"clips": AlignedClip},
    finish=finish,
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Render the segments that have features and are of a wanted split."""
    run_stage(STAGE, params, layout)
