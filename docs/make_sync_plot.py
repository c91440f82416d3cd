"""Draw ``docs/img/sync.png`` from tables of ``benchmarks.sync_shifts --csv``: ``python docs/make_sync_plot.py REAL CORPUS``."""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TITLES = ("real clips", "default corpus")
GOAL = 0.95


def main(tables: list[Path]) -> None:
    """One panel per table: share of planted shifts found within a frame by window length, with 95 % intervals of speakers."""
    figure, axes = plt.subplots(1, len(tables), figsize=(9, 3.4), sharey=True, squeeze=False)
    names: dict[str, int] = {}
    for panel, title, path in zip(axes[0], TITLES, tables, strict=True):
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        for name in dict.fromkeys(row["scorer"] for row in rows):
            i = names.setdefault(name, len(names))  # one colour per scorer in all panels
            of = [row for row in rows if row["scorer"] == name]
            hit = [float(row["hit"]) for row in of]
            below = [float(row["hit"]) - float(row["low"]) for row in of]
            above = [float(row["high"]) - float(row["hit"]) for row in of]
            panel.errorbar(
                [float(row["length_s"]) + 0.12 * i for row in of],
                hit,
                [below, above],
                marker="o",
                capsize=3,
                label=name,
                color=f"C{i}",
            )
        panel.axhline(GOAL, color="grey", linestyle=":")
        panel.set(title=title, xlabel="window, s", ylim=(0.6, 1.01), xticks=[2, 4, 5, 8])
    axes[0][0].set_ylabel("planted shifts found within a frame")
    axes[0][0].legend(loc="lower right", fontsize=8)
    figure.tight_layout()
    figure.savefig(Path(__file__).parent / "img" / "sync.png", dpi=110)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
