"""The comparison of landmark backends on tracks whose differences are known."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.landmark_backends import Track, angle_differences, group_distances, report, unsteadiness
from space_data.landmarks import JAW, MESH_TO_78, PoseTrack, posed, template_mesh

T = 200


def turning_head(jaw_lower: float = 0.0, noise: float = 0.0, yaw_deg: float = 0.0) -> Track:
    """The template turning left and right; its jaw lower by ``jaw_lower`` IOD, noise of ``noise`` IOD per point and axis."""
    r = np.random.default_rng(1)
    points = np.pad(template_mesh(), ((0, 10), (0, 0)))[MESH_TO_78]
    points = np.broadcast_to(points, (T, 78, 3)).copy()
    points[:, JAW, 1] += jaw_lower
    points += noise * r.standard_normal(points.shape)
    zero = np.zeros(T, np.float32)
    turn = (20 * np.sin(np.arange(T) / 9)).astype(np.float32)
    pose = PoseTrack(turn, zero, zero, zero + 80, np.full((T, 3), 300, np.float32))
    seen = PoseTrack(turn + np.float32(yaw_deg), zero, zero, zero + 80, pose.translation)
    return Track(posed(points, pose), seen, 0.01)


def test_a_constant_offset_is_seen_and_removed() -> None:
    distances = group_distances(turning_head(), turning_head(jaw_lower=0.05))
    assert distances["jaw"] == (pytest.approx(0.05, abs=1e-4), pytest.approx(0.0, abs=1e-4))
    assert distances["all 68"][0] == pytest.approx(0.05 * 17 / 68, abs=1e-4)
    assert all(distances[group] == (pytest.approx(0, abs=1e-4),) * 2 for group in ("brows", "nose", "eyes", "mouth"))


def test_noise_is_unsteadiness() -> None:
    assert unsteadiness(turning_head()) == pytest.approx(0, abs=1e-5)
    # two axes of 0.01 each
    assert unsteadiness(turning_head(noise=0.01)) == pytest.approx(0.01 * np.sqrt(2), rel=0.1)


def test_angles_and_lost_frames() -> None:
    other = turning_head(yaw_deg=3.0)
    other.landmarks[:50] = np.nan
    np.testing.assert_allclose(angle_differences(turning_head(), other), [[3, 0, 0], [0, 0, 0]], atol=1e-4)
    text = report("clip", turning_head(), other)
    assert "yaw +3.0 +- 0.0" in text and "100.0% (mediapipe), 75.0%" in text and "nan" not in text


def test_without_weights_it_says_what_is_missing(tmp_path: Path, shared_media: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.landmark_backends", "--weights", str(tmp_path), "--frames", "2"]
    done = subprocess.run([*command, str(shared_media / "clean_f_512.mp4")], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "space weights fetch face-alignment-s3fd" in done.stderr
    assert "Traceback" not in done.stderr and not done.stdout
