"""Files that two programs want in places of their own, laid out in the private copy of their checkout."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.reasons import NotCanonical
from space_data.facemesh import track_faces
from space_data.features import fill_gaps
from space_data.landmarks import EYES, MOUTH_INNER, mesh_to_landmarks, similarity
from space_data.media.images import read_image
from space_data.media.video import decode_video

MAKEITTALK_PX = 256
PC_AVS_PX = 224
PC_AVS_POINTS = np.array([[87.0, 59.0], [137.0, 59.0], [112.0, 120.0]])
"""Where the eyes and the mouth are in its pictures: scripts/align_68.py."""
PC_AVS_STEADY = 0.2
"""Share of the frame before in how far a face is moved: scripts/align_68.py."""
POSE_FOLDER = "misc/Pose_Source/pose"

RgbImage = NDArray[np.uint8]


def makeittalk(copy: Path, places: Mapping[str, Path], before: int, n_frames: int) -> None:
    """``examples/portrait.jpg`` of 256 pixels and ``examples/speech.wav``, alone: it animates with every .wav that it finds."""
    examples = copy / "examples"
    (examples / "dump").mkdir(parents=True, exist_ok=True)
    for path in (*examples.glob("*.wav"), *examples.glob("*.mp4"), *examples.glob("pred_fls_*.txt")):
        path.unlink()
    rgb = cv2.resize(read_image(places["portrait"]), (MAKEITTALK_PX, MAKEITTALK_PX), interpolation=cv2.INTER_AREA)
    _write_jpeg(examples / "portrait.jpg", np.asarray(rgb, np.uint8))
    (examples / "speech.wav").write_bytes(places["audio"].read_bytes())


def pc_avs(copy: Path, places: Mapping[str, Path], before: int, n_frames: int) -> None:
    """A line of its list, folders of aligned pictures; the recording's first frame is its head pose during the silence before.

    Raises:
        NotCanonical: ``no_face``, in the portrait or in the recording.
    """
    identity, pose = copy / "misc/Input/portrait", copy / POSE_FOLDER
    for folder in (identity, pose, copy / "misc/Audio_Source"):
        folder.mkdir(parents=True, exist_ok=True)
    _write_jpeg(identity / "000000.jpg", aligned_pc_avs([read_image(places["portrait"])])[0])
    frames = aligned_pc_avs([frame.rgb for frame in decode_video(places["recording"])])
    frames = [*frames[:1] * before, *frames, *frames[-1:] * n_frames][:n_frames]
    for number, rgb in enumerate(frames):
        _write_jpeg(pose / f"{number:06}.jpg", rgb)
    (copy / "misc/Audio_Source/speech.wav").write_bytes(places["audio"].read_bytes())
    line = f"misc/Input/portrait 1 {POSE_FOLDER} {len(frames)} misc/Audio_Source/speech.wav None 0 dummy\n"
    (copy / "misc/space.csv").write_text(line)


def aligned_pc_avs(frames: Sequence[RgbImage]) -> list[RgbImage]:
    """Pictures (224, 224, 3) of the face in ``frames``, cut out as PC-AVS was trained: scripts/align_68.py, on our landmarks.

    One similarity for all frames, by their mean eyes and mouth; then each is moved so that its mouth is in its place. The program
    itself cuts its pictures at fixed pixels (data/voxtest_dataset.py): of a larger one it would see the upper left corner.

    Raises:
        NotCanonical: ``no_face`` in any frame.
    """
    points = mesh_to_landmarks(track_faces(frames))[:, :, :2]
    found = np.isfinite(points).all(axis=(1, 2))
    if not found.any():
        raise NotCanonical("no_face", f"no face in {len(frames)} pictures to align as scripts/align_68.py does")
    eyes_and_mouth = np.stack([points[:, group].mean(axis=1) for group in (EYES[:6], EYES[6:], MOUTH_INNER)], axis=1)
    eyes_and_mouth = fill_gaps(eyes_and_mouth.reshape(-1, 6), found).reshape(-1, 3, 2).astype(np.float64)
    flat = np.pad(np.stack([eyes_and_mouth.mean(axis=0), PC_AVS_POINTS]), ((0, 0), (0, 0), (0, 1)))
    scale, rotation, shift = similarity(flat[0], flat[1:])
    affine = np.column_stack([scale[0] * rotation[0, :2, :2], shift[0, :2]])
    still_missing = PC_AVS_POINTS[2] - (eyes_and_mouth[:, 2] @ affine[:, :2].T + affine[:, 2])
    cut, moved = [], still_missing[0]
    for rgb, missing in zip(frames, still_missing, strict=True):
        moved = PC_AVS_STEADY * moved + (1 - PC_AVS_STEADY) * missing
        placed = affine + np.column_stack([np.zeros((2, 2)), moved])
        cut.append(np.asarray(cv2.warpAffine(rgb, placed, (PC_AVS_PX, PC_AVS_PX)), np.uint8))
    return cut


def _write_jpeg(path: Path, rgb: RgbImage) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])


ADAPTERS: dict[str, Callable[[Path, Mapping[str, Path], int, int], None]] = {f.__name__: f for f in (makeittalk, pc_avs)}
"""(private copy, placeholders, frames of silence before, frames of sound in all) by the name that cards use."""
