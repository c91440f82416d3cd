"""How far the landmark backends are apart: ``python -m benchmarks.landmark_backends --weights models/weights CLIP...``.

Both look at the same frames of each clip. Distances are in inter-ocular distances (IOD) of the mesh, in the picture plane and per
group of points: as they are, and after each point's mean offset in the face's own frame is removed, because the two define points
differently (jaw and brows most). Angles are compared as differences, steadiness as the rigid points' scatter after pose removal.
Needs the published weights of ``face_alignment`` and says so where they are absent.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.face_alignment_backend import FaceAlignmentBackend
from space_data.facemesh import track_faces
from space_data.landmarks import (
    BROWS,
    EYES,
    FACE,
    JAW,
    MOUTH,
    NOSE,
    STABLE_68,
    PoseTrack,
    estimate_pose,
    mesh_to_landmarks,
    normalise,
)
from space_data.media.container import RgbImage
from space_data.media.video import decode_video

GROUPS = {"jaw": JAW, "brows": BROWS, "nose": NOSE, "eyes": EYES, "mouth": MOUTH, "all 68": FACE}


@dataclass(frozen=True)
class Track:
    """One backend's answer to a clip: landmarks (T, 78, 3) px, pose, and CPU seconds per frame."""

    landmarks: NDArray[np.float32]
    pose: PoseTrack
    frame_s: float

    def found(self) -> NDArray[np.bool_]:
        """Frames with a face, (T,)."""
        return np.isfinite(self.landmarks[:, 0, 0])


def mesh_track(frames: Sequence[RgbImage]) -> Track:
    """The mesh's landmarks of ``frames``."""
    began_s = time.process_time()
    mesh = track_faces(frames)
    return Track(mesh_to_landmarks(mesh), estimate_pose(mesh), (time.process_time() - began_s) / len(frames))


def face_alignment_track(frames: Sequence[RgbImage], weights: Path) -> Track:
    """The landmarks of ``face_alignment``.

    Raises:
        SpaceError: its weights are absent or not the declared ones.
    """
    backend = FaceAlignmentBackend(weights)
    began_s = time.process_time()
    for begin in range(0, len(frames), backend.batch_frames):
        backend.look(frames[begin : begin + backend.batch_frames])
    landmarks, poses = backend.finish()
    backend.close()
    return Track(landmarks, PoseTrack.from_array(poses), (time.process_time() - began_s) / len(frames))


def group_distances(a: Track, b: Track) -> dict[str, tuple[float, float]]:
    """Mean distance per group, IOD of ``a``: as it is, and without each point's mean offset in the face's frame."""
    both = a.found() & b.found()
    one, other, pose = a.landmarks[both], b.landmarks[both], a.pose[both]
    plain = np.linalg.norm((other - one)[..., :2], axis=-1) / pose.scale[:, None]
    # Both are seen in the frame of a's head, so that a constant difference of definition stays constant when the head turns.
    offsets = (normalise(other, pose) - normalise(one, pose))[..., :2]
    rest = np.linalg.norm(offsets - offsets.mean(axis=0), axis=-1)
    return {name: (float(plain[:, group].mean()), float(rest[:, group].mean())) for name, group in GROUPS.items()}


def unsteadiness(track: Track) -> float:
    """Scatter of the rigid points after pose removal from frame to frame, IOD: third differences, scaled to one frame's noise."""
    rigid = normalise(track.landmarks, track.pose)[track.found()][:, STABLE_68, :2]
    third = np.diff(rigid, n=3, axis=0)
    return float(np.sqrt((third**2).sum(-1).mean() / 20.0))  # 1 + 9 + 9 + 1: the gain of third differences on white noise


def angle_differences(a: Track, b: Track) -> NDArray[np.float64]:
    """Mean and standard deviation of b's yaw, pitch and roll minus a's, (2, 3) degrees."""
    both = a.found() & b.found()
    difference = (b.pose.as_array() - a.pose.as_array())[both, :3].astype(np.float64)
    return np.stack([difference.mean(axis=0), difference.std(axis=0)])


def report(name: str, mesh: Track, other: Track) -> str:
    """A clip's comparison as text."""
    cells = [f"{group} {plain:.1%} ({rest:.1%})" for group, (plain, rest) in group_distances(mesh, other).items()]
    mean, spread = angle_differences(mesh, other)
    angles = [f"{angle} {m:+.1f} +- {s:.1f}" for angle, m, s in zip(("yaw", "pitch", "roll"), mean, spread, strict=True)]
    lines = (
        f"{name}: {len(mesh.found())} frames, face in {mesh.found().mean():.1%} (mediapipe), {other.found().mean():.1%}",
        "  distance, IOD (without constant offsets): " + ", ".join(cells),
        "  angles minus mediapipe's, deg: " + ", ".join(angles),
        f"  unsteadiness, IOD: mediapipe {unsteadiness(mesh):.2%}, face_alignment {unsteadiness(other):.2%}",
        f"  CPU time per frame, ms: mediapipe {1000 * mesh.frame_s:.0f}, face_alignment {1000 * other.frame_s:.0f}",
    )
    return "\n".join(lines)


def main() -> None:
    """Compare the backends on each clip."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--weights", type=Path, default=Path("models/weights"), help="folder (default: models/weights)")
    parser.add_argument("--frames", type=int, default=100, help="from the start of each clip (default: 100)")
    arguments = parser.parse_args()
    try:
        for clip in arguments.clips:
            frames = [frame.rgb for frame in islice(decode_video(clip), arguments.frames)]
            other = face_alignment_track(frames, arguments.weights)
            print(report(clip.name, mesh_track(frames), other))
    except SpaceError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
