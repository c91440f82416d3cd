"""Files that two programs want in places of their own, laid out in the private copy of their checkout."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2

from space_data.media.images import read_image
from space_data.media.video import decode_video

MAKEITTALK_PX = 256
POSE_FOLDER = "misc/Pose_Source/pose"


def makeittalk(copy: Path, places: Mapping[str, Path], before: int, heard: int) -> None:
    """``examples/portrait.jpg`` of 256 pixels and ``examples/speech.wav``, alone: it animates with every .wav that it finds."""
    examples = copy / "examples"
    (examples / "dump").mkdir(parents=True, exist_ok=True)
    for path in (*examples.glob("*.wav"), *examples.glob("*.mp4"), *examples.glob("pred_fls_*.txt")):
        path.unlink()
    rgb = cv2.resize(read_image(places["portrait"]), (MAKEITTALK_PX, MAKEITTALK_PX), interpolation=cv2.INTER_AREA)
    _write_jpeg(examples / "portrait.jpg", rgb)
    (examples / "speech.wav").write_bytes(places["audio"].read_bytes())


def pc_avs(copy: Path, places: Mapping[str, Path], before: int, heard: int) -> None:
    """A line of its list, with folders of pictures; the recording's first frame is its head pose during the silence before."""
    identity, pose = copy / "misc/Input/portrait", copy / POSE_FOLDER
    for folder in (identity, pose, copy / "misc/Audio_Source"):
        folder.mkdir(parents=True, exist_ok=True)
    _write_jpeg(identity / "000000.jpg", read_image(places["portrait"]))
    frames = [frame.rgb for frame in decode_video(places["recording"])]
    frames = [*frames[:1] * before, *frames, *frames[-1:] * heard][:heard]
    for number, rgb in enumerate(frames):
        _write_jpeg(pose / f"{number:06}.jpg", rgb)
    (copy / "misc/Audio_Source/speech.wav").write_bytes(places["audio"].read_bytes())
    line = f"misc/Input/portrait 1 {POSE_FOLDER} {len(frames)} misc/Audio_Source/speech.wav None 0 dummy\n"
    (copy / "misc/space.csv").write_text(line)


def _write_jpeg(path: Path, rgb: object) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 98])  # type: ignore[call-overload]


ADAPTERS: dict[str, Callable[[Path, Mapping[str, Path], int, int], None]] = {f.__name__: f for f in (makeittalk, pc_avs)}
"""(private copy, placeholders, frames of silence before, frames heard in all) by the name that cards use."""
