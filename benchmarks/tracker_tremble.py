"""Who makes a drawn mouth tremble: the renderer, the codec or the landmark tracker?

    python -m benchmarks.tracker_tremble [--clips 6]

The test people of the default corpus are filmed again, the head still, eyes open: pictures whose landmarks are known exactly.
Their first picture is then drawn by ``warp`` with that very motion of the landmarks. Tremble: high-passed difference of tracked
and true (or requested) landmarks of the mouth, r.m.s. per axis in thousandths of the inter-ocular distance; the second difference
is scaled so that independent errors have their own s.d. Intervals: paired bootstrap over people.
"""

import argparse
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from space_data import landmarks as lm
from space_data.crop import CROP_SIZE_PX
from space_data.facemesh import track_faces
from space_data.landmarks import PoseTrack, estimate_pose, mesh_to_landmarks, normalise, posed
from space_data.media.encode import write_video
from space_data.media.video import decode_video
from space_data.params import Corpus, Params, Warp, load_params
from space_data.progress import track
from space_data.synthetic.corpus import CLIP_CRF, GUEST_KIND, GUEST_PREFIX, Plan, plans
from space_data.synthetic.head import HeadRenderer, draw_scene
from space_data.synthetic.performance import people, perform
from space_models.animate import PICTURE_CRF
from space_models.generators.warp import WarpGenerator
from space_models.portrait import Portrait, load_portrait

Frame = NDArray[np.uint8]
Points = NDArray[np.floating]
FILMED, UNMOVED = "filmed", ("blink", "gaze")
SHIFT_PX = 0.13
NOISE_SD = 1.0
SECOND_DIFFERENCE_GAIN = 6.0  # of the variance of independent errors: 1 + 4 + 1
SEED, BOOTSTRAP_DRAWS = 1, 10_000


def tremble(found: Points, told: Points, iod_px: float) -> float:
    """Of tracked against true landmarks (T, 78, 3), pixels: see the module."""
    off = (found - told)[:, lm.MOUTH, :2] / iod_px
    return float(1e3 * np.sqrt((np.diff(off, 2, axis=0) ** 2).mean() / SECOND_DIFFERENCE_GAIN))


def coded(frames: list[Frame], crf: int) -> Iterator[Frame]:
    """Frames as a video has them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mp4"
        write_video(path, frames, crf=crf)
        yield from (frame.rgb for frame in decode_video(path))


def tracked(frames: Iterable[Frame]) -> Points:
    """Landmarks (T, 78, 3) as the tracker finds them."""
    return mesh_to_landmarks(track_faces(frames))


def filmed(plan: Plan, settings: Corpus) -> tuple[list[Frame], NDArray[np.float32]]:
    """Frames of a test person who holds the head still, enlarged to the size of a crop, and their exact meshes (T, 478, 3)."""
    rng = np.random.default_rng([settings.seed, plan.kind, plan.number])
    cast = people(settings.seed, settings.test_identities, GUEST_PREFIX)
    performance = perform(cast[plan.person], plan.emotion, plan.intensity, rng)
    moved = {name: values for name, values in performance.controls.items() if not name.startswith(UNMOVED)}
    camera = HeadRenderer(performance.person.identity, draw_scene(rng), settings.size_px)
    takes = list(camera.frames(moved, {"yaw_deg": np.zeros(performance.n_frames)}))
    size = (CROP_SIZE_PX, CROP_SIZE_PX)
    frames = [np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), np.uint8) for rgb, _ in takes]
    return frames, np.stack([truth.mesh_px for _, truth in takes]) * np.float32(CROP_SIZE_PX / settings.size_px)


def shifted(portrait: Portrait, n_frames: int) -> tuple[list[Frame], Points]:
    """The photo moved on by a part of a pixel per frame, and its landmarks."""
    moves = SHIFT_PX * np.arange(n_frames)
    matrices, size = [np.array([[1, 0, by], [0, 1, 0.0]]) for by in moves], (CROP_SIZE_PX, CROP_SIZE_PX)
    shift = partial(cv2.warpAffine, portrait.rgb, dsize=size, flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    frames = [np.asarray(shift(M=matrix), np.uint8) for matrix in matrices]
    return frames, portrait.landmarks[None] + np.stack([moves, 0 * moves, 0 * moves], axis=-1)[:, None]


def noisy(portrait: Portrait, n_frames: int) -> list[Frame]:
    """The photo as a camera with noise would film it."""
    rng, levels = np.random.default_rng(SEED), portrait.rgb.astype(np.float32)
    return [np.clip(np.rint(levels + rng.normal(0, NOISE_SD, levels.shape)), 0, 255).astype(np.uint8) for _ in range(n_frames)]


def trembles(plan: Plan, params: Params) -> dict[str, float]:
    """Of one person, by kind of picture."""
    frames, meshes = filmed(plan, params.corpus)
    pose, truth = estimate_pose(meshes), mesh_to_landmarks(meshes)
    portrait, n_frames, iod_px = load_portrait(frames[0]), len(frames), float(pose.scale.mean())
    exact = normalise(truth, pose)
    stays = PoseTrack.from_array(np.repeat(portrait.pose.as_array(), n_frames, 0))
    told = posed((portrait.normalised + exact - exact[:1]).astype(np.float32), stays)

    def drawn(warp: Warp) -> list[Frame]:
        generator = WarpGenerator(warp)
        return [frame.copy() for frame in generator.render(generator.prepare(portrait), told)]

    ours, (moved, where) = drawn(params.warp), shifted(portrait, n_frames)
    shown: dict[str, tuple[Iterable[Frame], Points]] = {
        FILMED: (frames, truth),
        f"{FILMED}, CRF {CLIP_CRF}": (coded(frames, CLIP_CRF), truth),
        "drawn": (ours, told),
        f"drawn, CRF {PICTURE_CRF}": (coded(ours, PICTURE_CRF), told),
        "drawn, not sharpened": (drawn(params.warp.model_copy(update={"sharpen": 0.0})), told),
        f"photo, {SHIFT_PX} px further per frame": (moved, where),
        f"photo, noise of {NOISE_SD:g} grey level": (noisy(portrait, n_frames), portrait.landmarks[None]),
    }
    return {name: tremble(tracked(pictures), points, iod_px) for name, (pictures, points) in shown.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--clips", type=int, default=6, help="at most so many, one per person")
    arguments = parser.parse_args()
    params = load_params()
    guests = [plan for plan in plans(params.corpus) if plan.kind == GUEST_KIND][: arguments.clips]
    rows = [trembles(plan, params) for plan in track(guests, "people")]
    drawn = np.random.default_rng(SEED).integers(0, len(rows), (BOOTSTRAP_DRAWS, len(rows)))
    table = Table("pictures", "tremble, IOD / 1000", f"against {FILMED}")
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        over = values - [row[FILMED] for row in rows]
        low, high = np.percentile(over[drawn].mean(axis=1), [2.5, 97.5])
        table.add_row(name, f"{values.mean():.2f}", f"{over.mean():+.2f} [{low:+.2f}, {high:+.2f}]")
    Console().print(table)


if __name__ == "__main__":
    main()
