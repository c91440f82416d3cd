"""Curves and figures of a training, as files that DVC and people read."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from space_data.files import atomic_file

Row = dict[str, float]
"""One line of the curves: figures by name."""


def write_curves(path: Path, curves: Sequence[Row]) -> None:
    """Curves as CSV for ``dvc plots``: one line per interval, columns in order of first appearance."""
    columns = list(dict.fromkeys(key for row in curves for key in row))
    with atomic_file(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in curves)


def write_metrics(path: Path, metrics: Mapping[str, float]) -> None:
    """Figures as JSON for ``dvc metrics``, sorted, rounded to six digits."""
    _write_json(path, {k: float(f"{v:.6g}") for k, v in sorted(metrics.items())})


def write_dvclive(folder: Path, curves: Sequence[Row]) -> None:
    """Curves as DVCLive 3 leaves them, for tools that watch its folder: ``plots/metrics/<name>.tsv`` and ``metrics.json``.

    Written here, not by DVCLive: it needs DVC in the environment that trains, keeps a count of steps of its own, which a resumed
    run contradicts, and these are two plain formats.
    """
    for name in dict.fromkeys(key for row in curves for key in row if key != "step"):
        lines = [f"{row['step']:.0f}\t{row[name]:.6g}" for row in curves if name in row]
        with atomic_file(folder / "plots" / "metrics" / f"{name}.tsv") as part:
            part.write_text("\n".join([f"step\t{name}", *lines]) + "\n")
    _write_json(folder / "metrics.json", {k: int(v) if k == "step" else float(f"{v:.6g}") for k, v in curves[-1].items()})


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with atomic_file(path) as part:
        part.write_text(json.dumps(values, indent=1) + "\n")
