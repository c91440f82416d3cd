"""Every trained task where it will run: a step on a device that is not the CPU, and steps in mixed precision.

PyTorch's fake tensors have a device and a shape but no values: here ``meta``, since ``cuda`` needs a driver for the LSTM. Mixing
devices is an error on them as it is on a GPU, and so is asking for a value, for which a GPU would have to wait.
"""

import copy
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from made_up_canvas import opening_mouth
from made_up_canvas import settings as compact_settings
from made_up_latents import SMALL, SPEC, people
from made_up_latents import config as l2l_config
from made_up_talk import AUGMENTATION, config, talking_clips, task_settings, template_face
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import space_models
from space_data.errors import SpaceError
from space_data.speech_encoder import LOG_MEL, WHISPER_TINY_EN
from space_models.devices import launch
from space_models.generators.compact.training import CompactTask, new_net
from space_models.l2l import L2L
from space_models.l2l.task import L2LTask
from space_models.s2l.fit import fit_input
from space_models.s2l.model import S2L
from space_models.s2l.task import S2LTask
from space_models.stream import InMemory
from space_models.trainer import Schedule, Task, train

DEVICE = "meta"

Made = tuple[nn.Module, Task]


def s2l(encoder: str, rng: np.random.Generator) -> Made:
    clips = talking_clips(template_face(), 4, rng)
    model = S2L(config(encoder))
    fit_input(model, clips, AUGMENTATION, seed=0)
    return model, S2LTask(model, InMemory(clips), clips[:1], task_settings(4, 30))


def l2l(rng: np.random.Generator) -> Made:
    clips = people(rng, 3)
    return L2L(l2l_config()), L2LTask(InMemory(clips), clips[:1], SMALL, SPEC)


def compact(rng: np.random.Generator) -> Made:
    section = compact_settings()
    return new_net([opening_mouth()], section), CompactTask([opening_mouth()], [opening_mouth()], section, 1)


TRAINED: dict[str, Callable[[np.random.Generator], Made]] = {
    "s2l, log-mel": lambda rng: s2l(LOG_MEL, rng),
    "s2l, Whisper": lambda rng: s2l(WHISPER_TINY_EN, rng),
    "l2l": l2l,
    "compact": compact,
}


def moved(model: nn.Module) -> FakeTensorMode:
    """A mode in which the model's weights are on the device; real tensors, which are the CPU's, count as that."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    for module in model.modules():
        for store in (module._parameters, module._buffers):
            for name, tensor in store.items():
                if tensor is not None:
                    with mode:
                        fake: Any = torch.empty(tensor.shape, dtype=tensor.dtype, device=DEVICE)
                    store[name] = nn.Parameter(fake) if isinstance(tensor, nn.Parameter) else fake
        if isinstance(module, nn.RNNBase):
            module._init_flat_weights()
    return mode


def step(made: Made, mode: FakeTensorMode) -> None:
    """Loss and gradients of one batch, all on the device."""
    model, task = made
    batch = task.batch(np.random.default_rng(0), 0)
    with mode:
        tensors = {name: torch.empty(a.shape, dtype=torch.from_numpy(a).dtype, device=DEVICE) for name, a in batch.items()}
        loss, parts = task.loss(model.train(), tensors)
        loss.backward()
    assert {t.device.type for t in (loss, *parts.values())} == {DEVICE}
    learnt = [p.grad for p in model.parameters() if p.grad is not None]
    assert learnt and {g.device.type for g in learnt} == {DEVICE}


def test_every_task_is_among_them(rng: np.random.Generator) -> None:
    modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(space_models.__path__, "space_models.")]
    parts = ("batch", "loss", "validate", "criterion")
    classes = {c for m in modules for _, c in inspect.getmembers(m, inspect.isclass) if all(hasattr(c, p) for p in parts)}
    assert classes - {Task} == {type(make(rng)[1]) for make in TRAINED.values()}


@pytest.mark.parametrize("name", TRAINED)
def test_a_step_stays_on_its_device(name: str, rng: np.random.Generator) -> None:
    made = TRAINED[name](rng)
    step(made, moved(made[0]))


@pytest.mark.parametrize(
    "stray", [lambda change: change + torch.zeros(change.shape), lambda change: change * float(change.detach().mean())]
)
def test_what_strays_is_found(stray: Callable[[torch.Tensor], torch.Tensor], rng: np.random.Generator) -> None:
    model, task = l2l(rng)
    model.register_forward_hook(lambda module, inputs, output: (stray(output[0]), output[1]))
    with pytest.raises(Exception, match="same device|local_scalar"):
        step((model, task), moved(model))


@pytest.mark.parametrize("encoder", [LOG_MEL, WHISPER_TINY_EN])
def test_s2l_is_validated_on_the_cpu_as_it_is_used(encoder: str, rng: np.random.Generator) -> None:
    model, task = s2l(encoder, rng)
    here = task.validate(model.eval(), task.held_out[0])
    elsewhere = copy.deepcopy(model).to(DEVICE)
    elsewhere.to = lambda device: {"cpu": model}[device]  # type: ignore[method-assign,assignment]
    assert task.validate(elsewhere, task.held_out[0]) == here


@pytest.mark.parametrize("name", TRAINED)
def test_two_steps_in_bfloat16(name: str, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    model, task = TRAINED[name](rng)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    schedule = Schedule(2, 1e-3, 0.0, 0.5, 1.0, 1, 0, precision="bf16-mixed")
    result = train(name, model, task, schedule, settings={}, data_hash="")
    assert len(result.curves) == 2 and all(np.isfinite(list(row.values())).all() for row in result.curves)
    assert task.criterion in result.curves[-1], "validated in that precision, too"
    after = model.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert {tensor.dtype for tensor in after.values() if tensor.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize(
    ("device", "devices", "precision", "message"),
    [("cuda", 1, "32-true", "0 GPUs here, need one each"), ("auto", 1, "16-mixed", "no GPU"), ("cpu", 1, "16-mixed", "no GPU")],
)
def test_gpus_that_are_not_there_are_missed_in_a_line(
    device: str, devices: int, precision: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SpaceError, match=message):
        launch(device, devices, precision)


def test_each_process_needs_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(SpaceError, match="2 processes: 1 GPUs here"):
        launch("auto", 2, "32-true")
