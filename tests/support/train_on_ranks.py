"""What `tests/space_models/test_ranks.py` runs with and without torchrun: ``python train_on_ranks.py FOLDER RUN [kill-at-draw]``.

Every rank has paths of its own (``state-<rank>``, ...), so that what it writes is seen.
"""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.layout import Layout
from space_data.params import load_params
from space_models.devices import launch
from space_models.stream import BlockPlan, ClipStream, as_read
from space_models.trainer import Schedule, train

SCHEDULE = Schedule(
    steps=24, learning_rate=0.02, weight_decay=0.0, rise_share=0.3, gradient_clip=1.0, interval_steps=6, seed=3, micro_batches=4,
    ema_decay=0.5, keep="best",
)  # fmt: skip
PLAN = BlockPlan(groups=4, draws=8, micro_batches=4, seed=3)


class ClipNumbers:
    """Learn the number that a streamed clip's sound holds, with a mask that makes loss terms of unequal weight."""

    criterion = "error"

    def __init__(self, stream: ClipStream, log: Path, kill_at: int | None) -> None:
        self._stream, self._log, self._kill_at = stream, log, kill_at
        self.held_out = [3.0, 50.0, 20.0, 7.0, 90.0]

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, np.ndarray]:
        """Four frames of the block; a line in the log says of which clips."""
        if draw == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        clips = self._stream.block("video", draw).clips
        chosen = [clips[i] for i in rng.integers(len(clips), size=4)]
        with threading.Lock(), self._log.open("a") as file:
            file.write(json.dumps([draw, [clip.clip_id for clip in chosen]]) + "\n")
        return {
            "sound": np.stack([clip.log_mel[0] for clip in chosen]) / 100,
            "wanted": np.float32([[clip.normalised[0, 0, 0] / 100] for clip in chosen]),
            "mask": rng.integers(0, 2, (4, 1)).astype(np.float32),
        }

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """A mean over what the mask leaves, which is not the mean over ranks of sums."""
        squared = (model(batch["sound"]) - batch["wanted"]) ** 2 * batch["mask"]
        loss = squared.sum() / batch["mask"].sum().clamp(min=1)
        return loss, {"squared": squared.mean()}

    def validate(self, model: nn.Module, unit: float) -> dict[str, float]:
        """Absolute error."""
        return {"error": abs(float(model(torch.full((1, 40), unit / 100))) - unit / 100)}


def net() -> nn.Module:
    """With dropout: its draws are a rank's own, too."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))


def learn(folder: Path, run: str, kill_at: int | None = None) -> None:
    """Train, and leave ``<run>-<rank>.json``."""
    fabric = launch("cpu", 1, "32-true")
    rank, layout = fabric.global_rank, Layout.in_folder(folder)
    stream = ClipStream(layout.feature_split("train"), layout.feature_clips, PLAN, as_read)
    model, task = net(), ClipNumbers(stream, folder / f"{run}-{rank}.log", kill_at)
    result = train(
        "numbers", model, task, SCHEDULE, settings={}, data_hash=stream.data_hash, fabric=fabric,
        state_file=folder / f"{run}-{rank}.state", live=folder / f"{run}-{rank}.live",
    )  # fmt: skip
    facts = {
        "curves": result.curves, "writes": result.writes, "resumed_from": result.resumed_from,
        "weights": [value.tolist() for value in model.state_dict().values()],
    }  # fmt: skip
    (folder / f"{run}-{rank}.json").write_text(json.dumps(facts))


def run_stage(folder: Path) -> None:
    """Stage ``train_s2l`` on the tables in ``stage-<rank>``."""
    from pipelines.stages import train_s2l  # takes seconds, and one run needs it

    params = load_params(None, ["job.workers=1"])
    small = params.s2l.model_copy(update={"hidden": 8, "batch": 2, "frames": 30, "steps": 2})
    params = params.model_copy(update={"s2l": small, "training": params.training.model_copy(update={"micro_batches": 2})})
    train_s2l.run(params, Layout.in_folder(folder / f"stage-{os.environ['RANK']}"))


if __name__ == "__main__":
    where, runs = Path(sys.argv[1]), sys.argv[2].split(",")
    for name in runs:
        if name == "stage":
            run_stage(where)
        else:
            learn(where, name, int(sys.argv[3]) if len(sys.argv) > 3 else None)
