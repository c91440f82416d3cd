"""``space data curate``: from raw clips to training features (and pixels, if wanted) on any folder of clips, without DVC.

The stages are the pipeline's own; only the paths differ (``Layout.in_folder``).
"""

import logging
from contextlib import suppress
from pathlib import Path

from pipelines.audit.write import write_audit
from pipelines.job.faults import faults_in_words
from pipelines.job.ledger import write_whole_ledger
from pipelines.job.lock import one_run_in
from pipelines.job.run import stage_module
from pipelines.layout import Layout
from pipelines.stages import CURATION
from space_data.errors import SpaceError
from space_data.files import NAME_BYTES, STEM_BYTES, check_length
from space_data.manifest import MANIFEST
from space_data.params import Params
from space_data.schema import KEPT, Decision
from space_data.store import Place
from space_data.tables import read_arrow

logger = logging.getLogger(__name__)

BELOW_BYTES = STEM_BYTES + NAME_BYTES
"""What the paths of clips and of kept results need below the output folder."""


def curate(
    source: Place | Path | str, out: Place | Path | str, params: Params, workers: int | None = None, reader: str = "folder",
    audio_track: int | None = None, pixels: bool = False,
) -> Layout:  # fmt: skip
    """Curate the videos under ``source`` into ``out``; an interrupted run continues where it was.

    Args:
        source: any folder; labels optional in ``labels.csv`` (see ``pipelines.readers.folder``). It is only read.
        out: receives ``ledger.parquet``, ``audit/index.html``, ``features/``, ``align/`` and the tables between them.
        params: bounds and settings; its ``data`` section is replaced by ``reader`` on ``source`` and ``audio_track``.
        workers: processes per stage, if not ``params.job.workers``.
        reader: which corpus it is (``pipelines.readers.READERS``).
        audio_track: number of the sound track to use, from 0, if not ``params.data.audio_track``.
        pixels: render aligned video and sound, too; features need none.

    Raises:
        SpaceError: no such folder, no video in it, one folder lies inside the other, ``out`` holds files that no run of this
            command made, is too long or cannot be written.
    """
    check_length(str(source))
    check_length(str(out), BELOW_BYTES)
    source, out = Place.of(source), Place.of(out)
    if not source.is_folder():
        found = "is a file" if source.is_file() else "no such folder"
        raise SpaceError(f"{source}: {found} (need a folder of videos)")
    inner, outer = (f"{place.resolved().rstrip('/')}/" for place in (source, out))
    if outer.startswith(inner):
        raise SpaceError(f"{out}: lies inside the input folder {source}, which is only read (choose another --out)")
    if inner.startswith(outer):
        raise SpaceError(f"{source}: the input folder lies inside {out}, whose folders are replaced (choose another --out)")
    if out.is_file():
        raise SpaceError(f"{out}: is a file, need an empty or new folder as --out")
    layout = Layout.in_folder(out)
    if not out.is_empty() and not layout.cache.is_folder():
        # Stages replace folders such as out/align as a whole.
        raise SpaceError(f"{out}: holds files that are not of an earlier run (choose an empty or new folder as --out)")
    track = audio_track if audio_track is not None else params.data.audio_track
    params = params.model_copy(
        update={
            "data": params.data.model_copy(update={"reader": reader, "raw": source.uri, "audio_track": track}),
            "job": params.job.model_copy(update={"workers": workers or params.job.workers}),
        }
    )
    with one_run_in(layout.cache), faults_in_words("curate"):
        return _curate(source, out, params, layout, pixels)


def _curate(source: Place, out: Place, params: Params, layout: Layout, pixels: bool) -> Layout:
    done: list[str] = []
    try:
        for stage in CURATION:
            if stage == "align" and not pixels:
                _withdraw(layout.stage(stage))
                continue
            stage_module(stage).run(params, layout)
            done.append(stage)
            if stage == "filter" and not _is_any_kept(layout):
                logger.warning("%s: no clip was kept; %s says why for each", source, layout.audit / "index.html")
    except SpaceError:
        if done:
            with suppress(SpaceError, OSError):  # what stopped the stage may stop this, too
                write_whole_ledger(out / "ledger.parquet", layout, done)
        raise
    write_whole_ledger(out / "ledger.parquet", layout, done)  # once: of hundreds of shards, in a bucket, it takes minutes
    write_audit(params, layout)
    return layout


def _is_any_kept(layout: Layout) -> bool:
    return KEPT in read_arrow(layout.decisions, Decision, ["status"])["status"].unique().to_pylist()


def _withdraw(folder: Place) -> None:
    """Remove tables of an earlier run, which may be of other segments; video and sound stay, and are used again."""
    (folder / MANIFEST).delete()
    for shard in folder.files(".parquet", below=True):  # other readers than ours know nothing of the manifest
        shard.delete()
