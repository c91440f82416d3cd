"""Makes the `compact` weights that are shipped: more identities than the default corpus has, and none of them.

    python -m benchmarks.ship_compact --out space_models/assets/compact

The people are the default corpus' kind, drawn with another seed; of each performance every fourth frame is rendered, cropped by
the crop rule and measured by the face mesh, in memory: what `corpus` ... `features` would give for a corpus of that size, without
the video files in between. Training is that of the stage (`generator.source: train`). About an hour of one core.
"""

import argparse
from pathlib import Path

import numpy as np

from space_data import progress
from space_data.crop import crop_box
from space_data.facemesh import FaceMeshTracker
from space_data.landmarks import mesh_to_landmarks
from space_data.params import load_params
from space_data.schema import EMOTIONS
from space_data.synthetic.head import HeadRenderer, draw_scene
from space_data.synthetic.performance import Performance, people, perform
from space_models.checkpoints import Card, save_model
from space_models.generators.compact_train import Footage, anchors_of, data_hash, train_compact
from space_models.trainer import write_curves, write_metrics

SEED, IDENTITIES, HELD_OUT, PERFORMANCES, EVERY_FRAMES = 1009, 52, 4, 4, 4
RENDER_PX = 256


def shoot(performance: Performance, rng: np.random.Generator, name: str, size_px: int) -> Footage:
    """Every fourth frame of a performance, as the stage would see it."""
    camera, motion = HeadRenderer(performance.person.identity, draw_scene(rng), RENDER_PX), performance.motion
    frames, meshes = [], []
    with FaceMeshTracker() as tracker:
        for t in range(0, performance.n_frames, EVERY_FRAMES):
            controls = {key: float(track[t]) for key, track in performance.controls.items()}
            shift = float(motion.shift_cm[t, 0]), float(motion.shift_cm[t, 1])
            rgb, _ = camera.frame(
                controls, float(motion.yaw_deg[t]), float(motion.pitch_deg[t]), float(motion.roll_deg[t]), shift
            )
            mesh = tracker(rgb)
            if mesh is not None:
                frames.append(rgb)
                meshes.append(mesh)
    mesh_px = np.stack(meshes)
    box = crop_box(mesh_px, RENDER_PX, RENDER_PX)
    pictures = np.stack([box.apply(rgb, size_px) for rgb in frames])
    return Footage(name, pictures, anchors_of(mesh_to_landmarks(box.transform(mesh_px, size_px)), size_px))


def shoot_all(size_px: int) -> list[Footage]:
    """Footage of all identities, `PERFORMANCES` each, the first of them neutral."""
    clips = []
    for number, person in enumerate(progress.track(people(SEED, IDENTITIES, "ship"), "render")):
        for take in range(PERFORMANCES):
            rng = np.random.default_rng([SEED, number, take])
            emotion = "neutral" if take == 0 else str(rng.choice(EMOTIONS[1:]))
            performance = perform(person, emotion, float(rng.uniform(0.3, 1.0)), rng)
            clips.append(shoot(performance, rng, f"{person.subject}/{take}", size_px))
    return clips


def main() -> None:
    """Render, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--state", type=Path, default=Path(".cache/train/ship_compact.safetensors"))
    parser.add_argument("--steps", type=int, help="other than params.yaml says")
    arguments = parser.parse_args()
    settings = load_params().generator
    if arguments.steps:
        settings = settings.model_copy(update={"steps": arguments.steps})
    clips = shoot_all(settings.size_px)
    held = HELD_OUT * PERFORMANCES
    net, result = train_compact(clips[:-held], clips[-held:], settings, arguments.state)
    metrics = {key: value for key, value in result.curves[-1].items() if key.startswith("val_")}
    notes = (
        f"{IDENTITIES - HELD_OUT} synthetic identities (seed {SEED}), {PERFORMANCES} performances each, every {EVERY_FRAMES}th frame; "
        f"validated on {HELD_OUT} others; {settings.steps} steps of {settings.batch}"
    )
    card = Card("compact", vars(net.config), data_hash(clips), "python -m benchmarks.ship_compact", metrics, notes)
    save_model(arguments.out, net, card)
    write_curves(arguments.out / "curves.csv", result.curves)
    write_metrics(arguments.out / "metrics.json", metrics)


if __name__ == "__main__":
    main()
