"""What a training has come to, on disk and off: weights, optimiser, running mean, best weights, curves; in one file, so that they
cannot belong to different steps."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from space_models.checkpoints import plain_state, save_tensors
from space_models.curves import Row

logger = logging.getLogger(__name__)

WEIGHTS, AVERAGE, BEST, ADAM = "model/", "average/", "best/", "adam/"


@dataclass
class RunState:
    """Everything of a run beside the weights and the optimiser."""

    step: int = 0
    curves: list[Row] = field(default_factory=list)
    average: dict[str, Tensor] = field(default_factory=dict)
    """running mean of the weights, on the model's device; empty: none is kept"""
    best: dict[str, Tensor] = field(default_factory=dict)
    """weights of the best row so far, on the CPU; empty: none are kept"""

    def begin_average(self, model: nn.Module, decay: float) -> None:
        """Start the running mean at the model's weights, unless it goes on."""
        if decay and not self.average:
            self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def advance(self, model: nn.Module, decay: float) -> None:
        """Count a step, and move the running mean towards the weights by 1 - decay; by more in the first steps, of which the n-th
        has decay n / (9 + n) at most: else the mean would long hold the weights of the start."""
        self.step += 1
        now = min(decay, self.step / (9 + self.step))
        for name, value in model.state_dict().items() if decay else ():
            mean = self.average[name]
            if mean.is_floating_point():
                mean.lerp_(value.detach(), 1 - now)
            else:
                mean.copy_(value)

    def add(self, row: Row) -> None:
        """Add a row to the curves."""
        self.curves.append(row)

    def rows_since_best(self, criterion: str) -> int:
        """How many rows ago the least ``criterion`` was found; 0 as long as there is none."""
        values = [row.get(criterion, math.inf) for row in self.curves]
        return len(values) - 1 - values.index(min(values)) if values and min(values) < math.inf else 0

    def remember(self, model: nn.Module) -> None:
        """Keep these weights as the best ones."""
        self.best = plain_state(model)

    def load_chosen(self, model: nn.Module) -> None:
        """Fill the model with what is to be kept: the best weights, else their running mean, else leave the last ones."""
        if self.best or self.average:
            model.load_state_dict(self.best or self.average)


@contextmanager
def in_place_of(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with other weights for a while; with its own if these are none."""
    if not weights:
        yield
        return
    own = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.load_state_dict(dict(weights))
    yield
    model.load_state_dict(own)


def fingerprint_of(model: nn.Module, *facts: Any) -> str:
    """Hash of all that decides what a run comes to: JSON values, the model's shapes. A state goes on only where it is equal."""
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    return hashlib.sha256(json.dumps([shapes, *facts], sort_keys=True).encode()).hexdigest()


def keep_state(
    path: Path, fingerprint: str, progress: RunState, model: nn.Module, optimizer: torch.optim.AdamW, scaler: Any
) -> None:
    """Write the state atomically. ``scaler`` is that of fp16, or None."""
    groups = ((WEIGHTS, plain_state(model)), (AVERAGE, progress.average), (BEST, progress.best))
    tensors = {prefix + name: _plain(value) for prefix, group in groups for name, value in group.items()}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f"{ADAM}{key}/{name}"] = _plain(value)
    facts = {"fingerprint": fingerprint, "step": progress.step, "curves": progress.curves}
    if scaler is not None:
        facts["scaler"] = scaler.state_dict()
    save_tensors(path, tensors, {"facts": json.dumps(facts)})


def restore_state(path: Path | None, fingerprint: str, model: nn.Module, optimizer: torch.optim.AdamW, scaler: Any) -> RunState:
    """Fill model and optimiser from a kept state of the same run; an empty ``RunState`` if there is none."""
    if path is None or not path.is_file():
        return RunState()
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
            if facts["fingerprint"] != fingerprint:
                logger.info("%s: state of another run (data, parameters or code changed), starting anew", path)
                return RunState()
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except (SafetensorError, TypeError, KeyError, ValueError) as error:  # the last three: tensors, but no state of ours
        logger.warning("%s: state cannot be read (%s), starting anew", path, error or type(error).__name__)
        return RunState()
    model.load_state_dict(_group(state, WEIGHTS))
    for name, parameter in model.named_parameters():
        keys = [key.split("/")[1] for key in state if key.startswith(ADAM) and key.split("/", 2)[2] == name]
        # AdamW keeps its step counter on the CPU; the moments live with the parameter.
        optimizer.state[parameter] = {
            key: state[f"{ADAM}{key}/{name}"].to("cpu" if key == "step" else parameter.device) for key in keys
        }
    if scaler is not None:
        scaler.load_state_dict(facts["scaler"])
    device = next(model.parameters()).device
    average = {name: value.to(device) for name, value in _group(state, AVERAGE).items()}
    return RunState(facts["step"], facts["curves"], average, _group(state, BEST))


def _group(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
