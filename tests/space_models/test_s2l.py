"""S2L: causality and look-ahead, conditioning, its task, and that it learns lips that follow a sound whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from space_data import landmarks as lm
from space_data.schema import EMOTIONS, UNKNOWN, FeatureClip, emotion_vector
from space_models import s2l
from space_models.dataset import TrackClip
from space_models.s2l import S2L, S2LConfig, S2LTask
from space_models.trainer import Schedule, train


@pytest.fixture
def face() -> np.ndarray:
    """The template's landmarks with pupils in the middle of the eyes, (78, 3)."""
    points = np.vstack([lm.template_mesh(), np.zeros((10, 3))])[lm.MESH_TO_78].astype(np.float32)
    points[lm.IRIS_LEFT] = points[[36, 39]].mean(0)
    points[lm.IRIS_RIGHT] = points[[42, 45]].mean(0)
    return points


def network(lookahead_frames: int = 2) -> S2L:
    """An untrained network whose output is large enough to compare."""
    torch.manual_seed(0)
    net = S2L(S2LConfig(channels=16, hidden=24, lookahead_frames=lookahead_frames, dropout=0.25)).eval()
    for last in (net.out, net.filtered):
        torch.nn.init.normal_(last.weight, std=0.2)
    return net


@pytest.mark.parametrize("lookahead_frames", [0, 1, 2])
def test_it_hears_no_further_ahead_than_it_says(lookahead_frames: int, face: np.ndarray, rng: np.random.Generator) -> None:
    net, shown = network(lookahead_frames), torch.from_numpy(face.reshape(1, -1))
    sound = torch.from_numpy(rng.normal(size=(1, 160, s2l.HEARD_BANDS)).astype(np.float32))
    changed = sound.clone()
    changed[:, 100:104] += 1.0  # video frame 25
    with torch.no_grad():
        before, after = (net(x, shown, torch.zeros(1, len(EMOTIONS))) for x in (sound, changed))
    for first, second in zip(before, after, strict=True):  # the deep network, the linear filter
        moved = (first - second)[0].abs().amax((1, 2))
        assert moved.shape == (40,)
        assert (moved[: 25 - lookahead_frames] == 0).all()
        assert moved[25 - lookahead_frames] > 0


def test_the_filter_is_linear_and_its_share_is_mixed_in(face: np.ndarray, rng: np.random.Generator) -> None:
    net, shown, calm = network(), torch.from_numpy(face.reshape(1, -1)), torch.zeros(1, len(EMOTIONS))
    one, two = (torch.from_numpy(rng.normal(size=(1, 80, s2l.HEARD_BANDS)).astype(np.float32)) for _ in range(2))
    with torch.no_grad():
        rest, first, second, both = (net(x, shown, calm)[1] for x in (0 * one, one, two, one + two))
    assert (first + second - rest).numpy() == pytest.approx(both.numpy(), abs=1e-5)
    features = rng.normal(size=(20, 160)).astype(np.float32)
    heard = torch.from_numpy(s2l.standardised(features.reshape(-1, 40))[None])
    with torch.no_grad():
        deep, linear = (view[0].numpy() for view in net(heard, shown, calm))
    wanted = face + (1 - s2l.FILTER_SHARE) * deep + s2l.FILTER_SHARE * linear
    assert net.predict(features, face, np.zeros(len(EMOTIONS), np.float32)) == pytest.approx(wanted, abs=1e-5)


def test_gain_and_channel_are_not_heard(face: np.ndarray, rng: np.random.Generator) -> None:
    net, sound = network(), rng.normal(0, 2, size=(30, 160)).astype(np.float32)
    colour = np.tile(rng.normal(0, 0.3, 40).astype(np.float32), 4)
    calm = np.zeros(len(EMOTIONS), np.float32)
    assert net.predict(sound + 5.0, face, calm) == pytest.approx(net.predict(sound, face, calm), abs=1e-4)
    heard = s2l.standardised((sound + colour).reshape(-1, 40))
    assert heard.mean(0) == pytest.approx(0, abs=1e-4) and heard.std(0) == pytest.approx(1, abs=1e-3)
    assert np.isfinite(s2l.standardised(np.zeros((8, 40)))).all()


def test_neutral_is_the_absence_of_emotion(face: np.ndarray, rng: np.random.Generator) -> None:
    net, sound = network(), rng.normal(size=(10, 160)).astype(np.float32)
    silent = net.predict(sound, face, np.zeros(len(EMOTIONS), np.float32))
    assert (net.predict(sound, face, emotion_vector("neutral", 1.0)) == silent).all()
    assert np.abs(net.predict(sound, face, emotion_vector("happy", 1.0)) - silent).max() > 0


def test_a_smiling_photo_is_brought_to_rest_and_a_closed_mouth_is_left(face: np.ndarray) -> None:
    smile = face.copy()
    smile[[65, 66, 67], 1] += 0.12
    assert lm.lip_gap(s2l.relaxed(smile)) == pytest.approx(s2l.REST_GAP_IOD, abs=1e-3)
    closed = face.copy()
    closed[[65, 66, 67], 1] = closed[[63, 62, 61], 1]
    assert s2l.relaxed(closed) == pytest.approx(closed, abs=1e-6)


def clips(face: np.ndarray, n: int, rng: np.random.Generator, emotion: str = "neutral") -> list[TrackClip]:
    """Utterances in which the lower lip and chin drop with the loudness of the same frame, and a smile widens the mouth."""
    found = []
    for i in range(n):
        loud = np.clip(np.convolve(rng.normal(size=64), np.ones(5) / 2, "same"), 0, None).astype(np.float32)
        points = np.repeat(face[None], 60, 0)
        upper, lower = (np.array(side) for side in zip(*lm.INNER_LIP_PAIRS, strict=True))
        points[:, lower, 1] = points[:, upper, 1] + 0.2 * loud[2:62, None]
        points[:, 54, 0] += 0.1 * (emotion in ("happy", UNKNOWN))
        log_mel = np.repeat(loud[2:62], 4)[:, None] * np.linspace(1, 3, 40) + rng.normal(0, 0.1, (240, 40))
        row = FeatureClip(f"{emotion}{i}", "video", "made", f"s{i % 3}", "en", "train", emotion_vector(emotion, 1.0), 60)
        found.append(TrackClip(row, points, np.zeros((60, 7), np.float32), log_mel.astype(np.float32), np.zeros(60, bool)))
    return found


def test_it_learns_lips_that_follow_sound_and_emotion(face: np.ndarray, rng: np.random.Generator) -> None:
    learnt = clips(face, 12, rng) + clips(face, 12, rng, "happy")
    torch.manual_seed(0)
    net = S2L(S2LConfig(channels=24, hidden=32, lookahead_frames=2, dropout=0.25))
    task = S2LTask(learnt, [], batch=12, frames=40, noise_db=(30.0, 60.0), filmed_share=0.5)
    train("s2l", net, task, Schedule(180, 5e-3, 0.0, 0.3, 1.0, 60, seed=1), settings={}, data_hash="")
    figures = s2l.evaluate(net, clips(face, 4, rng), s2l.Means.of(learnt))
    assert figures["lip_gap_r"] > 0.8
    sound = np.zeros((50, 160), np.float32)
    wider = [lm.lip_width(net.predict(sound, face, emotion_vector(e, 1.0))).mean() for e in ("neutral", "happy")]
    assert wider[1] - wider[0] > 0.02


def test_unlabelled_clips_that_smile_leave_neutral_alone(face: np.ndarray, rng: np.random.Generator) -> None:
    learnt = clips(face, 12, rng) + clips(face, 12, rng, UNKNOWN)
    torch.manual_seed(0)
    net = S2L(S2LConfig(channels=24, hidden=32, lookahead_frames=2, dropout=0.25, unlabelled=True))
    task = S2LTask(learnt, learnt[-1:], batch=12, frames=40, noise_db=(30.0, 60.0), filmed_share=0.5)
    result = train("s2l", net, task, Schedule(180, 5e-3, 0.0, 0.3, 1.0, 60, seed=1), settings={}, data_hash="")
    assert all(np.isfinite(list(row.values())).all() for row in result.curves), "no NaN in a loss or a figure"
    sound = np.zeros((50, 160), np.float32)
    portraits = [s2l.relaxed(clip.normalised[0]) for clip in (learnt[0], learnt[-1])]  # half of those shown smile, too
    neutral, null = (
        np.mean([lm.lip_width(net.predict(sound, portrait, emotion_vector(e, 1.0))).mean() for portrait in portraits])
        for e in ("neutral", UNKNOWN)
    )
    rest, smile = (lm.lip_width(clip.normalised).mean() for clip in (learnt[0], learnt[-1]))
    assert neutral == pytest.approx(rest, abs=0.03) and null == pytest.approx(smile, abs=0.03), (rest, smile)


def test_unlabelled_clips_touch_the_emotions_by_shared_weights_only(face: np.ndarray, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    net = S2L(S2LConfig(channels=16, hidden=24, lookahead_frames=2, dropout=0.25, unlabelled=True))
    task = S2LTask(clips(face, 2, rng, UNKNOWN), [], 3, 40, (30.0, 60.0), 0.5)
    task.loss(net, {name: torch.from_numpy(value) for name, value in task.batch(rng, 0).items()})[0].backward()
    weights = [*(film.linear.weight for film in (*net.films, net.film_out)), net.lasting.weight]
    for weight in weights:
        assert weight.grad is not None and weight.grad[:, len(EMOTIONS)].any(), "the null condition learns"
        assert not weight.grad[:, : len(EMOTIONS)].any(), "no emotion does"


def test_without_unlabelled_clips_there_is_no_null(face: np.ndarray, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    net = S2L(S2LConfig(channels=16, hidden=24, lookahead_frames=2, dropout=0.25))
    assert net.film_out.linear.in_features == len(EMOTIONS), "shipped weights load"
    sound = rng.normal(size=(10, 160)).astype(np.float32)
    unknown, neutral = (net.eval().predict(sound, face, emotion_vector(e, 1.0)) for e in (UNKNOWN, "neutral"))
    assert (unknown == neutral).all()
    task = S2LTask(clips(face, 2, rng, UNKNOWN), [], 3, 40, (30.0, 60.0), 0.5)
    with pytest.raises(RuntimeError, match="non-finite"):
        train("s2l", net, task, Schedule(2, 5e-3, 0.0, 0.3, 1.0, 1, seed=1), settings={}, data_hash="")


def test_mouth_distance_is_that_of_the_shift(face: np.ndarray) -> None:
    track = np.repeat(face[None], 4, 0)
    moved = track.copy()
    moved[:2, lm.MOUTH, 0] += 0.1  # half of the frames
    moved[:, lm.JAW] += 1.0  # is not the mouth
    assert s2l.mouth_distance(moved, track) == pytest.approx(0.05, abs=1e-6)


def test_batches_repeat_with_their_generator_and_short_clips_are_masked(face: np.ndarray, rng: np.random.Generator) -> None:
    learnt = clips(face, 4, rng)
    task = S2LTask(learnt, [], batch=3, frames=80, noise_db=(12.0, 50.0), filmed_share=0.5)
    first, again = (task.batch(np.random.default_rng(5), 0) for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)
    assert first["log_mel"].shape == (3, 320, s2l.HEARD_BANDS) and first["target"].shape == (3, 80, 78, 3)
    assert (first["mask"].sum(1) == 60).all() and np.isfinite(first["log_mel"]).all()
    # What is masked has no influence on the loss.
    tensors = {name: torch.from_numpy(value) for name, value in first.items()}
    loss = float(task.loss(network(), tensors)[0].detach())
    tensors["target"][:, 60:] += 1.0
    assert float(task.loss(network(), tensors)[0].detach()) == pytest.approx(loss)


def test_filmed_clips_have_their_share_of_a_batch(face: np.ndarray, rng: np.random.Generator) -> None:
    filmed, heard = clips(face, 2, rng), clips(face, 6, rng, "happy")
    heard = [replace(c, clip=replace(c.clip, kind="speech_only", subject="voice")) for c in heard]
    for share, wanted in ((0.0, 0.0), (0.75, 0.75), (1.0, 1.0)):
        task = S2LTask(filmed + heard, [], batch=400, frames=25, noise_db=(12.0, 50.0), filmed_share=share)
        emotions = task.batch(rng, 0)["emotion"]
        assert (emotions[:, EMOTIONS.index("neutral")] > 0).mean() == pytest.approx(wanted, abs=0.1)


def test_baselines_of_a_track_whose_distances_are_known_by_hand(face: np.ndarray, rng: np.random.Generator) -> None:
    closed = face.copy()
    closed[[65, 66, 67], 1] = closed[[61, 62, 63], 1]
    clip = clips(closed, 1, rng)[0]
    track = np.repeat(closed[None], 60, 0)
    track[:, lm.MOUTH, 0] += np.where(np.arange(60) < 30, 0.0, 0.1)[:, None]  # the mouth is elsewhere in half of the frames
    figures = s2l.evaluate(network(), [replace(clip, normalised=track)], s2l.Means(np.zeros((78, 3), np.float32), closed))
    assert figures["first_lmd_mouth_still"] == pytest.approx(0.05, abs=1e-6)
    assert figures["lmd_mouth_mean_face"] == pytest.approx(0.05, abs=1e-6)
    assert figures["first_lmd_mouth_mean"] == pytest.approx(0.05, abs=1e-6)
