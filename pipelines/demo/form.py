"""From what stands in the page to a request: what is left as it was is not asked for."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.animate_request import Request
from space_data.errors import SpaceError
from space_data.schema import EMOTIONS
from space_data.yaml_files import parse_yaml
from space_models.controls.blinks import USUAL_BLINK_S
from space_models.controls.head import GENERATED

FROM_FILE = "file"
"""Head motion, or blinks, of the driving file."""
DIRECTION = "direction"
"""The gaze that two sliders say."""
PLAIN = {
    "pose": GENERATED, "pose_strength": 1.0, "blinks": "", "blink_duration": USUAL_BLINK_S, "gaze": GENERATED, "mouth_gain": 1.0,
    "mouth_closure": 0.0, "portrait_emotion": "neutral",
}  # fmt: skip
"""What stands in the page at first, where that asks for nothing."""
ANGLES = ("pose_yaw", "pose_pitch", "pose_roll")


def request_of(form: Mapping[str, Any], folder: Path) -> Request:
    """The video that a page asks for, to be made in ``folder``.

    Args:
        form: by name, what stands in the page: fields of ``Request``; ``emotion`` as rows of time_s, label and intensity;
            ``pose_yaw``, ``pose_pitch``, ``pose_roll``, ``gaze_yaw``, ``gaze_pitch`` in degrees; ``driving``, a file;
            ``timeline``, YAML text.
        folder: exists.

    Raises:
        SpaceError: no portrait or no speech; a row, or the timeline, cannot be read.
    """
    for name, what in (("image", "portrait"), ("audio", "speech")):
        if not form[name]:
            raise SpaceError(f"no {what} yet: upload one, or take the example")
    asked = {name: form[name] for name in ("image", "audio", "seed", "generator", "paste_back", "watermark")}
    asked["size"] = None if form["paste_back"] else form["size"]
    asked |= {name: form[name] for name, plain in PLAIN.items() if form[name] != plain}
    asked["from"] = form["from_tracks"]
    for name in ("pose", "blinks"):
        if asked.get(name) == FROM_FILE:
            if not form["driving"]:
                raise SpaceError(f"{name} of a file: no driving file yet, need a video (or, for the head, a .csv or .parquet)")
            asked[name] = form["driving"]
    if any(form[name] for name in ANGLES):
        asked["pose_offset"] = ",".join(f"{form[name]:g}" for name in ANGLES)
    if asked.get("gaze") == DIRECTION:
        asked["gaze"] = f"{form['gaze_yaw']:g},{form['gaze_pitch']:g}"
    asked |= emotion_and_timeline(form["emotion"], form["timeline"], folder)
    cells = {name: str(value) for name, value in asked.items() if value not in (None, "")}
    return Request.of({**cells, "out": "video.mp4"}, Path(), folder)


def emotion_and_timeline(rows: Sequence[Sequence[Any]], text: str, folder: Path) -> dict[str, str]:
    """The table of emotions (time_s, label, intensity) and a timeline's text as a constant emotion and a timeline's file.

    One time is an emotion throughout. Several are written into the timeline; between them intensities run straight.

    Raises:
        SpaceError: a cell that is no number, not a label, or out of range; or both say something of emotion.
    """
    points = emotion_points(rows)
    asked: dict[str, str] = {}
    if len(points) == 1:
        (mixture,) = points.values()
        asked["emotion"] = "+".join(f"{label}:{intensity:g}" for label, intensity in mixture.items())
    if len(points) > 1 or text.strip():
        line = parse_yaml(text, "timeline") or {}
        if not isinstance(line, dict):
            raise SpaceError(f"timeline: {text.strip()[:40]!r}, need lists by control, as in mouth: [{{time_s: 0, gain: 1.5}}]")
        if points and "emotion" in line:
            raise SpaceError("emotion: stands in the table and in the timeline, need one of the two")
        if len(points) > 1:
            line["emotion"] = [{"time_s": time_s, **mixture} for time_s, mixture in sorted(points.items())]
        path = folder / "timeline.yaml"
        path.write_text(yaml.safe_dump(line), encoding="utf-8")
        asked["timeline"] = str(path)
    return asked


def emotion_points(rows: Sequence[Sequence[Any]]) -> dict[float, dict[str, float]]:
    """Intensity by label, by time. Empty rows, and neutral ones by themselves, are what they look like.

    Raises:
        SpaceError: see ``emotion_and_timeline``.
    """
    points: dict[float, dict[str, float]] = {}
    for number, row in enumerate(rows, 1):
        cells = ["" if cell is None or cell != cell else str(cell).strip() for cell in row]
        if not any(cells[1:]):
            continue
        where, (time, label, share) = f"emotion row {number}", cells
        if label.lower() not in EMOTIONS:
            raise SpaceError(f"{where}: {label!r} is no emotion, need one of {', '.join(EMOTIONS)}")
        time_s, intensity = _number(where, "time", time or "0", math.inf), _number(where, "intensity", share or "1", 1.0)
        if label.lower() in points.setdefault(time_s, {}):
            raise SpaceError(f"{where}: {label} stands twice at {time_s:g} s")
        points[time_s][label.lower()] = intensity
    return points


def _number(where: str, what: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value <= most and math.isfinite(value)):
        raise SpaceError(f"{where}: {what} {text!r}, need {'0 or more' if most == math.inf else f'0 to {most:g}'}")
    return value


def without_folders(message: str, root: Path) -> str:
    """A message for visitors, in which files below ``root`` have no folders: where these lie is none of their business."""
    return re.sub(re.escape(str(root)) + r"/([\w-]+/)*", "", message)
