"""The feature tables all at once: what streams and spread readers are held against."""

from space_data.schema import FeatureClip, FeatureFrame
from space_data.store import Place
from space_data.tables import by_clip, from_arrow, read_arrow
from space_models.dataset import FRAME_COLUMNS, SHORTEST_FRAMES, Features, track_clip


def read_all(frames: Place, clips: Place) -> Features:
    """Every clip of a second or more, of every split and kind."""
    rows = {row.clip_id: row for row in from_arrow(read_arrow(clips, FeatureClip), FeatureClip)}
    tables = by_clip(read_arrow(frames, FeatureFrame, FRAME_COLUMNS))
    return Features.of(track_clip(rows[clip_id], table) for clip_id, table in tables if len(table) >= SHORTEST_FRAMES)
