"""Stage ``align``: segments -> square 25 fps video and 16 kHz mono sound of exactly 640 samples per frame, where pixels are used.

    python -m pipelines.align        # crops, raw video -> data/aligned

Where a segment is cropped, when it begins and how long it is, ``features`` has decided without looking at pixels; here they are
rendered, of the splits that ``params.align.splits`` names. Pictures are chosen by presentation time; sound is moved by the
measured audio-visual offset. A source file is decoded once, however many segments it yields, and one picture is in memory at a
time.
"""

import dataclasses
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pipelines.job import Layout, Outcome, Unit, content_hash, ledger_rows, run_units, stage_clock, stage_main, write_ledger
from space_data.clip_media import Playhead, pictures, sound
from space_data.crop import CropBox
from space_data.errors import SpaceError
from space_data.files import check_length, file_stems, make_folder
from space_data.media.encode import VideoWriter, write_wav
from space_data.params import AlignStage, Params
from space_data.schema import AlignedClip, Clip, LedgerRow, SegmentCrop
from space_data.segments import Piece, piece_sound
from space_data.tables import read_table, write_table
from space_data.timebase import frame_centre_s

STAGE = "align"
SUFFIXES = (".mp4", ".wav")


@dataclass(frozen=True)
class Source:
    """A source file and its segments in order of time: the unit of work."""

    clip: Clip
    crops: tuple[SegmentCrop, ...]


def align_source(source: Source, settings: AlignStage, folder: Path) -> None:
    """Unit function: write ``<index>.mp4`` and ``<index>.wav`` per segment of ``source``."""
    audio = sound(source.clip).samples
    playhead = Playhead(pictures(source.clip))
    for index, row in enumerate(source.crops):
        spoken = piece_sound(audio, Piece(row.clip_id, row.start_s, row.n_frames), row.offset_frames)
        write_wav(folder / f"{index}.wav", spoken)
        box = CropBox(row.crop_x0_px, row.crop_y0_px, row.crop_side_px)
        with VideoWriter(folder / f"{index}.mp4", row.size_px, row.size_px, crf=settings.crf, audio=spoken) as writer:
            for frame in range(row.n_frames):
                writer.write(box.apply(playhead.at(row.start_s + frame_centre_s(frame)), row.size_px))


def plan(crops: list[SegmentCrop], clips: dict[str, Clip]) -> list[Unit]:
    """One unit per source file of ``crops``."""
    by_source: dict[str, list[SegmentCrop]] = defaultdict(list)
    for row in crops:
        by_source[row.source_clip_id].append(row)
    units = []
    for clip_id, own in by_source.items():
        clip, rows = clips[clip_id], tuple(sorted(own, key=lambda row: row.start_s))
        part = (clip.part_start_s, clip.part_end_s, clip.part_crop_px.tolist())
        content = content_hash(clip.sha256, part, clip.audio_track, [dataclasses.asdict(row) for row in rows])
        units.append(Unit(clip_id, content, Source(clip, rows)))
    return units


def publish(outcome: Outcome, source: Source, layout: Layout, stems: dict[str, str]) -> tuple[list[AlignedClip], list[LedgerRow]]:
    """Put a finished unit's files into place and make its rows: aligned clips, and one ledger row per segment.

    ``stems`` says where the files of each segment go (``file_stems``).
    """
    fate = ledger_rows(STAGE, [outcome])[0]
    ledger = [dataclasses.replace(fate, clip_id=row.clip_id) for row in source.crops]
    if outcome.folder is None:
        return [], ledger
    rows, clip = [], source.clip
    for index, row in enumerate(source.crops):
        video, audio = (layout.aligned / f"{stems[row.clip_id]}{suffix}" for suffix in SUFFIXES)
        place(outcome.folder / f"{index}.mp4", video)
        place(outcome.folder / f"{index}.wav", audio)
        rows.append(
            AlignedClip(
                clip_id=row.clip_id, source_clip_id=clip.clip_id, dataset=clip.dataset, subject=clip.subject,
                emotion=clip.emotion, intensity=clip.intensity, language=clip.language, split=clip.split, video=str(video),
                audio=str(audio), n_frames=row.n_frames, size_px=row.size_px, start_s=row.start_s,
                crop_x0_px=float(row.crop_x0_px), crop_y0_px=float(row.crop_y0_px), crop_side_px=float(row.crop_side_px),
                applied_offset_frames=row.offset_frames,
            )  # fmt: skip
        )
    return rows, ledger


def place(kept: Path, target: Path) -> None:
    """Put a kept result at its place among the outputs: a hard link (nobody writes into either), a copy across file systems.

    Raises:
        SpaceError: the place is taken: two clip ids give one file name; or its path is too long.
    """
    check_length(target)
    make_folder(target.parent)
    if target.exists():  # never write into it: it is a link to a kept result
        raise SpaceError(f"{target}: two clips want this file (rename the one whose name ends in -s and a number)")
    try:
        os.link(kept, target)
    except OSError:
        shutil.copy2(kept, target)


def run(params: Params, layout: Layout) -> None:
    """Render the segments that have features and are of a wanted split."""
    with stage_clock(layout, STAGE) as clock:
        clips = {clip.clip_id: clip for clip in read_table(layout.clips, Clip)}
        crops = read_table(layout.segment_crops, SegmentCrop)
        stale = next((row.source_clip_id for row in crops if row.source_clip_id not in clips), None)
        if stale is not None:
            raise SpaceError(f"{layout.segment_crops}: clip {stale} is not in {layout.clips} (stale? `dvc repro`)")
        crops = [row for row in crops if clips[row.source_clip_id].split in params.align.splits]
        units = {unit.unit_id: unit for unit in plan(crops, clips)}
        outcomes = run_units(STAGE, units.values(), align_source, params.align, layout, params.job)
        shutil.rmtree(layout.aligned, ignore_errors=True)
        stems = file_stems((row.clip_id for row in crops), *SUFFIXES)
        rows: list[AlignedClip] = []
        ledger: list[LedgerRow] = []
        for outcome in outcomes:
            published, fates = publish(outcome, units[outcome.unit_id].value, layout, stems)
            rows += published
            ledger += fates
        write_table(layout.aligned_clips, rows, AlignedClip)
        clock.counts = write_ledger(layout, STAGE, (row.clip_id for row in crops), ledger)
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


if __name__ == "__main__":
    stage_main(run)
