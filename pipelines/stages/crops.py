"""The segments of every source clip, as ``features`` has cut and cropped them: what ``align`` renders and ``speech`` hears."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.job.stage import Context
from pipelines.stages.ingest import located_clip
from space_data.errors import SpaceError
from space_data.schema import Clip, SegmentCrop
from space_data.tables import read_table


@dataclass(frozen=True)
class Cropped:
    """A source clip, with whole paths, and its segments in order of time."""

    clip: Clip
    crops: tuple[SegmentCrop, ...]

    @property
    def members(self) -> tuple[str, ...]:
        """Ids of the segments."""
        return tuple(row.clip_id for row in self.crops)


def cropped(context: Context, part: int) -> Iterator[Cropped]:
    """The clips of one shard that have features.

    Raises:
        SpaceError: the clip of a segment is not in the table of clips.
    """
    clips = {clip.clip_id: clip for clip in read_table(context.shard("ingest", "clips", part), Clip)}
    by_source: dict[str, list[SegmentCrop]] = defaultdict(list)
    crops = context.shard("features", "crops", part)
    for row in read_table(crops, SegmentCrop):
        by_source[row.source_clip_id].append(row)
    for clip_id, own in by_source.items():
        if clip_id not in clips:
            raise SpaceError(f"{crops}: clip {clip_id} is not in the table of clips (stale? `dvc repro`)")
        yield Cropped(located_clip(clips[clip_id], context), tuple(sorted(own, key=lambda row: row.start_s)))
