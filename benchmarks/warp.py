"""Speed and follow-through of the `warp` generator on the public-domain portrait: ``python -m benchmarks.warp``.

Renders sweeps of lip opening, blink, gaze and yaw, measures each render with the face mesh, and prints commanded against measured
(correlation and slope), sharpness against the photo, the error at rest, and milliseconds of one core per frame.
"""

import json
import time

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.facemesh import mesh_of_image
from space_data.landmarks import (
    IRISES,
    LID_PAIRS,
    PoseTrack,
    angles_deg,
    estimate_pose,
    eye_aspect_ratio,
    gaze,
    lip_gap,
    mesh_to_landmarks,
    normalise,
    posed,
    rotation_matrix,
)
from space_data.params import load_params
from space_models.generators.warp import WarpGenerator
from space_models.portrait import Portrait, load_portrait
from space_models.retarget import HEAD_PIVOT

STEPS = 25
LOWER_LIP = {65: 0.85, 66: 1.0, 67: 0.85, 55: 0.6, 56: 0.95, 57: 1.0, 58: 0.95, 59: 0.6}


def _driving(faces: NDArray[np.float32], portrait: Portrait, yaw_deg: NDArray[np.float64]) -> NDArray[np.float32]:
    """Posed landmarks (T, 78, 3): the portrait's own pose plus yaw about the middle of the head."""
    zero = np.zeros_like(yaw_deg)
    rotation = rotation_matrix(yaw_deg, zero, zero) @ portrait.pose.rotation()[0]
    scale = float(portrait.pose.scale[0])
    translation = posed(HEAD_PIVOT[None, None], portrait.pose)[0, 0] - scale * (rotation @ HEAD_PIVOT)
    yaw, pitch, roll = (a.astype(np.float32) for a in angles_deg(rotation))
    scales = np.full(len(faces), scale, np.float32)
    return posed(faces, PoseTrack(yaw, pitch, roll, scales, translation.astype(np.float32)))


def _sweeps(portrait: Portrait) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float32]]]:
    """Name -> commanded values (T,) and driving landmarks (T, 78, 3)."""
    rest = np.repeat(portrait.normalised[None], STEPS, axis=0)
    still = np.zeros(STEPS)
    ramp = np.linspace(0, 1, STEPS)
    mouth, blink, look = rest.copy(), rest.copy(), rest.copy()
    for point, share in LOWER_LIP.items():
        mouth[:, point, 1] += 0.25 * share * ramp
    for upper, lower in LID_PAIRS:
        blink[:, upper] = blink[:, lower] + ramp[:, None] * (blink[:, upper] - blink[:, lower])
    look[:, IRISES, 0] += (0.12 * (ramp - 0.5))[:, None]
    yaw_deg = 30 * (ramp - 0.5)
    return {
        "lip_gap_iod": (lip_gap(mouth).astype(float), _driving(mouth, portrait, still)),
        "eye_aspect_ratio": (eye_aspect_ratio(blink).mean(1).astype(float), _driving(blink, portrait, still)),
        "gaze_x_eye_widths": (gaze(look)[:, 0].astype(float), _driving(look, portrait, still)),
        "yaw_deg": (yaw_deg + float(portrait.pose.yaw_deg[0]), _driving(rest, portrait, yaw_deg)),
    }


def _measured(name: str, frame: NDArray[np.uint8]) -> float:
    mesh = mesh_of_image(frame)
    if mesh is None:
        return float("nan")
    pose = estimate_pose(mesh[None])
    face = normalise(mesh_to_landmarks(mesh[None]), pose)[0]
    return {
        "lip_gap_iod": lambda: float(lip_gap(face)),
        "eye_aspect_ratio": lambda: float(eye_aspect_ratio(face).mean()),
        "gaze_x_eye_widths": lambda: float(gaze(face)[0]),
        "yaw_deg": lambda: float(pose.yaw_deg[0]),
    }[name]()


def _sharpness(frame: NDArray[np.uint8], mesh: NDArray[np.float32]) -> float:
    """Laplacian variance of the upper face (the mouth's inside would count as detail)."""
    (x0, y0), (x1, y1) = mesh[:, :2].min(axis=0).astype(int), mesh[:, :2].max(axis=0).astype(int)
    grey = cv2.cvtColor(frame[y0 : (y0 + y1) // 2, x0:x1], cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def main() -> None:
    """Print the table and one JSON line."""
    from skimage.data import astronaut

    cv2.setNumThreads(1)
    portrait = load_portrait(astronaut(), "astronaut")
    generator = WarpGenerator(load_params().warp)
    started = time.perf_counter()
    state = generator.prepare(portrait)
    figures: dict[str, float] = {"prepare_s": round(time.perf_counter() - started, 3)}
    rest = next(generator.render(state, portrait.landmarks[None]))  # compiles, too
    figures["rest_mae_grey_levels"] = round(float(np.abs(rest.astype(int) - portrait.rgb).mean()), 3)
    spent_s, frames = 0.0, 0
    for name, (commanded, driving) in _sweeps(portrait).items():
        started = time.process_time()
        rendered = list(generator.render(state, driving))
        spent_s, frames = spent_s + time.process_time() - started, frames + len(rendered)
        measured = np.array([_measured(name, frame) for frame in rendered])
        found = np.isfinite(measured)
        figures[f"{name}_found"] = float(found.mean())
        figures[f"{name}_r"] = round(float(np.corrcoef(commanded[found], measured[found])[0, 1]), 3)
        figures[f"{name}_slope"] = round(float(np.polyfit(commanded[found], measured[found], 1)[0]), 3)
        if name == "yaw_deg":
            ratios = [_sharpness(frame, mesh) for frame in rendered if (mesh := mesh_of_image(frame)) is not None]
            figures["sharpness_to_photo"] = round(float(np.median(ratios)) / _sharpness(portrait.rgb, portrait.mesh), 3)
    figures["cpu_ms_per_frame"] = round(1000 * spent_s / frames, 1)
    for key, value in figures.items():
        print(f"{key:28s} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
