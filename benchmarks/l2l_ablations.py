"""The paper's ablations of Landmarks2Latents (supplement), on the pipeline's own clips: ``python -m benchmarks.l2l_ablations``.

Trains L2L as ``train_l2l`` does and with one thing taken away at a time, and compares latent errors on the test identities, clip by
clip, with intervals over identities. Networks are judged as trained, also where ``train_l2l`` would keep their linear start alone.
The table goes to ``reports/l2l/<generator>.json``, which the benchmark page shows.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evaluation.statistics import compare, summarise
from pipelines.layout import Layout
from pipelines.stages.latents import read_spec
from pipelines.stages.train_l2l import STAGE, clips_of, read_filmed, read_latents, speaker_of, train_network
from pipelines.training import training_stage
from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.params import Params, load_params
from space_models.l2l import MODEL
from space_models.l2l.metrics import ClipError, model_errors, ridge_errors, still_errors

FULL = "full"
VARIANTS = {
    FULL: {}, "no audio": {"use_audio": False}, "no landmarks": {"use_landmarks": False}, "no normalisation": {"normalise": False},
    "no emotion": {"use_emotion": False},
}  # fmt: skip
RIDGE, STILL = "ridge alone", "still face"
DIGITS = 4


@dataclass(frozen=True)
class Row:
    """One system under one condition: mean error, and its paired difference from the full model (+ = worse) with an interval."""

    system: str
    condition: str
    error: float
    difference: float | None
    low: float | None
    high: float | None
    clips: int
    identities: int

    @property
    def verdict(self) -> str:
        """What the interval says."""
        if self.low is None or self.high is None:
            return ""
        if self.low > 0:
            return "worse than full"
        return "better than full" if self.high < 0 else "does not show"


def train_variants(params: Params, layout: Layout, generator: str) -> dict[str, list[ClipError]]:
    """Errors on the test clips of every variant, of the linear start and of a still face."""
    speaker = speaker_of(params, layout)
    filmed, latents, spec = read_filmed(layout, speaker), read_latents(layout, generator), read_spec(layout, generator)
    errors: dict[str, list[ClipError]] = {}
    for variant, changes in VARIANTS.items():
        settings = params.l2l.model_copy(update=changes)
        scratch = layout.cache.local() / "l2l_ablations" / variant.replace(" ", "_")
        own = Layout(data=layout.data, reports=layout.cache / "l2l_ablations", cache=layout.cache / "l2l_ablations" / scratch.name)
        clips = clips_of(filmed, latents, speaker, settings.normalise)
        if not clips["test"]:
            raise SpaceError("l2l_ablations: no clip of a test identity (see data.splits)")
        with training_stage(STAGE, f"{MODEL}/{generator}", settings, params, own) as stage:
            model = train_network(clips, spec, settings, stage)
            if model is not None:
                errors[variant] = model_errors(model, clips["test"])
                if variant == FULL:
                    errors |= {RIDGE: ridge_errors(model, clips["test"]), STILL: still_errors(spec, clips["test"])}
    return errors


def rows_of(errors: dict[str, list[ClipError]], draws: int, seed: int) -> list[Row]:
    """The table: systems in the order of the variants, then ridge and still, under each condition."""
    full = {(e.clip_id, e.condition): e.error for e in errors[FULL]}
    order = [*VARIANTS, RIDGE, STILL]
    rows = []
    for condition in dict.fromkeys(e.condition for e in errors[FULL]):
        for system in (name for name in order if name in errors):
            own = [e for e in errors[system] if e.condition == condition]
            values, subjects = [e.error for e in own], [e.subject for e in own]
            mean = summarise(values, subjects, draws, seed)
            assert mean.mean is not None
            base = [full[e.clip_id, condition] for e in own]
            d = compare(values, base, subjects, True, draws, seed).difference if system != FULL else None
            low, high, difference = (d.low, d.high, d.mean) if d else (None, None, None)
            rows.append(Row(system, condition, mean.mean, difference, low, high, mean.n_ok, mean.n_identities))
    return rows


def write_rows(path: Path, rows: Sequence[Row], command: str) -> None:
    """Write the table as JSON."""
    with atomic_file(path) as part:
        part.write_text(json.dumps({"command": command, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def printed(rows: Sequence[Row]) -> Table:
    """The table for a terminal."""
    table = Table("landmarks and portrait", "L2L", "error (s.d.)", "against full", "verdict")
    for row in rows:
        interval = "" if row.low is None else f"{row.difference:+.{DIGITS}f} [{row.low:+.{DIGITS}f}, {row.high:+.{DIGITS}f}]"
        table.add_row(row.condition, row.system, f"{row.error:.{DIGITS}f}", interval, row.verdict)
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
    write_rows(layout.reports.local() / "l2l" / f"{generator}.json", rows, f"python -m benchmarks.l2l_ablations --generator {generator}")
    Console().print(printed(rows))


if __name__ == "__main__":
    main()
