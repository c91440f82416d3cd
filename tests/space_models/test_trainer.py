"""The training loop: it learns, resumes exactly, restarts when anything changed, and its rates follow the one-cycle rule."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from space_data.errors import SpaceError
from space_models.curves import write_curves, write_dvclive, write_metrics
from space_models.trainer import Result, Schedule, generator_for, learning_rate_at, train

SCHEDULE = Schedule(steps=40, learning_rate=0.05, weight_decay=0.0, rise_share=0.3, gradient_clip=1.0, interval_steps=10, seed=3)


class Line:
    """Learn y = 2 x - 1 (with dropout noise in the model, so that torch's own generator matters too)."""

    criterion = "held_out"

    def __init__(self, stop_after: int | None = None, held_out: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0)) -> None:
        self.drawn = 0
        self.stop_after = stop_after
        self.held_out = held_out

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, np.ndarray]:
        self.drawn += 1
        if self.stop_after is not None and self.drawn > self.stop_after:
            raise KeyboardInterrupt
        x = rng.standard_normal((16, 1)).astype(np.float32)
        return {"x": x, "y": 2 * x - 1}

    def loss(self, model, batch):
        error = ((model(batch["x"]) - batch["y"]) ** 2).mean()
        return error, {"squared": error}

    def validate(self, model, unit):
        assert not model.training
        return {"held_out": float((model(torch.tensor([[unit]])) - (2 * unit - 1)) ** 2)}


SETTINGS = {"steps": 40, "switch": True}


def learn(model: nn.Module, task: Line, schedule: Schedule = SCHEDULE, state=None, **changes) -> Result:
    facts = {"settings": SETTINGS, "data_hash": "line", "code": "1", **changes}
    return train("line", model, task, schedule, state_file=state, **facts)


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.05), nn.Linear(8, 1))


def test_it_learns_and_reports_one_row_per_interval() -> None:
    model = small_model()
    result = learn(model, Line(), dataclasses.replace(SCHEDULE, steps=200))
    assert [row["step"] for row in result.curves] == list(range(10, 201, 10))
    assert result.curves[-1]["held_out"] < 0.05 < result.curves[0]["held_out"]
    assert set(result.curves[0]) == {"step", "learning_rate", "loss", "squared", "gradient_norm", "held_out"}
    assert not model.training


def test_a_resumed_run_equals_an_unbroken_one(tmp_path) -> None:
    # With all that a state holds: running mean, best weights, several micro-batches.
    schedule = dataclasses.replace(SCHEDULE, ema_decay=0.9, keep="best", micro_batches=2)
    unbroken = small_model()
    whole = learn(unbroken, Line(), schedule)
    with pytest.raises(KeyboardInterrupt):
        learn(small_model(), Line(stop_after=50), schedule, tmp_path / "state.safetensors")
    resumed = small_model()
    rest = learn(resumed, Line(), schedule, tmp_path / "state.safetensors")
    assert rest.resumed_from == 20
    assert rest.curves == whole.curves
    for ours, theirs in zip(resumed.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_finished_state_is_not_trained_again(tmp_path) -> None:
    learn(small_model(), Line(), SCHEDULE, tmp_path / "state.safetensors")
    task = Line()
    again = learn(small_model(), task, SCHEDULE, tmp_path / "state.safetensors")
    assert task.drawn == 0 and again.resumed_from == SCHEDULE.steps and len(again.curves) == 4


@pytest.mark.parametrize("change", ["setting", "data", "code", "schedule", "damage", "foreign", "strange"])
def test_a_state_of_another_run_is_not_used(tmp_path, change: str) -> None:
    state = tmp_path / "state.safetensors"
    learn(small_model(), Line(), SCHEDULE, state)
    task, schedule, changes = Line(), SCHEDULE, {}
    match change:
        case "setting":
            changes = {"settings": SETTINGS | {"switch": False}}
        case "data":
            changes = {"data_hash": "other line"}
        case "code":
            changes = {"code": "2"}
        case "schedule":
            schedule = dataclasses.replace(SCHEDULE, learning_rate=0.01)
        case "damage":
            state.write_bytes(state.read_bytes()[:100])
        case "foreign":
            save_file({"weight": torch.zeros(1)}, state)
        case "strange":
            save_file({"weight": torch.zeros(1)}, state, {"facts": "{}"})
    assert learn(small_model(), task, schedule, state, **changes).resumed_from == 0
    assert task.drawn == SCHEDULE.steps


def test_the_rate_rises_to_its_peak_and_falls_to_nearly_nothing() -> None:
    rates = [learning_rate_at(step, SCHEDULE) for step in range(SCHEDULE.steps)]
    reference = torch.optim.lr_scheduler.OneCycleLR(
        torch.optim.AdamW([nn.Parameter(torch.zeros(1))]), SCHEDULE.learning_rate, total_steps=SCHEDULE.steps, pct_start=0.3
    )
    expected = []
    for _ in range(SCHEDULE.steps):
        expected.append(reference.get_last_lr()[0])
        reference.optimizer.step()
        if len(expected) < SCHEDULE.steps:
            reference.step()
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_steps_and_ranks_have_their_own_random_numbers() -> None:
    draws = {generator_for(1, rank, step).integers(2**62) for rank in range(3) for step in range(3)}
    assert len(draws) == 9
    assert generator_for(1, 2, 2).integers(2**62) in draws


def test_a_loss_that_is_not_a_number_stops_the_run() -> None:
    class Broken(Line):
        def loss(self, model, batch):
            error, parts = super().loss(model, batch)
            return error * float("nan"), parts

    with pytest.raises(SpaceError, match="not finite between steps 0 and 10.*learning_rate"):
        learn(small_model(), Broken())


def test_micro_batches_add_up_to_one_batch() -> None:
    class Split(Line):
        """The same 32 points in one, two or four micro-batches."""

        def __init__(self, parts: int) -> None:
            super().__init__()
            self.parts = parts

        def batch(self, rng, draw):
            x = np.random.default_rng(draw // self.parts).standard_normal((32, 1)).astype(np.float32)
            x = x[draw % self.parts :: self.parts]
            return {"x": x, "y": 2 * x - 1}

    curves = []
    for parts in (1, 2, 4):
        model = nn.Linear(1, 1)
        nn.init.constant_(model.weight, 0.5), nn.init.zeros_(model.bias)
        curves.append(learn(model, Split(parts), dataclasses.replace(SCHEDULE, micro_batches=parts)).curves)
    for other in curves[1:]:
        for row, wanted in zip(other, curves[0], strict=True):
            assert row == pytest.approx(wanted, rel=1e-4)


class Worse(Line):
    """A line that is validated against a target which moves away after the second row."""

    rows = 0

    def validate(self, model, unit):
        self.rows += unit == self.held_out[0]
        return {"held_out": abs(self.rows - 2.0), "weight": float(model[0].weight[0, 0].detach())}


def test_the_best_weights_are_kept_and_training_ends_early(tmp_path) -> None:
    schedule = dataclasses.replace(SCHEDULE, steps=100, keep="best", patience=3)
    model = small_model()
    result = learn(model, Worse(), schedule, tmp_path / "state.safetensors")
    assert [row["held_out"] for row in result.curves] == [1, 0, 1, 2, 3]
    assert float(model[0].weight[0, 0].detach()) == pytest.approx(result.curves[1]["weight"])
    task, again = Worse(), small_model()
    assert learn(again, task, schedule, tmp_path / "state.safetensors").resumed_from == 50 and not task.drawn
    assert torch.equal(again[0].weight, model[0].weight)


def test_without_held_out_data_there_is_no_figure_and_the_last_weights_stay() -> None:
    schedule = dataclasses.replace(SCHEDULE, keep="best", patience=1)
    ours, plain = small_model(), small_model()
    result = learn(ours, Line(held_out=()), schedule)
    assert len(result.curves) == 4 and all("held_out" not in row for row in result.curves)
    learn(plain, Line(held_out=()))
    assert torch.equal(ours[0].weight, plain[0].weight)


def test_the_running_mean_is_what_is_validated_and_kept() -> None:
    decay = 0.5

    class Followed(Line):
        def loss(self, model, batch):
            seen.append(next(model.parameters()).detach().clone())
            return super().loss(model, batch)

    seen: list[torch.Tensor] = []
    model = small_model()
    learn(model, Followed(), dataclasses.replace(SCHEDULE, ema_decay=decay))
    last = small_model()
    learn(last, Line())
    mean = seen[0]
    for n, weight in enumerate([*seen[1:], last[0].weight.detach()], 1):
        now = min(decay, n / (9 + n))
        mean = now * mean + (1 - now) * weight
    assert torch.allclose(model[0].weight, mean, atol=1e-6) and not torch.equal(model[0].weight, last[0].weight)


def test_ranks_that_cannot_share_a_step_are_told_how() -> None:
    class TwoRanks:
        world_size = 2

    with pytest.raises(SpaceError, match="micro_batches = 3: 2 ranks cannot share"):
        learn(small_model(), Line(), dataclasses.replace(SCHEDULE, micro_batches=3), fabric=TwoRanks())


def test_mixed_precision_learns_and_validates() -> None:
    model = small_model()
    result = learn(model, Line(), dataclasses.replace(SCHEDULE, steps=200, precision="bf16-mixed"))
    assert result.curves[-1]["held_out"] < 0.05 and model[0].weight.dtype == torch.float32


def test_curves_and_metrics_are_written_for_dvc(tmp_path) -> None:
    write_curves(tmp_path / "curves.csv", ({"step": 10.0, "loss": 0.123456789}, {"step": 20.0, "loss": 0.1}))
    with (tmp_path / "curves.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"step": "10", "loss": "0.123457"}, {"step": "20", "loss": "0.1"}]
    write_metrics(tmp_path / "metrics.json", {"b": 2.0, "a": 1 / 3})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"a": 0.333333, "b": 2.0}


def test_curves_grow_as_dvclive_writes_them(tmp_path) -> None:
    learn(small_model(), Line(), live=tmp_path)
    lines = (tmp_path / "plots" / "metrics" / "held_out.tsv").read_text().splitlines()
    assert lines[0] == "step\theld_out" and [line.split("\t")[0] for line in lines[1:]] == ["10", "20", "30", "40"]
    summary = json.loads((tmp_path / "metrics.json").read_text())
    assert summary["step"] == 40 and summary["held_out"] == pytest.approx(float(lines[-1].split("\t")[1]), rel=1e-4)
    write_dvclive(tmp_path, [{"step": 10, "loss": 0.5}])
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"step": 10, "loss": 0.5}
