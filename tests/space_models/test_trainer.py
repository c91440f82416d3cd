"""The training loop: it learns, resumes exactly, restarts when anything changed, and its rates follow the one-cycle rule."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from space_models.trainer import Schedule, generator_for, learning_rate_at, train, write_curves, write_metrics

SCHEDULE = Schedule(steps=40, learning_rate=0.05, weight_decay=0.0, rise_share=0.3, gradient_clip=1.0, interval_steps=10, seed=3)


class Line:
    """Learn y = 2 x - 1 (with dropout noise in the model, so that torch's own generator matters too)."""

    fingerprint = "line"

    def __init__(self, stop_after: int | None = None) -> None:
        self.drawn = 0
        self.stop_after = stop_after

    def batch(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        self.drawn += 1
        if self.stop_after is not None and self.drawn > self.stop_after:
            raise KeyboardInterrupt
        x = rng.standard_normal((16, 1)).astype(np.float32)
        return {"x": x, "y": 2 * x - 1}

    def loss(self, model, batch):
        error = ((model(batch["x"]) - batch["y"]) ** 2).mean()
        return error, {"squared": error}

    def validate(self, model):
        x = torch.linspace(-1, 1, 5)[:, None]
        return {"held_out": float(((model(x) - (2 * x - 1)) ** 2).mean())}


def small_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(1, 8), nn.Dropout(0.05), nn.Linear(8, 1))


def test_it_learns_and_reports_one_row_per_interval() -> None:
    model = small_model()
    result = train("line", model, Line(), dataclasses.replace(SCHEDULE, steps=200), None)
    assert [row["step"] for row in result.curves] == list(range(10, 201, 10))
    assert result.curves[-1]["held_out"] < 0.05 < result.curves[0]["held_out"]
    assert set(result.curves[0]) == {"step", "learning_rate", "loss", "squared", "held_out"}
    assert not model.training


def test_a_resumed_run_equals_an_unbroken_one(tmp_path) -> None:
    unbroken = small_model()
    whole = train("line", unbroken, Line(), SCHEDULE, None)
    with pytest.raises(KeyboardInterrupt):
        train("line", small_model(), Line(stop_after=25), SCHEDULE, tmp_path / "state.safetensors")
    resumed = small_model()
    rest = train("line", resumed, Line(), SCHEDULE, tmp_path / "state.safetensors")
    assert rest.resumed_from == 20
    assert rest.curves == whole.curves
    for ours, theirs in zip(resumed.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_finished_state_is_not_trained_again(tmp_path) -> None:
    train("line", small_model(), Line(), SCHEDULE, tmp_path / "state.safetensors")
    task = Line()
    again = train("line", small_model(), task, SCHEDULE, tmp_path / "state.safetensors")
    assert task.drawn == 0 and again.resumed_from == SCHEDULE.steps and len(again.curves) == 4


@pytest.mark.parametrize("change", ["data", "schedule", "damage"])
def test_a_state_of_another_run_is_not_used(tmp_path, change: str) -> None:
    state = tmp_path / "state.safetensors"
    train("line", small_model(), Line(), SCHEDULE, state)
    task, schedule = Line(), SCHEDULE
    match change:
        case "data":
            task.fingerprint = "other line"
        case "schedule":
            schedule = dataclasses.replace(SCHEDULE, learning_rate=0.01)
        case "damage":
            state.write_bytes(state.read_bytes()[:100])
    assert train("line", small_model(), task, schedule, state).resumed_from == 0
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

    with pytest.raises(RuntimeError, match="non-finite"):
        train("line", small_model(), Broken(), SCHEDULE, None)


def test_curves_and_metrics_are_written_for_dvc(tmp_path) -> None:
    write_curves(tmp_path / "curves.csv", ({"step": 10.0, "loss": 0.123456789}, {"step": 20.0, "loss": 0.1}))
    with (tmp_path / "curves.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"step": "10", "loss": "0.123457"}, {"step": "20", "loss": "0.1"}]
    write_metrics(tmp_path / "metrics.json", {"b": 2.0, "a": 1 / 3})
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"a": 0.333333, "b": 2.0}
