"""Two small stages in a row, on a folder of text files, behind the command ``space data curate``: what the fault drill breaks.

``listed`` hashes every file, as ``ingest`` does; ``shouted`` reads it again, as ``measure`` does, and takes what cannot be read
for a bad clip, as FFmpeg would. Files in the folder ``control`` beside the raw one make its units misbehave: what they say
is in no key, so that a disturbed run and an undisturbed one are to end with the same bytes.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.job.lock import one_run_in
from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import Rejected, Unit
from pipelines.layout import Layout
from space_data.files import sha256_of
from space_data.params import Params
from space_data.tables import read_table, shard_of, to_arrow, write_arrow

SHARDS = 2
CLIPS = 6


@dataclass(frozen=True)
class Listed:
    """A file as ``listed`` found it."""

    clip_id: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Shouted:
    """A file in capitals."""

    clip_id: str
    text: str


def raw_files(root: Path) -> Path:
    """Make the raw folder; one of its clips is rejected by ``shouted``, for what is in it."""
    (root / "raw").mkdir(parents=True)
    (root / "control").mkdir()
    for number in range(CLIPS):
        (root / "raw" / f"{number}.txt").write_text("" if number == 3 else f"clip number {number} " * 50)
    return root / "raw"


def list_file(path: str, settings: None, folder: Path) -> None:
    """Unit of ``listed``."""
    _write(folder / "clips.arrow", Listed(Path(path).stem, path, sha256_of(path)))


def shout(clip: Listed, control: str, folder: Path) -> None:
    """Unit of ``shouted``."""
    wanted = {file.name: file.read_text() for file in Path(control).iterdir()}
    if "calls" in wanted:
        with (Path(control) / "calls").open("a") as calls:
            calls.write(f"{clip.clip_id}\n")
    time.sleep(float(wanted.get("slow", 0)))
    while (Path(control) / "held").exists():
        time.sleep(0.05)
    if "broken" in wanted:
        raise ZeroDivisionError("a defect of ours")
    if "hungry" in wanted:
        bytearray(int(3e9))
    try:
        text = Path(clip.path).read_text()
    except OSError as error:
        raise Rejected("unreadable", str(error)) from None
    if not text:
        raise Rejected("empty_file")
    _write(folder / "lines.arrow", Shouted(clip.clip_id, text.upper()))


def _write(path: Path, row: Listed | Shouted) -> None:
    write_arrow(path, to_arrow([row], type(row)))


def files(context: Context, part: int) -> Iterator[Unit]:
    """The files of one shard."""
    for path in sorted(Path(context.params.data.raw).iterdir()):
        if shard_of(path.stem, context.parts) == part:
            yield Unit(path.stem, sha256_of(path), str(path), ((str(path), sha256_of(path)),), enters_here=True)


def listed(context: Context, part: int) -> Iterator[Unit]:
    """What ``listed`` found, of one shard."""
    for clip in read_table(context.shard("listed", "clips", part), Listed):
        yield Unit(clip.clip_id, clip.sha256, clip, ((clip.path, clip.sha256),))


def _control(params: Params) -> str:
    return str(Path(params.data.raw).parent / "control")


STAGES = (
    Stage("listed", list_file, {"clips": Listed}, files),
    Stage("shouted", shout, {"lines": Shouted}, listed, ("listed",), _control, continues="listed"),
)


def run_both(source: Path, out: Path, params: Params, *_: object) -> Layout:
    """As ``pipelines.curate.curate`` does it, with these stages."""
    layout = Layout.in_folder(out)
    job = params.job.model_copy(update={"shards": SHARDS})
    params = params.model_copy(update={"job": job, "data": params.data.model_copy(update={"raw": str(source)})})
    with one_run_in(layout.cache):
        for stage in STAGES:
            run_stage(stage, params, layout)
    return layout


def main() -> None:
    """``python -m fault_stages data curate RAW --out OUT ...``: the real command line, on these stages."""
    import pipelines.curate
    from pipelines.cli import main as space

    pipelines.curate.curate = run_both  # type: ignore[assignment]
    sys.argv[0] = "space"
    space()


if __name__ == "__main__":
    main()
