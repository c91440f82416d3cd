"""``space data verify``: are the tables of a run still what was written?

A run hashes the shards that it computes from, and those of its own that were written to after it. What a disk changes in silence
in tables that nothing is computed from any more is found here.
"""

from collections.abc import Iterator

from pipelines.stages import STAGES
from space_data import progress
from space_data.errors import SpaceError
from space_data.manifest import Shard, is_intact, read_manifest
from space_data.store import Place


def damaged(folder: Place) -> Iterator[str]:
    """What is wrong with each shard that a manifest below ``folder`` names; the next run replaces those.

    Raises:
        SpaceError: there is no manifest, or a shard cannot be read: that does not say that it is damaged.
    """
    shards = [(folder / stage / shard.file, shard) for stage in STAGES for shard in _shards_of(folder / stage)]
    if not shards:
        raise SpaceError(f"{folder}: holds no tables (need the output folder of `space data curate`, or `data`)")
    for place, shard in progress.track(shards, "verify", len(shards)):
        try:
            if not place.is_file():
                yield f"{place}: is gone"
            elif not is_intact(place, shard):
                yield f"{place}: its bytes have changed since it was written"
        except OSError as error:
            raise SpaceError(f"{place}: cannot be read ({error.strerror or error})") from error


def _shards_of(stage: Place) -> list[Shard]:
    manifest = read_manifest(stage)
    return [shard for shards in manifest.tables.values() for shard in shards] if manifest else []
