"""The paper's ablations of Landmarks2Latents (supplement), on the pipeline's own clips: ``python -m benchmarks.l2l_ablations``.

Trains L2L as ``train_l2l`` does and with one thing taken away at a time, and compares latent errors on the test identities, clip
by clip, with intervals over identities. Networks are judged as trained, also where ``train_l2l`` would keep their linear start
alone. Each variant is trained from ``--seeds`` seeds; a clip's error is the mean over them. The table goes to
``reports/l2l/<generator>.json``, which the benchmark page shows. Three seeds take some ten minutes of a core.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evaluation.ablations import DIGITS, FULL, Row, SeedErrors, interval, rows_of, seed_range, write_rows
from pipelines.layout import Layout
from pipelines.stages.train_l2l import STAGE, read_data, speaker_of, train_network
from pipelines.training import training_stage
from space_data.errors import SpaceError
from space_data.params import Params, load_params
from space_models.l2l import MODEL
from space_models.l2l.metrics import model_errors, ridge_errors, still_errors

VARIANTS = {
    FULL: {}, "no audio": {"use_audio": False}, "no landmarks": {"use_landmarks": False},
    "no normalisation": {"normalise": False}, "no emotion": {"use_emotion": False},
}  # fmt: skip
RIDGE, STILL = "ridge alone", "still face"


def train_variants(params: Params, layout: Layout, generator: str, seeds: int) -> dict[str, SeedErrors]:
    """Errors on the test clips of every variant, of the linear start and of a still face, for each seed."""
    speaker = speaker_of(params, layout)
    errors: dict[str, SeedErrors] = defaultdict(list)
    for variant, changes in VARIANTS.items():
        for seed in range(params.l2l.seed, params.l2l.seed + seeds):
            settings = params.l2l.model_copy(update={**changes, "seed": seed})
            scratch = layout.cache / "l2l_ablations" / f"{variant.replace(' ', '_')}_{seed}"
            own = Layout(data=layout.data, reports=scratch, cache=scratch)
            with training_stage(STAGE, f"{MODEL}/{generator}", settings, params, own) as stage:
                data = read_data(layout, generator, speaker, settings, stage)
                test = data.held_out["test"]
                if not test:
                    raise SpaceError("l2l_ablations: no clip of a test identity (see data.splits)")
                model = train_network(data, settings, stage)
                if model is not None:
                    errors[variant].append(model_errors(model, test))
                    if variant == FULL:
                        errors[RIDGE].append(ridge_errors(model, test))
                        errors[STILL].append(still_errors(data.spec, test))
    return dict(errors)


def printed(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
    table = Table("landmarks and portrait", "L2L", "error (s.d.)", "seeds", "against full", "verdict")
    for row in rows:
        table.add_row(row.condition, row.system, f"{row.error:.{DIGITS}f}", seed_range(row), interval(row), row.verdict)
    return table


def main() -> None:
    """Train, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator", help="of latents.generators (default: the first)")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from l2l.seed on (default: 1)")
    parser.add_argument("--params", type=Path)
    arguments = parser.parse_args()
    params = load_params(arguments.params)
    layout, generator = Layout.of(params.job), arguments.generator or params.latents.generators[0]
    errors = train_variants(params, layout, generator, arguments.seeds)
    rows = rows_of(errors, params.evaluate.sign_flip_draws, params.evaluate.seed)
    command = f"python -m benchmarks.l2l_ablations --generator {generator} --seeds {arguments.seeds}"
    write_rows(layout.l2l_ablations / f"{generator}.json", rows, command)
    Console().print(printed(rows))


if __name__ == "__main__":
    main()
