"""Stage ``train_l2l``: posed landmarks, speech and emotion to the generator's keypoints."""

from operator import itemgetter

import numpy as np

from pipelines.layout import Layout
from pipelines.stages.latents import LatentFrame
from pipelines.training import training_stage
from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, PoseTrack, posed
from space_data.params import Params
from space_data.schema import AlignedClip, FeatureClip, FeatureFrame, emotion_known
from space_data.speech import MEL_BANDS, mean_normalise
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_models.dataset import hash_of, spread
from space_models.generators.compact_nets import N_KEYPOINTS
from space_models.l2l import L2L, MODEL, L2LConfig, L2LTask, LatentClip, evaluate

STAGE = "train_l2l"


def read_latent_clips(layout: Layout) -> dict[str, list[LatentClip]]:
    """Landmarks, speech and keypoints of the filmed clips, by split."""
    keypoints = {
        clip_id: vectors(rows, "keypoints").reshape(-1, N_KEYPOINTS, 3)
        for clip_id, rows in by_clip(read_arrow(layout.latents, LatentFrame))
    }
    sizes = {clip.clip_id: clip.size_px for clip in read_table(layout.aligned_clips, AlignedClip)}
    about = {row.clip_id: row for row in read_table(layout.feature_clips, FeatureClip)}
    by_split: dict[str, list[LatentClip]] = {"train": [], "val": [], "test": []}
    columns = ["clip_id", "normalised", "pose", "log_mel"]
    for clip_id, rows in sorted(by_clip(read_arrow(layout.feature_frames, FeatureFrame, columns)), key=itemgetter(0)):
        if clip_id not in keypoints:
            continue  # speech only, or its latents failed: the ledger says so
        found, row = keypoints[clip_id], about[clip_id]
        if len(found) != len(rows):
            raise SpaceError(f"clip {clip_id}: {len(found)} frames of latents, {len(rows)} of features (run `dvc repro latents`)")
        landmarks = posed(vectors(rows, "normalised").reshape(-1, N_LANDMARKS, 3), PoseTrack.from_array(vectors(rows, "pose")))
        sound = mean_normalise(vectors(rows, "log_mel").reshape(-1, MEL_BANDS)).reshape(len(rows), -1)
        in_crop = (landmarks * (CROP_SIZE_PX / sizes[clip_id])).astype(np.float32)
        by_split[row.split].append(LatentClip(row.subject, in_crop, sound.astype(np.float32), row.emotion, found))
    return by_split


def run(params: Params, layout: Layout, overfit_one_clip: bool = False) -> None:
    """Train on the training identities; figures on the test identities (on validation ones where there are none)."""
    settings = params.l2l
    with training_stage(STAGE, MODEL, settings, params, layout, overfit_one_clip) as stage:
        clips = read_latent_clips(layout)
        learnt = stage.learnt(clips["train"], "filmed clip")
        held_out = stage.held_out({split: clips[split] for split in ("test", "val")})
        known = [emotion_known(c.emotion) for c in learnt]
        config = L2LConfig(
            settings.hidden, settings.use_audio, settings.use_landmarks, settings.normalise, any(known), not all(known)
        )
        model = L2L(config)
        watched = spread(clips["val"], stage.training.validation_clips)
        task = L2LTask(learnt, watched, settings.batch, settings.frames, config)
        if not stage.train(model, task, hash_of(learnt, watched)):
            return
        metrics = evaluate(model, held_out, learnt) if held_out else {}
        stage.write(model, vars(config), metrics, f"{len(learnt)} filmed clips")
        stage.clock.clips = sum(map(len, clips.values()))
        stage.clock.notes = {name: f"{value:.3f}" for name, value in metrics.items()}
