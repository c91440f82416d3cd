"""Features from ``measure``'s tracks against the mesh run again on the aligned video: ``python -m benchmarks.one_mesh OUT``.

OUT is a folder that ``space data curate --pixels`` made (default: the DVC pipeline's ``data/``). Every rendered segment is
tracked again, as ``features`` did before it took the stored tracks; the table gives the mean distance of normalised landmarks
(x and y, % of the inter-ocular distance) by group, all of it and what is left when every landmark's mean over the segment is
taken off, and the mean differences of pose, eye opening and gaze. *Floor* is how far apart two looks of the mesh at the same
aligned frames are, the second at 0.9 of their size. Clips of the default corpus have exact truth: there both are compared with
it, too.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipelines.layout import Layout
from pipelines.stages.align import aligned_clips
from space_data.crop import CropBox
from space_data.features import FaceTrack, face_track
from space_data.landmarks import BROWS, EYES, IRISES, JAW, MOUTH, N_LANDMARKS, NOSE, OUTER_EYE_CORNERS, PoseTrack, lip_gap
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import AlignedClip, Clip, FeatureFrame
from space_data.store import Place, located
from space_data.synthetic.performance import TruthFrame
from space_data.tables import by_clip, read_arrow, read_table, vectors
from space_data.timebase import VIDEO_FPS, nearest_frames

GROUPS = {"jaw": JAW, "brows": BROWS, "nose": NOSE, "eyes": EYES, "mouth": MOUTH, "irises": IRISES}
LOOK_AGAIN_AT = 0.9
Figures = dict[str, float]


@dataclass(frozen=True)
class Truth:
    """What was drawn, at each aligned frame: landmarks (T, 78, 3) px of the crop, angles (T, 3) degrees, lip gap (T,) IOD."""

    landmarks_px: NDArray[np.float32]
    angles_deg: NDArray[np.float64]
    lip_gap: NDArray[np.float64]


def stored_track(rows: pa.Table) -> FaceTrack:
    """The face track in the feature rows of one segment."""
    normalised = vectors(rows, "normalised").reshape(-1, N_LANDMARKS, 3)
    pose = PoseTrack.from_array(vectors(rows, "pose"))
    return FaceTrack(normalised, pose, np.asarray(rows.column("interpolated"), bool))


def apart(ours: FaceTrack, other: FaceTrack) -> Figures:
    """Mean differences of two tracks of one segment, see the module's docstring."""
    offsets = 100 * (ours.normalised - other.normalised)[..., :2].astype(np.float64)
    figures = {}
    for name, points in {"all": np.arange(N_LANDMARKS), **GROUPS}.items():
        moves = offsets[:, points]
        figures[f"{name}"] = float(np.linalg.norm(moves, axis=-1).mean())
        figures[f"{name}'"] = float(np.linalg.norm(moves - moves.mean(axis=0), axis=-1).mean())
    mine, theirs = ours.pose, other.pose
    for name in ("yaw", "pitch", "roll"):
        figures[f"{name} deg"] = float(np.abs(getattr(mine, f"{name}_deg") - getattr(theirs, f"{name}_deg")).mean())
    figures["scale %"] = float(100 * np.abs(mine.scale / theirs.scale - 1).mean())
    figures["place px"] = float(np.linalg.norm((mine.translation - theirs.translation)[:, :2], axis=1).mean())
    figures["lids"] = float(np.abs(ours.eye_opening - other.eye_opening).mean())
    figures["gaze"] = float(np.abs(ours.gaze - other.gaze).mean())
    figures["lip gap r"] = correlation(lip_gap(ours.normalised), lip_gap(other.normalised))
    return figures


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson's r."""
    return float(np.corrcoef(a, b)[0, 1])


def from_truth(track: FaceTrack, truth: Truth) -> Figures:
    """Errors of a track: landmarks in % of the true inter-ocular distance, angles, correlation of the lip gap."""
    left, right = OUTER_EYE_CORNERS
    iod_px = np.linalg.norm(truth.landmarks_px[:, right] - truth.landmarks_px[:, left], axis=-1)
    errors = 100 * np.linalg.norm((track.landmarks_px - truth.landmarks_px)[..., :2], axis=-1) / iod_px[:, None]
    figures = {name: float(errors[:, points].mean()) for name, points in {"all": np.arange(N_LANDMARKS), **GROUPS}.items()}
    for name, angles in zip(("yaw", "pitch", "roll"), truth.angles_deg.T, strict=True):
        figures[f"{name} deg"] = float(np.abs(getattr(track.pose, f"{name}_deg") - angles).mean())
    figures["lip gap r"] = correlation(lip_gap(track.normalised), truth.lip_gap)
    return figures


def truth_of(clip: AlignedClip, source: Clip) -> Truth | None:
    """The truth of a clip of the default corpus; None of others (and of spoilt ones, which have none)."""
    file = Path(source.path).with_suffix(".parquet")
    if not file.is_file():
        return None
    rows = read_table(file, TruthFrame)
    shown = nearest_frames(np.arange(len(rows)) / VIDEO_FPS, clip.start_s, clip.n_frames)
    points = np.stack([rows[i].landmarks_px for i in shown]).reshape(-1, N_LANDMARKS, 3)
    box = CropBox(int(clip.crop_x0_px), int(clip.crop_y0_px), int(clip.crop_side_px))
    angles = np.array([(rows[i].yaw_deg, rows[i].pitch_deg, rows[i].roll_deg) for i in shown])
    return Truth(box.transform(points, clip.size_px), angles, np.array([rows[i].lip_gap for i in shown]))


def print_table(title: str, rows: dict[str, Figures]) -> None:
    """One line per segment, then the mean, the median and the largest."""
    names = list(next(iter(rows.values())))
    print(f"\n{title}\n{'':34} " + " ".join(f"{name:>9}" for name in names))
    values = np.array([[row[name] for name in names] for row in rows.values()])
    lines = {**dict(zip(rows, values, strict=True)), "mean": values.mean(0), "median": np.median(values, axis=0)}
    for label, line in {**lines, "largest": values.max(0)}.items():
        print(f"{label[-34:]:34} " + " ".join(f"{value:9.3f}" for value in line))


def smaller(frames: Iterable[NDArray[np.uint8]]) -> Iterable[NDArray[np.uint8]]:
    """Frames at ``LOOK_AGAIN_AT`` of their size."""
    for rgb in frames:
        yield np.asarray(cv2.resize(rgb, None, fx=LOOK_AGAIN_AT, fy=LOOK_AGAIN_AT, interpolation=cv2.INTER_AREA), np.uint8)


def main() -> None:
    """Compare all rendered segments and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, nargs="?", help="folder of `space data curate --pixels` (default: data/)")
    parser.add_argument("--raw", help="root of the clips, if not data.raw: truth lies beside those of the default corpus")
    parser.add_argument("--at-most", type=int, default=1000, metavar="N", help="segments, evenly chosen")
    arguments = parser.parse_args()
    layout = Layout.in_folder(arguments.out) if arguments.out else Layout()
    raw = Place.of(arguments.raw or load_params().data.raw)
    sources = {clip.clip_id: located(clip, raw, "path") for clip in read_table(layout.clips, Clip)}
    tracks = {clip_id: stored_track(rows) for clip_id, rows in by_clip(read_arrow(layout.feature_frames, FeatureFrame))}
    clips = aligned_clips(layout)
    clips = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, arguments.at_most).round().astype(int))]
    between: dict[str, Figures] = {}
    floor: dict[str, Figures] = {}
    ours_true: dict[str, Figures] = {}
    again_true: dict[str, Figures] = {}
    for clip in clips:
        ours, frames = tracks[clip.clip_id], [frame.rgb for frame in decode_video(clip.video)]
        again = face_track(frames)
        between[clip.clip_id] = apart(ours, again)
        floor[clip.clip_id] = apart(face_track(smaller(frames)), again) | {"scale %": np.nan, "place px": np.nan}
        truth = truth_of(clip, sources[clip.source_clip_id])
        if truth is not None:
            ours_true[clip.clip_id], again_true[clip.clip_id] = from_truth(ours, truth), from_truth(again, truth)
    print("distances in % of the inter-ocular distance; ' = without each landmark's mean over the segment")
    print_table("stored tracks against the aligned video tracked again", between)
    print_table("floor: the aligned video tracked twice, the second time smaller", floor)
    if ours_true:
        print_table("stored tracks against truth, in pixels of the crop", ours_true)
        print_table("the aligned video tracked again against truth, in pixels of the crop", again_true)


if __name__ == "__main__":
    main()
