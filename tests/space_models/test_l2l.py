"""L2L: the portrait gives its own latents, causality and streams, the linear start, what each input adds, devices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_latents import FACE, SMALL, SPEC, config, people, speaking

from space_data.errors import SpaceError
from space_data.landmarks import INNER_LIP_PAIRS, PoseTrack
from space_data.params import L2LStage
from space_data.schema import UNKNOWN, emotion_vector
from space_models.checkpoints import Card, save_model
from space_models.dataset import by_subject
from space_models.film import condition_of
from space_models.l2l import L2L, MODEL, load_l2l
from space_models.l2l.clips import LatentClip, Portraits, S2LTake, importance
from space_models.l2l.inputs import GEOMETRY, geometry, in_crop
from space_models.l2l.metrics import beats_ridge, evaluate, model_errors, still_errors
from space_models.l2l.ridge import Sums, fit_ridge
from space_models.l2l.task import L2LTask, fit_start
from space_models.stream import InMemory
from space_models.trainer import Schedule, train


def trained(clips: list[LatentClip], settings: L2LStage, steps: int = 150, **changes: bool) -> L2L:
    torch.manual_seed(0)
    model = L2L(replace(config(**changes)))
    start, scale = fit_start(clips, settings)
    model.set_start(start.weight, scale)
    task = L2LTask(InMemory(clips), clips[:1], settings, SPEC)
    train(MODEL, model, task, Schedule(steps, 1e-2, 0.0, 0.2, 1.0, steps, 0), settings={}, data_hash="")
    return model


def with_output(model: L2L) -> L2L:
    assert model.residual is not None
    torch.nn.init.normal_(model.residual.out_proj.weight)
    torch.nn.init.normal_(model.residual.speech_proj.weight)
    torch.nn.init.normal_(model.residual.film.linear.weight)
    return model.eval()


def drive(model: L2L, clip: LatentClip, **changes) -> np.ndarray:
    c = replace(clip, **changes)
    return model.predict(c.landmarks, c.sound, c.emotion, clip.landmarks[0], clip.z[0])


def test_the_portraits_own_face_changes_nothing(rng: np.random.Generator) -> None:
    clip = speaking(rng, "1")
    still = np.repeat(clip.landmarks[:1], 60, 0)
    assert not geometry(still, clip.landmarks[0]).any()
    model = L2L(config()).eval()
    model.set_start(rng.normal(size=(GEOMETRY, 3)), np.ones(GEOMETRY))
    np.testing.assert_array_equal(drive(model, clip, landmarks=still), np.repeat(clip.z[:1], 60, 0))


def test_inputs_by_hand() -> None:
    wide = FACE.copy()
    for _, lower in INNER_LIP_PAIRS:
        wide[lower, 1] += 0.1
    shut = FACE.copy()
    shut[[37, 38, 43, 44], 1] = shut[[41, 40, 47, 46], 1]  # upper lids onto the lower ones
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        shut[upper] = shut[lower]
    found = geometry(np.stack([wide, shut]), FACE)
    gap, beyond = found[:, -2], found[:, -1]
    assert gap == pytest.approx([0.1, 0.0], abs=1e-6) and beyond[1] == 0 and 0.04 < beyond[0] <= 0.1
    closing = found[:, 236:238]
    assert not closing[0].any() and (closing[1] > 0.1).all()
    assert found.shape == (2, GEOMETRY)


def test_landmarks_with_the_pose_left_in() -> None:
    pose = PoseTrack.from_array(np.float32([[0, 0, 90, 50, 100, 0, 0]]))
    found = in_crop(np.float32([[[1, 0, 0]]]), pose, 50.0)
    assert found[0, 0] == pytest.approx([2, 1, 0], abs=1e-6)


def test_ridge_finds_the_map_and_gives_up_on_noise(rng: np.random.Generator) -> None:
    weight = rng.normal(size=(6, 1))
    groups = []
    for _ in range(8):
        x = rng.normal(size=(80, 6)) * np.float64([1, 1, 1, 1, 10, 0.1])
        groups.append(Sums.of(x, np.hstack([x @ weight + 0.01 * rng.normal(size=(80, 1)), rng.normal(size=(80, 1))])))
    ridge = fit_ridge(groups)
    np.testing.assert_allclose(ridge.weight[:, 0], weight[:, 0], atol=0.05)
    assert ridge.explained[0] > 0.99 and ridge.explained[1] < 0.05
    assert ridge.penalty[1] > ridge.penalty[0]
    assert np.isnan(fit_ridge(groups[:1]).explained).all(), "one person alone: nothing to choose by"


def test_prediction_is_causal_and_a_stream_is_the_whole(rng: np.random.Generator) -> None:
    clip, model = speaking(rng, "1"), with_output(L2L(config()))
    changed = clip.sound.copy()
    changed[20:] = 5.0
    one, two = drive(model, clip), drive(model, clip, sound=changed)
    assert np.array_equal(one[:20], two[:20]) and not np.allclose(one[20:], two[20:])
    state, pieces = model.start(clip.emotion, clip.landmarks[0], clip.z[0]), []
    for begin, end in ((0, 1), (1, 9), (9, 60)):
        state, latents = model.step(state, clip.landmarks[begin:end], clip.sound[begin:end])
        pieces.append(latents)
    np.testing.assert_allclose(np.concatenate(pieces), one, atol=1e-5)


def test_neutral_and_no_intensity_are_the_same_and_a_mixture_lies_between(rng: np.random.Generator) -> None:
    clip, model = speaking(rng, "1"), with_output(L2L(config()))
    neutral, nothing = drive(model, clip), drive(model, clip, emotion=np.zeros(9, np.float32))
    np.testing.assert_array_equal(neutral, nothing)
    assert not np.allclose(neutral, drive(model, clip, emotion=emotion_vector("happy", 1.0)))
    over_time = np.repeat(emotion_vector("happy", 1.0)[None], 60, 0)
    np.testing.assert_allclose(
        drive(model, clip, emotion=over_time), drive(model, clip, emotion=emotion_vector("happy", 1.0)), atol=1e-5
    )


def test_the_start_is_linear_and_speech_adds_what_landmarks_do_not_show(rng: np.random.Generator, tmp_path: Path) -> None:
    clips, held_out = people(rng, 6), people(np.random.default_rng(1), 2)
    model = trained(clips, SMALL)
    found = evaluate(model, held_out)
    assert found["latent_error_tracked_ridge"] < 0.98 * found["latent_error_tracked_still"]
    assert found["latent_error_tracked"] < 0.75 * found["latent_error_tracked_ridge"]
    assert beats_ridge(model, held_out)
    deaf = trained(clips, SMALL, use_audio=False)
    assert evaluate(deaf, held_out)["latent_error_tracked"] > 1.3 * found["latent_error_tracked"]

    folder = tmp_path / SPEC.generator
    save_model(folder, model, Card(f"{MODEL}/{SPEC.generator}", model.config.to_json(), "", "test"))
    np.testing.assert_array_equal(drive(load_l2l(folder), held_out[0]), drive(model, held_out[0]))


def test_emotion_shows_with_a_portrait_of_another_take(rng: np.random.Generator) -> None:
    clips = people(rng, 6, ("neutral", "happy"))
    held_out = people(np.random.default_rng(1), 2, ("neutral", "happy"))
    settings = SMALL.model_copy(update={"other_take_share": 1.0})
    errors = {}
    for use_emotion in (True, False):
        rows = model_errors(trained(clips, settings, 200, use_emotion=use_emotion), held_out)
        errors[use_emotion] = np.mean([row.error for row in rows if row.condition == "other_take"])
    assert errors[True] < 0.7 * errors[False]


def test_unlabelled_clips_make_null_not_neutral(rng: np.random.Generator) -> None:
    model = L2L(replace(config(), unlabelled=True))
    known, unknown = (torch.from_numpy(emotion_vector(e, 1.0))[None] for e in ("neutral", UNKNOWN))
    assert not condition_of(known, model.config.unlabelled).any()
    assert condition_of(unknown, model.config.unlabelled)[0].tolist() == [0.0] * 9 + [1.0]
    clips = people(rng, 4, ("neutral", UNKNOWN))
    task = L2LTask(InMemory(clips), clips[:1], SMALL, SPEC)
    result = train(MODEL, model, task, Schedule(2, 1e-2, 0.0, 0.2, 1.0, 2, 0), settings={}, data_hash="")
    assert all(np.isfinite(list(row.values())).all() for row in result.curves)


def test_portraits_come_from_another_emotion_where_there_is_one(rng: np.random.Generator) -> None:
    clips = [speaking(rng, "1", take, emotion) for take, emotion in enumerate(("neutral", "neutral", "happy"))]
    clips.append(speaking(rng, "2"))
    portraits = Portraits(by_subject(clips))
    assert [portraits.draw(clips[0], 1.0, rng)[1][2] for _ in range(20)] == pytest.approx([0.4] * 20)
    assert portraits.other(clips[3]) is None
    landmarks, z = portraits.draw(clips[3], 1.0, rng)
    assert any(np.array_equal(z, own) for own in clips[3].z), "alone, its own frames are all there is"


@pytest.mark.parametrize(("audio", "landmarks"), [(True, False), (False, True)])
def test_ablations_do_not_see_what_is_switched_off(rng: np.random.Generator, audio: bool, landmarks: bool) -> None:
    clip = speaking(rng, "1")
    model = with_output(L2L(config(use_audio=audio, use_landmarks=landmarks)))
    model.set_start(rng.normal(size=(GEOMETRY, 3)), np.ones(GEOMETRY))
    base = drive(model, clip)
    assert np.array_equal(base, drive(model, clip, sound=clip.sound + 1)) == (not audio)
    assert np.array_equal(base, drive(model, clip, landmarks=clip.landmarks * 1.1)) == (not landmarks)


def test_s2ls_landmarks_are_learnt_from_and_judged_on(rng: np.random.Generator) -> None:
    clips = people(rng, 3)
    dull = [replace(c, takes=(S2LTake(np.repeat(c.landmarks[:1], 60, 0), c.landmarks[0], c.z[0]),)) for c in clips]
    task = L2LTask(InMemory(dull), [], SMALL.model_copy(update={"s2l_share": 0.99}), SPEC)
    assert not task.batch(np.random.default_rng(0), 0)["shape"].all(axis=(1, 2)).any(), "S2L's takes here never move"
    rows = model_errors(L2L(config()).eval(), dull)
    assert {row.condition for row in rows} == {"tracked", "on_s2l"}


def test_importance_is_what_the_usual_motion_shows() -> None:
    assert importance(SPEC) == pytest.approx(np.array([4 * 0.0025, 0.01, 0.04]) / 0.06)


class Elsewhere(L2L):
    """A model whose tensors refuse those of the CPU, as on a GPU."""

    def forward(self, shape, sound, emotion, memory=None):
        assert {t.device.type for t in (shape, sound, emotion, self.weight)} == {"meta"}
        return torch.zeros(*shape.shape[:2], SPEC.size), None


def test_validation_runs_where_the_model_is(rng: np.random.Generator) -> None:
    clips = people(rng, 2)
    figures = L2LTask(InMemory(clips), clips, SMALL, SPEC).validate(Elsewhere(config()).to("meta"), clips[0])
    assert np.isfinite(list(figures.values())).all()


def test_bad_inputs_are_named(rng: np.random.Generator) -> None:
    clip = speaking(rng, "1")
    with pytest.raises(SpaceError, match="both false"):
        L2L(config(use_audio=False, use_landmarks=False))
    with pytest.raises(SpaceError, match="none of 500 frames"):
        L2LTask(InMemory([clip]), [], SMALL.model_copy(update={"frames": 500}), SPEC).batch(rng, 0)
    with pytest.raises(SpaceError, match="60 frames of landmarks"):
        drive(L2L(config()), clip, sound=clip.sound[:5])
    with pytest.raises(SpaceError, match="2 numbers of weight, need 3"):
        replace(SPEC, weight=(1.0, 2.0))


def test_nothing_is_asked_of_frames_without_a_face(rng: np.random.Generator) -> None:
    clip = speaking(rng, "1", frames=SMALL.frames)
    lost = np.arange(len(clip)) % 7 == 3
    model = L2L(config()).eval()
    found = []
    for wild in (0.0, 5.0):
        z = clip.z + wild * lost[:, None]
        task = L2LTask(InMemory([replace(clip, z=z, found=~lost)]), [], SMALL, SPEC)
        batch = {name: torch.from_numpy(array) for name, array in task.batch(np.random.default_rng(0), 0).items()}
        [error] = still_errors(SPEC, [replace(clip, z=z, found=~lost)])
        found.append((task.loss(model, batch)[0].item(), error.error))
    assert found[0] == found[1] and found[0][0] > 0
