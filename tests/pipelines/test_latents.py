"""Stage latents: what is stored is what the generator says directly, in its own width; its spec is measured on training clips."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.layout import Layout
from pipelines.stages import latents
from pipelines.stages.latents import landmarks_of, measured_spec, read_spec, units_of
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.media.encode import write_video
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import AlignedClip, FeatureFrame, LatentFrame
from space_data.tables import by_clip, read_arrow, vectors, write_sharded, write_table
from space_models.checkpoints import Card, save_model
from space_models.generators import GENERATORS, Extracted, Frame, pose_at
from space_models.generators.compact.networks import CompactConfig, CompactNet

FRAMES, SIZE_PX = 10, 64
NAME = next(iter(GENERATORS))
PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


@pytest.fixture
def layout(tmp_path: Path, rng: np.random.Generator) -> Layout:
    """Three aligned clips of noise, one not for training, and a tiny generator."""
    layout = Layout.in_folder(tmp_path)
    config = CompactConfig(3, 8)
    save_model(layout.model(NAME), CompactNet(config), Card(NAME, vars(config), "", "test"))
    aligned, rows = [], []
    for clip_id, split in (("a", "train"), ("b", "train"), ("c", "test")):
        video = tmp_path / f"{clip_id}.mp4"
        write_video(video, list(rng.integers(0, 255, (FRAMES, SIZE_PX, SIZE_PX, 3)).astype(np.uint8)))
        aligned.append(
            AlignedClip(
                clip_id, clip_id, "set", clip_id, "neutral", 1.0, "", split, video.name, "", FRAMES, SIZE_PX, 0.0, 0.0, 0.0, 0.0,
                0.0, sha256_of(video),
            )
        )  # fmt: skip
        for i, face in enumerate(rng.normal(0, 0.3, (FRAMES, N_LANDMARKS * 3))):
            pose = np.float32([5, 0, 0, 20, 32, 30, 0]) + np.float32(i) * np.float32([1, 0, 0, 0, 0.1, 0, 0])
            rows.append(FeatureFrame(clip_id, i, False, face, pose, 0.3, 0.3, 0.0, 0.0, np.zeros(160), np.zeros(52), True))
    write_table(layout.aligned_clips, aligned, AlignedClip)
    write_sharded(layout.feature_split("train"), rows, FeatureFrame, 1)
    return layout


def test_what_is_stored_is_what_the_generator_says(layout: Layout) -> None:
    latents.run(PARAMS, layout)
    stored = dict(by_clip(read_arrow(layout.latents(NAME), LatentFrame)))
    generator = GENERATORS[NAME].load(layout.model(NAME), PARAMS, None)
    features = dict(by_clip(read_arrow(layout.feature_frames, FeatureFrame)))
    for clip_id in "abc":
        points, pose = landmarks_of(features[clip_id])
        factor = CROP_SIZE_PX / SIZE_PX
        frames = [frame.rgb for frame in decode_video(layout.data.local() / f"{clip_id}.mp4")]
        direct = generator.extract(frames, points * np.float32(factor), pose_at(pose, factor))
        # Another number of threads changes the last bits.
        np.testing.assert_allclose(vectors(stored[clip_id], "z"), direct.z, rtol=0, atol=1e-6)
        assert vectors(stored[clip_id], "own_pose").shape == direct.own_pose.shape

    spec = read_spec(layout, NAME)
    z = [vectors(stored[clip_id], "z") for clip_id in "ab"]
    np.testing.assert_allclose(spec.mean, np.concatenate(z).mean(0), rtol=1e-5, atol=1e-7)
    within = np.sqrt(np.mean([(rows - rows.mean(0)) ** 2 for rows in z], axis=(0, 1)))
    np.testing.assert_allclose(spec.sd, np.maximum(within, 1e-3 * within.max()), rtol=1e-4)
    assert spec.weights_sha256 == GENERATORS[NAME].weights_sha256(layout.model(NAME))


def test_frames_without_a_face_do_not_count(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their latents are of what lies where the face is thought to be. Of clip a three are lost, of clip b all."""
    lost = {"a": {0, 3, 4}, "b": set(range(FRAMES)), "c": set()}
    rows = [FeatureFrame(**row) for row in read_arrow(layout.feature_frames, FeatureFrame).to_pylist()]
    rows = [replace(row, interpolated=row.frame in lost[row.clip_id]) for row in rows]
    write_sharded(layout.feature_split("train"), rows, FeatureFrame, 1)
    fitted = []
    generator = type(GENERATORS[NAME].load(layout.model(NAME), PARAMS, None))
    monkeypatch.setattr(generator, "fit_pose", lambda _, *of: fitted.append(of))
    latents.run(PARAMS, layout)
    ((theirs, ours),) = fitted
    assert theirs.shape[0] == len(ours.as_array()) == FRAMES - 3
    np.testing.assert_allclose(ours.as_array()[:, 0], 5 + np.array([1, 2, 5, 6, 7, 8, 9]))
    z = vectors(dict(by_clip(read_arrow(layout.latents(NAME), LatentFrame)))["a"], "z")[[1, 2, 5, 6, 7, 8, 9]]
    spec = read_spec(layout, NAME)
    np.testing.assert_allclose(spec.mean, z.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(spec.sd, np.maximum(z.std(0), 1e-3 * z.std(0).max()), rtol=1e-4)


def test_latents_that_are_no_numbers_are_not_kept(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overflowing:
        def extract(self, frames: Iterable[Frame], landmarks_px: np.ndarray, pose: PoseTrack) -> Extracted:
            z = np.zeros((FRAMES, 3), np.float32)
            z[4, 1] = np.inf
            return Extracted(z, np.zeros((FRAMES, 0), np.float32))

    monkeypatch.setattr(latents, "_generator", lambda *_: Overflowing())
    unit = units_of(layout, PARAMS)[0].value
    with pytest.raises(SpaceError, match=rf"a.mp4: {NAME}'s latents of frame 4 are no numbers \(half precision"):
        latents.latents_of(unit, None, tmp_path)
    assert not (tmp_path / latents.LATENTS_FILE).exists()


def test_other_weights_are_other_units(layout: Layout) -> None:
    before = {unit.unit_id: unit.content for unit in units_of(layout, PARAMS)}
    assert set(before) == {f"{NAME}/{clip_id}" for clip_id in "abc"}
    config = CompactConfig(4, 8)
    save_model(layout.model(NAME), CompactNet(config), Card(NAME, vars(config), "", "test"))
    assert not set(before.values()) & {unit.content for unit in units_of(layout, PARAMS)}


def test_what_is_missing_is_named(layout: Layout) -> None:
    with pytest.raises(SpaceError, match="latents.generators"):
        read_spec(layout, NAME)
    latents.run(PARAMS, layout)
    clips = [row for row in read_arrow(layout.aligned_clips, AlignedClip).to_pylist()]
    write_table(layout.aligned_clips, [AlignedClip(**{**row, "split": "test"}) for row in clips], AlignedClip)
    with pytest.raises(SpaceError, match="no clip of split train"):
        measured_spec(NAME, layout, PARAMS)
    unknown = PARAMS.model_copy(update={"latents": PARAMS.latents.model_copy(update={"generators": ["nobody"]})})
    with pytest.raises(SpaceError, match=r"generator \'nobody\': need one of"):
        units_of(layout, unknown)


def test_landmarks_come_back_posed(layout: Layout) -> None:
    table = dict(by_clip(read_arrow(layout.feature_frames, FeatureFrame)))["a"]
    normalised = vectors(table, "normalised").reshape(-1, N_LANDMARKS, 3)
    points, pose = landmarks_of(table)
    assert np.array_equal(points, posed(normalised, PoseTrack.from_array(vectors(table, "pose"))))
    assert len(pose) == FRAMES
