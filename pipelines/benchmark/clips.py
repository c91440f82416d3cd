"""The table of clips to be scored: what ``synthesize`` rendered, and what was added of other systems."""

import logging

from pipelines.layout import Layout
from space_data.schema import SynthesizedClip
from space_data.store import located
from space_data.tables import read_table

logger = logging.getLogger(__name__)

CLIPS_FILE = "clips.parquet"
PATHS = ("driving_audio", "reference", "audio", "video", "native_video")


def synthesized_clips(layout: Layout) -> list[SynthesizedClip]:
    """One row per system and clip, with whole paths; an added system takes part if it rendered the same test list."""
    rows = read_table(layout.synthesized_clips, SynthesizedClip)
    labels = {row.test_list for row in rows}
    for path in sorted(layout.external.glob(f"*/{CLIPS_FILE}")):
        added = read_table(path, SynthesizedClip)
        if {row.test_list for row in added} <= labels:
            rows += added
        else:
            label = added[0].test_list if added else "nothing"
            ours = " and ".join(sorted(labels)) or "anything that synthesize rendered"
            message = "system %s: rendered %s, not %s: left out (`space benchmark add` it again)"
            logger.warning(message, path.parent.name, label, ours)
    return [located(row, layout.data, *PATHS) for row in rows]
