"""`space animate-batch`: a CSV table of videos to make, each with its own inputs and options. Models are loaded once.

A row costs no other: what is wrong with it stands in the ledger, and the next one is made. The ledger is written after every row,
so a run that is ended goes on where it was, and a row is made again only if something that it is made of has changed.
"""

import logging
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.animate_request import Request
from pipelines.job.faults import environment_fault
from pipelines.job.keys import code_version
from pipelines.job.lock import one_run_in
from pipelines.job.serve import DETAIL_CHARACTERS
from pipelines.job.unit import FunctionName, content_hash
from pipelines.readers.csv_tables import Row, read_csv
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import make_folder, sha256_of
from space_data.params import Params
from space_data.schema import FAILED, KEPT, AnimationRow
from space_data.store import Place
from space_data.tables import read_table, write_table
from space_models.animate import LoadedModels, animate, load_models
from space_models.checkpoints import CARD_FILE, WEIGHTS_FILE
from space_models.controls.emotion import parse_emotion
from space_models.generators import RENDERERS, find, settings_of

logger = logging.getLogger(__name__)

NEEDED = {"image", "audio", "out"}
LOCK_FOLDER = ".animate-batch"


@dataclass(frozen=True)
class Batch:
    """What became of a table's rows."""

    ledger: Path
    counts: Counter[str]
    """rows per status"""
    from_before: int
    """of the kept ones, how many an earlier run had made"""


class ModelShelf:
    """Models by generator and calibration, each loaded when a row first asks for it."""

    def __init__(self, folder: Path, params: Params) -> None:
        """``folder``: of trained models.

        Raises:
            SpaceError: there are none in it.
        """
        files = sorted(path for name in (CARD_FILE, WEIGHTS_FILE) for path in folder.rglob(name))
        if not files:
            raise SpaceError(f"{folder}: no models here (leave --models out to use the shipped ones)")
        self._content = content_hash([(str(path.relative_to(folder)), sha256_of(path)) for path in files])
        self.folder, self._params = folder, params
        self._loaded: dict[tuple[str, Path | None], LoadedModels] = {}

    def of(self, request: Request) -> LoadedModels:
        """The models of a request; see ``load_models``."""
        key = request.generator, request.calibration
        if key not in self._loaded:
            self._loaded[key] = load_models(self.folder, self._params, *key)
        return self._loaded[key]

    def content_of(self, request: Request) -> list[str]:
        """Hashes of them: of the whole folder, and of published weights, which lie elsewhere."""
        loaded = self.of(request)
        return [self._content, loaded.drawing.latents_of, loaded.motion.encoder.spec.weights_sha256]


def animate_batch(table: Path, out: Path | None, params: Params, models: Path) -> Batch:
    """Make what ``table`` asks for, in its order.

    Args:
        table: CSV with the columns image, audio, out, and any that are options of `space animate`; paths of inputs are relative
            to its folder.
        out: folder that the outputs are relative to; None: the table's.
        params: settings.
        models: folder of trained models.

    Raises:
        SpaceError: the table cannot be read, two of its rows make one file or one leads out of the folder; there are no models;
            another run is at work here; or the environment stopped a row.
    """
    rows = read_csv(Place.of(table), NEEDED, Request.columns() - NEEDED)
    inputs, outputs = table.parent, out or table.parent
    check_outputs(rows, outputs)
    shelf, version = ModelShelf(models, params), code_version(FunctionName.of(animate))
    make_folder(outputs)
    ledger = outputs / f"{table.stem}.ledger.parquet"
    counts, from_before = Counter[str](), 0
    with one_run_in(outputs / LOCK_FOLDER):
        wanted = {row.cells["out"] for row in rows}
        known = {row.out: row for row in _earlier(ledger) if row.out in wanted}
        for row in progress.track(rows, "videos"):
            fate = _made(row, inputs, outputs, shelf, params, version, known.get(row.cells["out"]))
            if fate is known.get(fate.out):
                from_before += 1
            else:
                known[fate.out] = fate
                write_table(ledger, known.values(), AnimationRow)
            counts[fate.status] += 1
            if fate.status == FAILED:
                logger.error("%s: %s", row.where, fate.detail.rstrip().rpartition("\n")[2])
    return Batch(ledger, counts, from_before)


def check_outputs(rows: list[Row], folder: Path) -> None:
    """See that every row makes files of its own, below ``folder``.

    Raises:
        SpaceError: one does not.
    """
    makers: dict[str, str] = {}
    for row in rows:
        for column in ("out", "tracks"):
            if not (name := row.get(column)):
                continue
            path = (folder / name).resolve()
            if not path.is_relative_to(folder.resolve()):
                raise SpaceError(f"{row.where}: {column} {name!r} leads out of {folder}, need a path below it")
            other = makers.setdefault(str(path).casefold(), row.where)
            if other != row.where or column == "tracks" and name == row.get("out"):
                raise SpaceError(f"{row.where}: {column} {name!r} is also made by {other}, need a name of its own")


def _earlier(ledger: Path) -> list[AnimationRow]:
    return read_table(ledger, AnimationRow) if ledger.is_file() else []


def _made(
    row: Row, inputs: Path, outputs: Path, shelf: ModelShelf, params: Params, version: str, before: AnimationRow | None
) -> AnimationRow:
    """What becomes of a row: ``before``, if that is still true, or made now.

    Raises:
        EnvironmentFault: the machine is at fault, not the row.
    """
    content = config = ""
    began_s = time.perf_counter()

    def fate(status: str, reason: str, detail: str, made: str) -> AnimationRow:
        seconds = round(time.perf_counter() - began_s, 3)
        return AnimationRow(row.cells["out"], status, reason, detail, seconds, content, config, version, made)

    try:
        with _faults_of_the_environment(row.where):
            request = Request.of(row.cells, inputs, outputs)
            entry = find(RENDERERS, request.generator, "generator")
            files = _hashes(request.input_files)
            content = content_hash(files, shelf.content_of(request))
            settings = [section.model_dump(mode="json") for section in (params.animate, params.warp)]
            config = content_hash(row.cells, settings, settings_of(entry.section, params))
            made_of = content, config, version
            if before is not None and before.made and made_of == (before.content, before.config, before.version):
                if before.made == _made_hash(request):
                    return before
                logger.warning("%s: %s is gone or not what was made: made again", row.where, request.out)
            animate(
                image=request.image, audio=request.audio, audio_track=request.audio_track, out=request.out, params=params,
                controls=request.controls(), portrait_emotion=parse_emotion(request.portrait_emotion), seed=request.seed,
                size_px=request.size, compare=request.compare, paste_back=request.paste_back, watermark=request.watermark,
                tracks=request.tracks, from_tracks=request.from_tracks, models=shelf.folder, loaded=shelf.of(request),
                credentials=request.credentials(),
            )  # fmt: skip
            return fate(KEPT, "", "", _made_hash(request))
    except SpaceError as error:
        if environment_fault(error):
            raise
        return fate(FAILED, "error", str(error), "")
    except Exception:
        return fate(FAILED, "exception", traceback.format_exc()[-DETAIL_CHARACTERS:], "")


@contextmanager
def _faults_of_the_environment(where: str) -> Iterator[None]:
    """Makes an ``EnvironmentFault`` of any error that the machine is behind."""
    try:
        yield
    except Exception as error:
        if fault := environment_fault(error):
            raise type(fault)(f"{where}: stopped: {fault}; what is done is kept: mend that and run it again") from error
        raise


def _hashes(files: list[Path]) -> list[str]:
    """Raises SpaceError where one is not there."""
    for path in files:
        if not path.is_file():
            raise SpaceError(f"{path}: no such file")
    return [sha256_of(path) for path in files]


def _made_hash(request: Request) -> str:
    """Of the files that it makes; empty if one is not there."""
    files = [path for path in (request.out, request.tracks) if path is not None]
    return content_hash([sha256_of(path) for path in files]) if all(path.is_file() for path in files) else ""
