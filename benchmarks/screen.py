"""Does the screen pass over clips that the dense pass would keep? ``python -m benchmarks.screen DIR [--reader NAME]``.

Measures every clip twice, with the screen and without, judges the dense measures with the bounds of ``params.yaml`` and counts:
clips that the screen passes over, how many of their segments the filter would have kept (must be 0), and the CPU seconds saved.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from pipelines.layout import Layout
from pipelines.stages import filter, ingest, measure, segment, sync
from space_data import progress
from space_data.params import Params, load_params
from space_data.schema import KEPT, ClipMeasure, Decision
from space_data.tables import read_table


def curated(params: Params, layout: Layout, enabled: bool) -> float:
    """Run the stages up to the decisions; seconds that ``measure`` took."""
    screen = params.measure.screen.model_copy(update={"enabled": enabled})
    params = params.model_copy(update={"measure": params.measure.model_copy(update={"screen": screen})})
    ingest.run(params, layout)
    began_s = time.perf_counter()
    measure.run(params, layout)
    took_s = time.perf_counter() - began_s
    for stage in (segment, sync, filter):
        stage.run(params, layout)
    return took_s


def main() -> None:
    """Measure a folder with and without the screen and count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--reader", default="folder")
    arguments = parser.parse_args()
    progress.setup(quiet=True)
    params = load_params()
    params = params.model_copy(
        update={"data": params.data.model_copy(update={"reader": arguments.reader, "raw": str(arguments.folder)})}
    )
    with tempfile.TemporaryDirectory() as folder:
        dense, screened = (Layout.in_folder(Path(folder) / name) for name in ("dense", "screened"))
        dense_s, screened_s = curated(params, dense, False), curated(params, screened, True)
        passed_over = {row.clip_id: row.screened for row in read_table(screened.clip_measures, ClipMeasure) if row.screened}
        clips = len(read_table(screened.clip_measures, ClipMeasure))
        decisions = read_table(dense.decisions, Decision)
        wrong = [d.clip_id for d in decisions if d.status == KEPT and d.source_clip_id in passed_over]
        kept = {screened: {d.clip_id for d in read_table(screened.decisions, Decision) if d.status == KEPT},
                dense: {d.clip_id for d in decisions if d.status == KEPT}}  # fmt: skip
    for clip_id, reason in passed_over.items():
        print(f"passed over: {clip_id} ({reason})")
    print(f"{clips} clips, {len(passed_over)} passed over by the screen, of which the dense pass would keep {len(wrong)}")
    print(f"kept segments: {len(kept[dense])} without the screen, {len(kept[screened])} with it")
    print(f"measure: {dense_s:.1f} s without the screen, {screened_s:.1f} s with it")
    sys.exit(1 if wrong or kept[dense] != kept[screened] else 0)


if __name__ == "__main__":
    main()
