"""S2L's task and loss; that it learns lips that follow a sound whose answer is known, with either kind of speech features."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from made_up_talk import AUGMENTATION, LOWER, WEIGHTS, config, made_up_speech, talking_clips, task_settings, template_face

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, UNKNOWN, emotion_vector
from space_data.speech_encoder import LOG_MEL, WHISPER_TINY_EN
from space_models.dataset import TrackClip
from space_models.retarget import relaxed
from space_models.s2l.fit import AS_AVERAGED, fit_gap, fit_input
from space_models.s2l.loss import displacement_loss
from space_models.s2l.metrics import Baseline, evaluate
from space_models.s2l.model import S2L
from space_models.s2l.network import S2LConfig
from space_models.s2l.stream import predict
from space_models.s2l.task import S2LTask
from space_models.stream import InMemory
from space_models.trainer import Schedule, train

FACE = template_face()
SCHEDULE = Schedule(180, 5e-3, 0.0, 0.3, 1.0, 60, seed=1)


def fitted(of: S2LConfig, learnt: list[TrackClip]) -> S2L:
    """A network whose input is fitted to these clips."""
    torch.manual_seed(0)
    model = S2L(replace(of, channels=24, hidden=32))
    fit_input(model, learnt, AUGMENTATION, seed=1)
    return model


def tensors_of(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in batch.items()}


@pytest.mark.parametrize("encoder", [LOG_MEL, WHISPER_TINY_EN])
def test_it_learns_lips_that_follow_sound_and_emotion(encoder: str, rng: np.random.Generator) -> None:
    learnt = talking_clips(FACE, 12, rng) + talking_clips(FACE, 12, rng, "happy")
    model = fitted(config(encoder), learnt)
    train("s2l", model, S2LTask(model, InMemory(learnt), [], task_settings(12, 40)), SCHEDULE, settings={}, data_hash="")
    held_out = talking_clips(FACE, 4, rng)
    fit_gap(model, held_out)
    figures = evaluate(model, held_out, Baseline.of(learnt))
    assert figures["lip_gap_r"] > 0.8 > 0.4 > figures["lip_gap_r_shuffled"]
    assert figures["closure_f1"] > figures["closure_f1_shuffled"] + 0.05
    assert figures["closed_share"] == pytest.approx(figures["closed_share_measured"], abs=0.1)
    assert figures["lip_gap_sd_ratio"] == pytest.approx(1, abs=0.2)
    silence = made_up_speech(encoder, 50, rng) * 0
    emotions = (emotion_vector(e, 1.0) for e in ("neutral", "happy"))
    calm, happy = (lm.lip_width(predict(model, silence, FACE, e, settings=AS_AVERAGED)).mean() for e in emotions)
    assert happy - calm > 0.02


def test_unlabelled_clips_that_smile_leave_neutral_alone(rng: np.random.Generator) -> None:
    learnt = talking_clips(FACE, 12, rng) + talking_clips(FACE, 12, rng, UNKNOWN)
    model = fitted(config(unlabelled=True), learnt)
    task = S2LTask(model, InMemory(learnt), learnt[-1:], task_settings(12, 40))
    result = train("s2l", model, task, SCHEDULE, settings={}, data_hash="")
    assert all(np.isfinite(list(row.values())).all() for row in result.curves), "no NaN in a loss or a figure"
    portraits = [relaxed(clip.normalised[0]) for clip in (learnt[0], learnt[-1])]  # half of those shown smile, too
    neutral, null = (
        np.mean([lm.lip_width(face + model.constants(face, emotion_vector(e, 1.0)[None])[0]) for face in portraits])
        for e in ("neutral", UNKNOWN)
    )
    rest, smile = (lm.lip_width(clip.normalised).mean() for clip in (learnt[0], learnt[-1]))
    assert neutral == pytest.approx(rest, abs=0.03) and null == pytest.approx(smile, abs=0.03), (rest, smile)


def test_unlabelled_clips_touch_the_emotions_by_shared_weights_only(rng: np.random.Generator) -> None:
    learnt = talking_clips(FACE, 2, rng, UNKNOWN)
    model = fitted(config(unlabelled=True), learnt)
    task = S2LTask(model, InMemory(learnt), [], task_settings(3, 40))
    task.loss(model, tensors_of(task.batch(rng, 0)))[0].backward()
    network = model.network
    for weight in [*(film.linear.weight for film in (*network.films, network.film_out)), network.baseline.weight]:
        assert weight.grad is not None and weight.grad[:, len(EMOTIONS)].any(), "the null condition learns"
        assert not weight.grad[:, : len(EMOTIONS)].any(), "no emotion does"


def test_batches_repeat_with_their_generator_and_what_is_masked_has_no_influence(rng: np.random.Generator) -> None:
    learnt = talking_clips(FACE, 4, rng)
    learnt = [replace(clip, interpolated=np.arange(60) % 20 == 7) for clip in learnt]
    model = fitted(config(), learnt)
    task = S2LTask(model, InMemory(learnt), [], task_settings(3, 80))
    first, again = (task.batch(np.random.default_rng(5), 0) for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)
    assert first["speech"].shape == (3, 240, 40) and first["target"].shape == (3, 80, 78, 3)
    assert (first["mask"].sum(1) == 57).all(), "three frames without a face, twenty beyond the end"
    tensors = tensors_of(first)

    def loss() -> float:
        torch.manual_seed(0)
        return float(task.loss(model.eval(), tensors)[0].detach())

    before = loss()
    tensors["target"][tensors["mask"] == 0] += 1.0
    assert loss() == pytest.approx(before)


def test_windows_hear_beyond_their_end_where_the_clip_goes_on(rng: np.random.Generator) -> None:
    """The look-ahead of a window's last frames is the clip's own sound, not the last sample held."""
    learnt = talking_clips(FACE, 1, rng)
    model = fitted(config(), learnt)
    task = S2LTask(model, InMemory(learnt), [], task_settings(1, 40))
    heard: list[torch.Tensor] = []
    forward = model.forward
    model.forward = lambda speech, *rest: (heard.append(speech), forward(speech, *rest))[1]  # type: ignore[method-assign]
    task.loss(model, tensors_of(task.batch(rng, 0)))
    assert heard[0].shape == (1, 42 * 4, 13)
    assert not torch.equal(heard[0][0, -8:], heard[0][0, -9:-8].expand(8, -1))


def test_filmed_clips_have_their_share_of_a_batch(rng: np.random.Generator) -> None:
    filmed, heard = talking_clips(FACE, 2, rng), talking_clips(FACE, 6, rng, "happy")
    heard = [replace(c, clip=replace(c.clip, kind="speech_only", subject="voice")) for c in heard]
    model = fitted(config(), filmed)
    for share in (0.0, 0.75, 1.0):
        task = S2LTask(model, InMemory(filmed + heard), [], task_settings(400, 25, share))
        emotions = task.batch(rng, 0)["emotion"]
        assert (emotions[:, EMOTIONS.index("neutral")] > 0).mean() == pytest.approx(share, abs=0.1)


def test_states_that_were_not_read_are_named(rng: np.random.Generator) -> None:
    learnt = [replace(clip, states=None) for clip in talking_clips(FACE, 1, rng)]
    with pytest.raises(SpaceError, match="neutral0: no states of whisper-tiny.en .set features.speech_encoder"):
        fitted(config(WHISPER_TINY_EN), learnt)


def test_the_loss_of_a_shift_known_by_hand() -> None:
    face, mask = torch.from_numpy(FACE[None]), torch.ones(1, 4)
    still = torch.zeros(1, 4, 78, 3)
    shift = still.clone()
    shift[:, :, lm.MOUTH, 0] = 0.1
    total, parts = displacement_loss(shift, still, face, mask, WEIGHTS)
    assert float(parts["position"]) == pytest.approx(6 * 0.01 * 20 / 78)
    assert float(parts["velocity"]) == float(parts["lips"]) == float(parts["contact"]) == 0
    assert float(total) == pytest.approx(float(parts["position"]))


def test_contact_is_asked_of_lips_that_meet_in_truth_whatever_the_portrait_does() -> None:
    """A displacement says nothing of contact: it is the gap of the face that wears it."""
    closed, wide = FACE.copy(), FACE.copy()
    closed[LOWER, 1] = closed[[61, 62, 63], 1][::1]
    gap = float(lm.lip_gap(closed))
    wide[LOWER, 1] += 0.2
    for portrait in (closed, wide):
        target = torch.from_numpy((closed - portrait)[None, None])
        out = target.clone()
        out[:, :, LOWER, 1] += 0.05
        parts = displacement_loss(out, target, torch.from_numpy(portrait[None]), torch.ones(1, 1), WEIGHTS)[1]
        assert gap < WEIGHTS.contact_gap_iod and float(parts["contact"]) == pytest.approx(0.0025, rel=1e-4)
    open_target = torch.from_numpy((wide - closed)[None, None])
    out = open_target.clone()
    out[:, :, LOWER, 1] += 0.05
    parts = displacement_loss(out, open_target, torch.from_numpy(closed[None]), torch.ones(1, 1), WEIGHTS)[1]
    assert float(parts["contact"]) == 0


def test_irises_beyond_a_clips_end_are_free() -> None:
    out = torch.zeros(1, 4, 78, 3)
    out[:, 2:, lm.IRISES] = 1.0
    mask = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    assert float(displacement_loss(out, torch.zeros_like(out), torch.from_numpy(FACE[None]), mask, WEIGHTS)[0]) == 0
