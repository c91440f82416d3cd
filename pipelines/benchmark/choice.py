"""Which clips of a run are rendered and scored."""

from collections.abc import Mapping, Sequence

from evaluation.lists.clip_list import UNLISTED, Resolved, by_rule, find_list, resolve, shipped_lists
from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.errors import SpaceError
from space_data.params import Synthesize
from space_data.schema import AlignedClip, Measure
from space_data.tables import read_arrow

TEST = "test"
AUTO = "auto"


def clips_to_score(name: str, settings: Synthesize, layout: Layout) -> Resolved:
    """The test list ``name`` among the aligned clips of a run; ``auto`` is `_found`.

    Raises:
        SpaceError: no such list; its clips are not here; no clip belongs to a test identity.
    """
    clips = aligned_clips(layout)
    test = [clip for clip in clips if clip.split == TEST]
    if name == AUTO:
        return _found(test, settings, layout)
    return resolve(find_list(name), clips, _yaw_deg(clips, layout))


def _found(test: Sequence[AlignedClip], settings: Synthesize, layout: Layout) -> Resolved:
    """The shipped frozen list whose clips are all here, else a choice by ``params.synthesize`` that is called unlisted."""
    if not test:
        raise SpaceError("no aligned clip is of a test identity (too few subjects for data.splits?)")
    there = {clip.clip_id for clip in test}
    for one in shipped_lists().values():
        if one.clips and there.issuperset(listed.clip_id for listed in one.clips):
            return resolve(one, test, {})
    return by_rule(UNLISTED, test, _yaw_deg(test, layout), settings.max_clips, settings.max_frames, settings.seed)


def _yaw_deg(clips: Sequence[AlignedClip], layout: Layout) -> Mapping[str, float | None]:
    """95th percentile of the head's turn, by clip id."""
    rows = read_arrow(layout.measures, Measure, ["clip_id", "yaw_p95_deg"], [clip.clip_id for clip in clips])
    return dict(zip(rows["clip_id"].to_pylist(), rows["yaw_p95_deg"].to_pylist(), strict=True))
