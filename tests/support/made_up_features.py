"""Made-up tables that training reads: one clip per label and split, of a template's face under noise."""

import numpy as np

from pipelines.layout import Layout
from pipelines.stages.latents import write_spec
from space_data.landmarks import MESH_TO_78, template_mesh
from space_data.schema import AlignedClip, FeatureClip, FeatureFrame, LatentFrame, emotion_vector
from space_data.tables import write_sharded, write_table
from space_models.generators import GENERATORS, LatentSpec

N_FRAMES, SIZE_PX = 60, 256
GENERATOR = next(iter(GENERATORS))
SPEC = LatentSpec.declared(GENERATOR, "0" * 64, np.ones(4))
READ = np.random.default_rng(1).normal(size=(78 * 3, SPEC.size))
"""How the made-up generator's latents follow from normalised landmarks."""
POSE, SWAY = np.float32([5, 0, 0, 60, 128, 120, 0]), np.float32([6, 2, 1, 0, 3, 1, 0])


def write_features(layout: Layout, labels: dict[str, tuple[str, ...]], rng: np.random.Generator) -> None:
    """Feature, alignment and latent tables of filmed clips; ``labels``: emotions by split, each of a subject of its own."""
    face = np.vstack([template_mesh(), np.zeros((10, 3))])[MESH_TO_78]
    clips, aligned, latents = [], [], []
    for split, emotions in labels.items():
        frames = []
        for emotion in emotions:
            clip_id, vector = f"set/{split}/{emotion}", emotion_vector(emotion, 1.0)
            points = (face + rng.normal(0, 0.01, (N_FRAMES, *face.shape))).astype(np.float32)
            clips.append(FeatureClip(clip_id, "video", "set", clip_id, "", split, vector, N_FRAMES))
            aligned.append(
                AlignedClip(
                    clip_id, clip_id, "set", clip_id, emotion, 1.0, "", split, "", "", N_FRAMES, SIZE_PX, 0.0, 0.0, 0.0, 0.0, 0.0
                )
            )
            for i, one in enumerate(points):
                sound = rng.normal(size=160).astype(np.float32), rng.normal(size=52).astype(np.float32)
                pose = POSE + np.float32(np.sin(i / 8)) * SWAY
                frames.append(FeatureFrame(clip_id, i, False, one.ravel(), pose, 0.3, 0.3, 0.0, 0.0, *sound, True))
            z = points.reshape(N_FRAMES, -1) @ READ
            latents += [LatentFrame(clip_id, i, one, np.zeros(0)) for i, one in enumerate(z)]
        write_sharded(layout.feature_split(split), frames, FeatureFrame, 1)
    write_table(layout.feature_clips, clips, FeatureClip)
    write_table(layout.aligned_clips, aligned, AlignedClip)
    write_sharded(layout.latents(GENERATOR), latents, LatentFrame, 1)
    write_spec(layout.latent_spec(GENERATOR), SPEC)
