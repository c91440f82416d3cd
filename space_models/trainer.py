"""The one training loop, on Lightning Fabric (device, precision, DDP): S2L, PoseGen, L2L and the compact generator use it.

    result = train("s2l", model, task, schedule, state_file=Path(".cache/train/s2l.safetensors"))

The caller describes *what* is learnt as a ``Task``: how to draw a batch, its loss, the figures on held-out data. The loop owns
the rest: one-cycle learning rate as a pure function of the step, a generator per step (seed, rank, step), so that a run that was
killed and goes on equals an unbroken one, the state on disk, the curves and the progress bar.
"""

import csv
import hashlib
import json
import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from space_data.files import atomic_file
from space_data.progress import bar, stopwatch
from space_models.checkpoints import plain_state

logger = logging.getLogger(__name__)

Batch = Mapping[str, NDArray[Any]]
Row = dict[str, float]

FIRST_RATE_DIVISOR = 25.0
LAST_RATE_DIVISOR = 1e4
"""The one-cycle rule's start and end below its peak (Smith & Topin 2017; defaults of torch's ``OneCycleLR``)."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train; the same keys stand in every ``train`` section of ``params.yaml``."""

    steps: int
    learning_rate: float
    """at the peak of the cycle"""
    weight_decay: float
    rise_share: float
    """share of the steps in which the rate rises"""
    gradient_clip: float
    """largest gradient norm"""
    interval_steps: int
    """between two rows of the curves; the state is kept as often"""
    seed: int
    devices: int = 1
    precision: str = "32-true"
    """Fabric's name, e.g. ``bf16-mixed`` on a GPU"""


class Task(Protocol):
    """What is learnt."""

    fingerprint: str
    """hash of data and configuration: a kept state goes on only where it is equal"""

    def batch(self, rng: np.random.Generator, step: int) -> Batch:
        """Draw one batch of named arrays; must depend on nothing but its arguments (runs in a thread, ahead of its use)."""

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss to minimise and its named parts for the curves. Call ``model(...)`` itself: under DDP it is a wrapper."""

    def validate(self, model: nn.Module) -> Row:
        """Figures on held-out data, in evaluation mode, without gradients; {} if there are none."""


@dataclass(frozen=True)
class Result:
    """What training returns beside the trained module: one row per interval, and the seconds this process spent."""

    curves: tuple[Row, ...]
    seconds: float
    resumed_from: int


def learning_rate_at(step: int, schedule: Schedule) -> float:
    """One-cycle rate with cosine sides at ``step`` (0 <= step < steps)."""
    peak, first, last = (schedule.learning_rate / d for d in (1.0, FIRST_RATE_DIVISOR, FIRST_RATE_DIVISOR * LAST_RATE_DIVISOR))
    top = max(1.0, schedule.rise_share * schedule.steps - 1)
    if step <= top:
        begin, end, share = first, peak, step / top
    else:
        begin, end, share = peak, last, (step - top) / max(1.0, schedule.steps - 1 - top)
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


def generator_for(seed: int, rank: int, step: int) -> np.random.Generator:
    """The random generator of one step on one device."""
    return np.random.default_rng([seed, rank, step])


def train(
    name: str, model: nn.Module, task: Task, schedule: Schedule, state_file: Path | None, threads: int = 1, code: str = ""
) -> Result:
    """Train ``model`` in place.

    Args:
        name: shown with the progress bar.
        model: the module; ends in evaluation mode on the CPU.
        task: see ``Task``.
        schedule: see ``Schedule``.
        state_file: where the state is kept for resuming, outside what DVC deletes; None keeps nothing.
        threads: CPU threads for torch. Another number may change the last bits of a result.
        code: version of the code that learns; a state that other code has kept is not gone on with.
    """
    torch.set_num_threads(threads)
    fabric = Fabric(accelerator="auto", devices=schedule.devices, precision=schedule.precision)  # type: ignore[arg-type]
    fabric.launch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    wrapped, wrapped_optimizer = fabric.setup(model, optimizer)
    fingerprint = _fingerprint(model, task, schedule, code)
    first, curves = _restore(state_file, fingerprint, model, optimizer)
    if first:
        logger.info("%s: going on at step %d of %d", name, first, schedule.steps)
    sums: dict[str, float] = defaultdict(float)
    with stopwatch() as elapsed_s, bar(f"train {name}", schedule.steps) as advance:
        advance(first)
        for step, batch in _batches(task, schedule, fabric.global_rank, first):
            parts = _step(fabric, wrapped, wrapped_optimizer, task, schedule, step, batch)
            for part, value in parts.items():
                sums[part] += value
            advance(1)
            if (step + 1) % schedule.interval_steps == 0 or step + 1 == schedule.steps:
                since = (step % schedule.interval_steps) + 1
                means = {part: value / since for part, value in sums.items()}
                rate = learning_rate_at(step, schedule)
                curves.append({"step": step + 1, "learning_rate": rate, **means, **_validate(fabric, model, task)})
                sums.clear()
                if state_file is not None and fabric.is_global_zero:
                    _keep(state_file, fingerprint, step + 1, curves, model, optimizer)
                fabric.barrier()
        seconds = elapsed_s()
    model.to("cpu").eval()
    return Result(tuple(curves), seconds, first)


def _batches(task: Task, schedule: Schedule, rank: int, first: int) -> Iterator[tuple[int, Batch]]:
    """Batches from step ``first`` on, each drawn in a thread while the one before is learnt."""

    def draw(step: int) -> Batch:
        return task.batch(generator_for(schedule.seed, rank, step), step)

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(draw, first) if first < schedule.steps else None
        for step in range(first, schedule.steps):
            assert ahead is not None
            batch = ahead.result()
            ahead = pool.submit(draw, step + 1) if step + 1 < schedule.steps else None
            yield step, batch


def _step(
    fabric: Fabric, model: Any, optimizer: Any, task: Task, schedule: Schedule, step: int, batch: Batch
) -> dict[str, float]:
    """One update; the parts of its loss as numbers."""
    # Dropout and augmentation on the device draw from torch's generator: give each step its own, as with the batches.
    torch.manual_seed(int(generator_for(schedule.seed, fabric.global_rank, step).integers(2**62)))
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(step, schedule)
    tensors = {key: torch.from_numpy(np.ascontiguousarray(value)).to(fabric.device) for key, value in batch.items()}
    loss, parts = task.loss(model, tensors)
    optimizer.zero_grad()
    fabric.backward(loss)
    fabric.clip_gradients(model, optimizer, max_norm=schedule.gradient_clip, error_if_nonfinite=True)
    optimizer.step()
    return {"loss": float(loss.detach()), **{part: float(value.detach()) for part, value in parts.items()}}


def _validate(fabric: Fabric, model: nn.Module, task: Task) -> Row:
    if not fabric.is_global_zero:
        return {}
    model.eval()
    with torch.no_grad():
        return task.validate(model)


def _fingerprint(model: nn.Module, task: Task, schedule: Schedule, code: str) -> str:
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    facts = json.dumps([asdict(schedule), task.fingerprint, shapes, code], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()


def _keep(path: Path, fingerprint: str, step: int, curves: list[Row], model: nn.Module, optimizer: torch.optim.AdamW) -> None:
    """Write model, optimiser and curves as one file, so that they cannot belong to different steps."""
    tensors = {f"model/{name}": tensor for name, tensor in plain_state(model).items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"adam/{key}/{name}"] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    facts = {"fingerprint": fingerprint, "step": step, "curves": curves}
    with atomic_file(path) as part:
        save_file(tensors, part, metadata={"facts": json.dumps(facts)})


def _restore(
    path: Path | None, fingerprint: str, model: nn.Module, optimizer: torch.optim.AdamW
) -> tuple[int, list[Row]]:
    """Fill model and optimiser from a kept state of the same run; (first step to do, curves so far)."""
    if path is None or not path.is_file():
        return 0, []
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            if facts["fingerprint"] != fingerprint:
                logger.info("%s: state of another run (data, parameters or code changed), starting anew", path)
                return 0, []
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError as error:
        logger.warning("%s: state cannot be read (%s), starting anew", path, error)
        return 0, []
    model.load_state_dict({name.removeprefix("model/"): t for name, t in state.items() if name.startswith("model/")})
    for name, parameter in model.named_parameters():
        keys = [key.split("/")[1] for key in state if key.startswith("adam/") and key.split("/", 2)[2] == name]
        # AdamW keeps its step counter on the CPU; the moments live with the parameter.
        optimizer.state[parameter] = {
            key: state[f"adam/{key}/{name}"].to("cpu" if key == "step" else parameter.device) for key in keys
        }
    return facts["step"], facts["curves"]


def write_curves(path: Path, curves: tuple[Row, ...]) -> None:
    """Curves as CSV for ``dvc plots``: one line per interval, columns in order of first appearance."""
    columns = list(dict.fromkeys(key for row in curves for key in row))
    with atomic_file(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in curves)


def write_metrics(path: Path, metrics: Mapping[str, float]) -> None:
    """Figures as JSON for ``dvc metrics``, sorted, rounded to six digits."""
    with atomic_file(path) as part:
        part.write_text(json.dumps({k: float(f"{v:.6g}") for k, v in sorted(metrics.items())}, indent=1) + "\n")
