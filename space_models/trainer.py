"""The one training loop, on Lightning Fabric (device, precision, DDP): S2L, PoseGen, L2L and the compact generator use it.

    result = train("s2l", model, task, schedule, settings=..., data_hash=..., code=..., state_file=Path(".cache/train/s2l"))

The caller describes *what* is learnt as a ``Task``: how to draw a batch, its loss, the figures on held-out data. The loop owns
the rest. Everything that is drawn is a pure function of (seed, step, micro-batch), so that a run that was killed and goes on
equals an unbroken one, and 1, 2, 4 or 8 devices learn from the same data in the same order. Rank 0 alone writes.
"""

import json
import logging
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.progress import bar, stopwatch
from space_models.curves import Row, write_dvclive
from space_models.devices import launch
from space_models.trainer_state import RunState, fingerprint_of, in_place_of, keep_state, restore_state

logger = logging.getLogger(__name__)

Batch = Mapping[str, NDArray[Any]]

FIRST_RATE_DIVISOR = 25.0
LAST_RATE_DIVISOR = 1e4
"""The one-cycle rule's start and end below its peak (Smith & Topin 2017; defaults of torch's ``OneCycleLR``)."""


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and how to train; what each field does stands in ``params.yaml``."""

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
    micro_batches: int = 1
    """of which one step consists; a rank of W ranks draws and learns every W-th"""
    ema_decay: float = 0.0
    keep: Literal["last", "best"] = "last"
    patience: int = 0
    precision: str = "32-true"


class Task(Protocol):
    """What is learnt."""

    @property
    def held_out(self) -> Sequence[Any]:
        """Units of validation (clips, say), shared out to the ranks; empty: the curves have no held-out figures."""

    @property
    def criterion(self) -> str:
        """The held-out figure, lower is better, that chooses the best weights and ends training early."""

    def batch(self, rng: np.random.Generator, draw: int) -> Batch:
        """Draw one micro-batch of named arrays of equal length; runs in a thread, ahead of its use.

        Must depend on nothing but ``rng`` and ``draw``, the number of the micro-batch within the run
        (step * micro_batches + its number in the step). What lies in memory needs only ``rng``.
        """

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss to minimise and its named parts for the curves. Call ``model(...)`` itself: under DDP it is a wrapper."""

    def validate(self, model: nn.Module, unit: Any) -> Row:
        """Figures of one unit of ``held_out``; the curves show means over the units that have them.

        The model is in evaluation mode on its device, without gradients, in the precision of training: what it puts out may be
        bfloat16, which numpy does not know (``.float()``).
        """


@dataclass(frozen=True)
class Result:
    """What training returns beside the trained module."""

    curves: tuple[Row, ...]
    """one row per interval, equal on every rank"""
    seconds: float
    """of this process"""
    resumed_from: int
    """step"""
    samples_per_s: float
    """over all ranks"""
    waiting_share: float
    """of the time, in which this rank waited for data"""
    writes: bool
    """whether this is rank 0: the others must write nothing"""


def learning_rate_at(step: int, schedule: Schedule) -> float:
    """One-cycle rate with cosine sides at ``step`` (0 <= step < steps)."""
    peak, first, last = (schedule.learning_rate / d for d in (1.0, FIRST_RATE_DIVISOR, FIRST_RATE_DIVISOR * LAST_RATE_DIVISOR))
    top = max(1.0, schedule.rise_share * schedule.steps - 1)
    if step <= top:
        begin, end, share = first, peak, step / top
    else:
        begin, end, share = peak, last, (step - top) / max(1.0, schedule.steps - 1 - top)
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2


def generator_for(seed: int, micro_batch: int, step: int) -> np.random.Generator:
    """The random generator of one micro-batch of one step."""
    return np.random.default_rng([seed, micro_batch, step])


def train(
    name: str,
    model: nn.Module,
    task: Task,
    schedule: Schedule,
    *,
    settings: Mapping[str, Any],
    data_hash: str,
    code: str = "",
    state_file: Path | None = None,
    live: Path | None = None,
    fabric: Fabric | None = None,
) -> Result:
    """Train ``model`` in place; it ends in evaluation mode on the CPU, on every rank with the weights to keep.

    Args:
        name: shown with the progress bar.
        model: the module.
        task: see ``Task``.
        schedule: see ``Schedule``.
        settings: everything in ``params.yaml`` that the task or the model was made from, as JSON values.
        data_hash: of all that the task was given: training and held-out data with their labels.
        code: version of the code that learns. A kept state goes on only where these four and the model's shapes are equal.
        state_file: where the state is kept for resuming, outside what DVC deletes; None keeps nothing.
        live: folder that receives the curves while they grow, as DVCLive writes them; None: nowhere.
        fabric: from ``launch``; None: this process alone, on the CPU.

    Raises:
        SpaceError: the ranks cannot share the micro-batches equally; the loss is not a number any more.
    """
    fabric = fabric or launch("cpu", 1, schedule.precision)
    if schedule.micro_batches % fabric.world_size:
        raise SpaceError(
            f"training.micro_batches = {schedule.micro_batches}: {fabric.world_size} ranks cannot share them equally (take a "
            f"multiple of {fabric.world_size}; 8 serves 1, 2, 4 and 8 ranks alike)"
        )
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    wrapped, wrapped_optimizer = fabric.setup(model, optimizer)
    fingerprint = fingerprint_of(model, asdict(schedule), dict(settings), data_hash, code)
    scaler = getattr(fabric._precision, "scaler", None)  # of 16-mixed; Fabric has no public way to it
    state = restore_state(state_file, fingerprint, model, optimizer, scaler)
    state.begin_average(model, schedule.ema_decay)
    fabric.barrier()  # nobody writes the state while another still reads it
    first = state.step
    if first:
        logger.info("%s: going on at step %d of %d", name, first, schedule.steps)
    waited_s, samples, sums = 0.0, 0, defaultdict[str, Any](float)
    with stopwatch() as elapsed_s, bar(f"train {name}", schedule.steps) as advance:
        advance(first)
        for step, batches, waiting_s in _drawn(task, schedule, fabric, state):
            waited_s, samples = waited_s + waiting_s, samples + sum(len(next(iter(b.values()))) for b in batches)
            for part, value in _step(fabric, wrapped, wrapped_optimizer, task, schedule, step, batches).items():
                sums[part] += value
            state.advance(model, schedule.ema_decay)
            advance(1)
            if state.step % schedule.interval_steps and state.step < schedule.steps:
                continue
            with in_place_of(model, state.average):
                figures = _validated(fabric, model, task)
                since = (step % schedule.interval_steps) + 1
                losses = _over_ranks(fabric, sums, since, name, state.step)
                state.add({"step": state.step, "learning_rate": learning_rate_at(step, schedule)} | losses | figures)
                if schedule.keep == "best" and state.rows_since_best(task.criterion) == 0:
                    state.remember(model)
            sums.clear()
            if fabric.is_global_zero:
                if state_file is not None:
                    keep_state(state_file, fingerprint, state, model, optimizer, scaler)
                if live is not None:
                    write_dvclive(live, state.curves)
            fabric.barrier()
        seconds = elapsed_s()
    if first < schedule.steps and not task.held_out and (schedule.keep == "best" or schedule.patience):
        logger.warning("%s: no held-out clip to tell which weights are best: the last ones are kept", name)
    with torch.no_grad():
        state.load_chosen(model)
    model.to("cpu").eval()
    rate, share = fabric.world_size * samples / max(seconds, 1e-9), waited_s / max(seconds, 1e-9)
    if samples:
        logger.info("%s: %.0f samples/s, %.0f %% of the time waiting for data", name, rate, 100 * share)
    return Result(tuple(state.curves), seconds, first, rate, share, fabric.is_global_zero)


def _drawn(task: Task, schedule: Schedule, fabric: Fabric, state: RunState) -> Iterator[tuple[int, list[Batch], float]]:
    """Step, this rank's micro-batches, seconds waited for them; each step's are drawn in a thread while the one before is learnt.

    Ends after the last step, or when ``patience`` is over.
    """
    own = range(fabric.global_rank, schedule.micro_batches, fabric.world_size)

    def draw(step: int) -> list[Batch]:
        rngs = (generator_for(schedule.seed, number, step) for number in own)
        return [task.batch(rng, step * schedule.micro_batches + number) for rng, number in zip(rngs, own, strict=True)]

    with ThreadPoolExecutor(1) as pool:
        ahead = None
        for step in range(state.step, schedule.steps):
            if schedule.patience and state.rows_since_best(task.criterion) >= schedule.patience:
                return
            began = time.perf_counter()
            batches = (ahead or pool.submit(draw, step)).result()
            waited_s = time.perf_counter() - began
            ahead = pool.submit(draw, step + 1) if step + 1 < schedule.steps else None
            yield step, batches, waited_s


def _step(
    fabric: Fabric, model: Any, optimizer: Any, task: Task, schedule: Schedule, step: int, batches: Sequence[Batch]
) -> dict[str, Tensor]:
    """One update; the parts of its loss, means over this rank's micro-batches, still on the device (reading them would wait)."""
    model.train()
    for group in optimizer.param_groups:
        group["lr"] = learning_rate_at(step, schedule)
    optimizer.zero_grad()
    sums: dict[str, Tensor] = {}
    for number, batch in enumerate(batches):
        # Dropout and augmentation on the device draw from torch's generator: give each micro-batch its own, as when it was drawn.
        micro_batch = fabric.global_rank + number * fabric.world_size
        torch.manual_seed(int(generator_for(schedule.seed, micro_batch, step).integers(2**62)))
        tensors = {key: _on_device(value, fabric.device) for key, value in batch.items()}
        with fabric.no_backward_sync(model, enabled=number + 1 < len(batches)):
            loss, parts = task.loss(model, tensors)
            fabric.backward(loss / len(batches))
        for part, value in {"loss": loss, **parts}.items():
            sums[part] = sums.get(part, 0.0) + value.detach().float() / len(batches)
    norm = torch.as_tensor(
        fabric.clip_gradients(model, optimizer, max_norm=schedule.gradient_clip, error_if_nonfinite=False)
    )
    optimizer.step()  # of 16-mixed: leaves out a step whose gradients overflow, and scales less from then on
    if schedule.precision == "16-mixed":
        norm = torch.where(torch.isfinite(norm), norm, 0.0)
    return {**sums, "gradient_norm": norm.detach()}


def _on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _over_ranks(fabric: Fabric, sums: Mapping[str, Tensor], steps: int, name: str, step: int) -> Row:
    """Means of the loss columns over ``steps`` steps and all ranks.

    Raises:
        SpaceError: one of them is not finite.
    """
    means = fabric.all_reduce(torch.stack(list(sums.values())) / steps, reduce_op="mean")
    row = dict(zip(sums, torch.as_tensor(means).tolist(), strict=True))
    if not all(math.isfinite(value) for value in row.values()):
        raise SpaceError(
            f"{name}: the loss or its gradient is not finite between steps {step - steps} and {step} ({json.dumps(row)}): "
            "lower learning_rate or training.gradient_clip, or look for bad values in the data"
        )
    return row


def _validated(fabric: Fabric, model: nn.Module, task: Task) -> Row:
    """Means of the held-out figures, equal on all ranks; each rank looks at its share of the units."""
    model.eval()
    own = range(fabric.global_rank, len(task.held_out), fabric.world_size)
    with torch.no_grad(), fabric.autocast():
        found = {number: task.validate(model, task.held_out[number]) for number in own}
    shares: list[dict[int, Row]] = [found]
    if fabric.world_size > 1:
        shares = [{} for _ in range(fabric.world_size)]
        torch.distributed.all_gather_object(shares, found)
    rows = [row for _, row in sorted((number, row) for share in shares for number, row in share.items())]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
