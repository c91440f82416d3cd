"""The paper's ablations of Landmarks2Latents (supplement), on the pipeline's own clips: ``python -m benchmarks.l2l_ablations``.

Trains L2L as ``train_l2l`` does and with one thing taken away at a time, and compares latent errors on the test identities, clip
by clip, with intervals over identities. Networks are judged as trained, also where ``train_l2l`` would keep their linear start
alone. The table goes to ``reports/l2l/<generator>.json``, which the benchmark page shows.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evaluation.ablations import DIGITS, FULL, Row, interval, rows_of, write_rows
from pipelines.layout import Layout
from pipelines.stages.train_l2l import STAGE, read_data, speaker_of, train_network
from pipelines.training import training_stage
from space_data.errors import SpaceError
from space_data.params import Params, load_params
from space_models.l2l import MODEL
from space_models.l2l.metrics import ClipError, model_errors, ridge_errors, still_errors

VARIANTS = {
    FULL: {}, "no audio": {"use_audio": False}, "no landmarks": {"use_landmarks": False},
    "no normalisation": {"normalise": False}, "no emotion": {"use_emotion": False},
}  # fmt: skip
RIDGE, STILL = "ridge alone", "still face"


def train_variants(params: Params, layout: Layout, generator: str) -> dict[str, list[ClipError]]:
    """Errors on the test clips of every variant, of the linear start and of a still face."""
    speaker = speaker_of(params, layout)
    errors: dict[str, list[ClipError]] = {}
    for variant, changes in VARIANTS.items():
        settings = params.l2l.model_copy(update=changes)
        scratch = layout.cache / "l2l_ablations" / variant.replace(" ", "_")
        own = Layout(data=layout.data, reports=scratch, cache=scratch)
        with training_stage(STAGE, f"{MODEL}/{generator}", settings, params, own) as stage:
            data = read_data(layout, generator, speaker, settings, stage)
            test = data.held_out["test"]
            if not test:
                raise SpaceError("l2l_ablations: no clip of a test identity (see data.splits)")
            model = train_network(data, settings, stage)
            if model is not None:
                errors[variant] = model_errors(model, test)
                if variant == FULL:
                    errors |= {RIDGE: ridge_errors(model, test), STILL: still_errors(data.spec, test)}
    return errors


def printed(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
    table = Table("landmarks and portrait", "L2L", "error (s.d.)", "against full", "verdict")
    for row in rows:
        table.add_row(row.condition, row.system, f"{row.error:.{DIGITS}f}", interval(row), row.verdict)
    return table


def main() -> None:
    """Train, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", help="of latents.generators (default: the first)")
    parser.add_argument("--params", type=Path)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    layout, generator = Layout.of(params.job), arguments.generator or params.latents.generators[0]
    rows = rows_of(train_variants(params, layout, generator), params.evaluate.bootstrap_draws, params.evaluate.seed)
    command = f"python -m benchmarks.l2l_ablations --generator {generator}"
    write_rows(layout.l2l_ablations / f"{generator}.json", rows, command)
    Console().print(printed(rows))


if __name__ == "__main__":
    main()
