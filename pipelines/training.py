"""What every stage that trains a model does around its own few lines.

def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    with training_stage("train_s2l", MODEL, params.s2l, params, layout, overfit_one_clip) as stage:
        source = stage.stream(as_read)                               # after the other ranks have been started
        held_out = stage.held_out({"test": ..., "val": ...})         # never a training clip
        model = S2L(config)                                          # seeded
        if stage.train(model, S2LTask(model, source, ...), hash):    # on rank 0 alone, and not after overfitting
            stage.write(model, vars(config), metrics, notes)
"""

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from pipelines.job.clock import StageClock, stage_clock
from pipelines.job.keys import module_version
from pipelines.layout import Layout
from space_data import progress
from space_data.errors import SpaceError
from space_data.params import Params, TrainedStage, Training
from space_models.checkpoints import Card, save_model
from space_models.curves import write_curves, write_metrics
from space_models.dataset import StatesOf
from space_models.devices import launch
from space_models.stream import KINDS, AnyClip, BlockPlan, ClipSource, ClipStream, InMemory, Make
from space_models.trainer import Batch, Result, Row, Schedule, Task, generator_for, train

logger = logging.getLogger(__name__)

Clip = TypeVar("Clip", bound=Sized)
Streamed = TypeVar("Streamed", bound=AnyClip)
LOOP = "space_models.trainer"
WHERE_TO_RUN = {"device", "devices"}
"""Keys of ``training`` that change no weights: a run goes on under others."""


def schedule_of(section: TrainedStage, training: Training) -> Schedule:
    """The trainer's schedule of a model's section and of the settings of training that hold for it."""
    return Schedule(
        steps=section.steps,
        learning_rate=section.learning_rate,
        weight_decay=training.weight_decay,
        rise_share=training.rise_share,
        gradient_clip=training.gradient_clip,
        interval_steps=max(1, section.steps // training.curve_rows),
        seed=section.seed,
        micro_batches=training.micro_batches,
        ema_decay=training.ema_decay,
        keep=training.keep,
        patience=training.patience,
        precision=training.precision,
    )


class OneBatch:
    """A task (``trainer.Task``) whose every batch is the first of another's: what any sound model learns by heart."""

    held_out: Sequence[Any] = ()
    criterion = ""

    def __init__(self, task: Task, seed: int) -> None:
        self._task, self._batch, self._seed = task, task.batch(generator_for(seed, 0, 0), 0), seed

    def batch(self, rng: object, draw: int) -> Batch:
        """Always the same."""
        return self._batch

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The other task's, with the same augmentation every time."""
        torch.manual_seed(self._seed)
        return self._task.loss(model, batch)

    def validate(self, model: nn.Module, unit: Any) -> Row:
        """Nothing is held out."""
        return {}


@dataclass
class TrainingStage:
    """One run of a stage that trains a model: see the module."""

    name: str
    model_name: str
    section: TrainedStage
    training: Training
    layout: Layout
    fabric: Fabric
    clock: StageClock
    overfit_one_clip: bool
    data_hash: str = ""
    result: Result | None = None
    held_out_split: str = ""
    """of which the figures are; empty: nothing is held out, and so there are no figures"""

    def learnt(self, clips: Sequence[Clip], what: str) -> list[Clip]:
        """The clips to learn from: all, or the longest one where one is to be overfitted.

        Raises:
            SpaceError: there is none.
        """
        if not clips:
            raise SpaceError(f"{self.layout.feature_clips}: no {what} of a training identity (see data.splits)")
        return [max(clips, key=len)] if self.overfit_one_clip else list(clips)

    def stream(self, make: Make[Streamed], kinds: Sequence[str] = KINDS, states: StatesOf | None = None) -> ClipSource[Streamed]:
        """The training clips, a few row groups in memory (``training.stream_groups``); all of them, where they are no more; one
        clip, where one is to be overfitted.

        Args:
            make: what the model learns from, of the tables' clips (``stream.as_read``: those themselves).
            kinds: of clips.
            states: gives a speech encoder's states of clips, where the model hears those.
        """
        plan = BlockPlan(self.training.stream_groups, self.training.stream_draws, self.training.micro_batches, self.section.seed)
        stream = ClipStream(self.layout.feature_split("train"), self.layout.feature_clips, plan, make, kinds, states)
        return InMemory(self.learnt(stream.sample(), "clip")) if self.overfit_one_clip else stream

    def held_out(self, by_split: Mapping[str, Sequence[Clip]]) -> list[Clip]:
        """Clips for the figures: of the first split that has any, in the order given; none of a training identity."""
        for split, clips in by_split.items():
            if clips:
                self.held_out_split = f"{len(clips)} clips of split {split}"
                return list(clips)
        logger.warning("%s: no clip of an identity that is held out: no figures", self.name)
        return []

    def train(self, model: nn.Module, task: Task, data_hash: str, fitted_by: Callable[..., Any]) -> bool:
        """Train ``model``; whether this process is now to measure and write it.

        Args:
            model: in place.
            task: what it learns.
            data_hash: of all that the task was given (``dataset.hash_of``).
            fitted_by: made what the model starts from; a kept state, which holds that, goes on only if its module is the same.
        """
        schedule = schedule_of(self.section, self.training)
        if self.overfit_one_clip:
            self._overfit(model, task, schedule)
            return False
        self.data_hash = data_hash
        shared = self.training.model_dump(mode="json", exclude=WHERE_TO_RUN)
        config = repr(getattr(model, "config", None))
        settings = self.section.model_dump(mode="json") | {"training": shared, "config": config}
        modules = (type(model).__module__, type(task).__module__, fitted_by.__module__, LOOP)
        code = [module_version(module) for module in dict.fromkeys(modules)]
        self.result = train(
            self.model_name, model, task, schedule, settings=settings, data_hash=data_hash,
            code=" ".join(code), state_file=self.layout.training_state(self.model_name), live=self.layout.live(self.model_name),
            fabric=self.fabric,
        )  # fmt: skip
        return self.result.writes

    def write(self, model: nn.Module, config: Mapping[str, Any], metrics: Mapping[str, float], notes: str) -> Card:
        """Write weights, card, curves and metrics; only where ``train`` said so."""
        assert self.result is not None and self.result.writes, "write only where train() is true"
        card = Card(
            self.model_name, dict(config), self.data_hash, f"python -m pipelines.stages {self.name}", dict(metrics), notes,
            training=self.section.model_dump(mode="json") | {"training": self.training.model_dump(mode="json")},
            held_out=self.held_out_split or "none: no figures",
        )  # fmt: skip
        folder = self.layout.model(self.model_name)
        card = save_model(folder, model, card)
        write_curves(folder / "curves.csv", self.result.curves)
        write_metrics(folder / "metrics.json", metrics)
        return card

    def _overfit(self, model: nn.Module, task: Task, schedule: Schedule) -> None:
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.p = 0.0
        schedule = dataclasses.replace(schedule, interval_steps=1, weight_decay=0.0, keep="last", patience=0, ema_decay=0.0)
        once = OneBatch(task, schedule.seed)
        result = train(self.model_name, model, once, schedule, settings={}, data_hash="", fabric=self.fabric)
        if result.writes:
            began, ended = result.curves[0]["loss"], result.curves[-1]["loss"]
            print(
                f"{self.name}: one batch of one clip, {schedule.steps} steps: loss {began:.4g} -> {ended:.4g} (should go to "
                "about 0; a likelihood falls without end). Nothing was written."
            )


@contextmanager
def training_stage(
    name: str, model_name: str, section: TrainedStage, params: Params, layout: Layout, overfit_one_clip: bool = False
) -> Iterator[TrainingStage]:
    """Start the ranks, seed torch, and time the stage; rank 0 alone says and writes anything, and nothing when overfitting."""
    training = section.trained_with(params.training)
    fabric = launch(training.device, training.devices, training.precision, params.job.processes)
    if not fabric.is_global_zero:
        progress.setup(quiet=True)
    torch.manual_seed(section.seed)
    with ExitStack() as stack:
        silent = overfit_one_clip or not fabric.is_global_zero
        clock = StageClock() if silent else stack.enter_context(stage_clock(layout, name))
        yield TrainingStage(name, model_name, section, training, layout, fabric, clock, overfit_one_clip)
