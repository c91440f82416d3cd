"""The benchmark page's player: all systems of one clip side by side in step, with their lips over time.

Everything is in the page but the videos, which are loaded when a clip is shown. Lip openings are one byte per frame: in steps of
1/254 of the largest that occurs (.002 IOD at an opening of .5, which is below the detector's jitter), 255 where there is no face.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from evaluation.blocks import Widget, address, script_safe
from evaluation.metrics import HEADLINE
from evaluation.report_data import BenchmarkData
from evaluation.report_plots import colour_of
from evaluation.report_results import number
from evaluation.report_tables import SHORT_TITLES, emotion_label
from evaluation.score_clip import REFERENCE
from evaluation.systems import GROUND_TRUTH
from space_data.closures import CLOSED_GAP_IOD
from space_data.schema import KEPT, SynthesizedClip, TraceFrame
from space_data.timebase import VIDEO_FPS, frame_start_s

Key = tuple[str, str]
"""(system, clip)"""
Square = tuple[float, float, float]
MOST_STEPS, LOST = 254, 255
MOUTH_SIDE_IOD = 1.4
SHORT_DIGITS = 2
TEMPLATES = Path(__file__).resolve().parent / "templates"


def player(data: BenchmarkData, clip_ids: Sequence[str]) -> Widget:
    """The player for some clips; the recording and the contestants are on screen at first, controls at a click."""
    content = json.dumps(player_data(data, clip_ids), separators=(",", ":"))
    markup = (TEMPLATES / "player.html").read_text().replace("@DATA@", script_safe(content))
    return Widget(Markup(markup), (TEMPLATES / "player.css").read_text(), (TEMPLATES / "player.js").read_text())


def player_data(data: BenchmarkData, clip_ids: Sequence[str]) -> dict[str, object]:
    """What the player's script reads."""
    step = max((float(np.nanmax(gap, initial=0.0)) for gap in data.gaps.values()), default=0.0) / MOST_STEPS or 1.0
    clips = {(clip.system, clip.clip_id): clip for clip in data.clips}
    mouths = mouths_of(data.traces, {key: clip.size_px for key, clip in clips.items()})
    by_id = {clip.clip_id: clip for clip in data.clips}
    shown = {entry.name for entry in (GROUND_TRUTH, *data.contestants)}

    def cell(system: str, clip_id: str) -> dict[str, object]:
        key = system, clip_id
        video = data.videos.get(key)
        return {
            "video": address(video) if video else "",
            "why": "" if video else reason(clips.get(key)),
            "values": [number(data.value(system, clip_id, metric), SHORT_DIGITS) for metric in HEADLINE],
            "gap": coded(data.gaps.get(key), step),
            "mouth": mouths.get(key),
        }

    return {
        "fps": VIDEO_FPS,
        "closed": CLOSED_GAP_IOD,
        "gap_step": step,
        "metrics": [SHORT_TITLES.get(metric.name, metric.title) for metric in HEADLINE],
        "systems": [
            {
                "name": entry.name, "title": entry.title, "shown": entry.name in shown,
                "colour": "" if entry.is_control else colour_of(data, entry.name),
            }
            for entry in data.systems
        ],
        "clips": [
            {
                "id": clip_id,
                "label": f"{emotion_label(by_id[clip_id])}, {frame_start_s(by_id[clip_id].n_frames):.1f} s",
                "frames": by_id[clip_id].n_frames,
                "recording": coded(data.gaps.get((REFERENCE, clip_id)), step),
                "systems": [cell(entry.name, clip_id) for entry in data.systems],
            }
            for clip_id in clip_ids
        ],
    }  # fmt: skip


def coded(gap: NDArray[np.float64] | None, step: float) -> str:
    """Openings (T,) as one byte per frame, in base 64."""
    if gap is None:
        return ""
    levels = np.where(np.isnan(gap), LOST, np.clip(np.round(np.nan_to_num(gap) / step), 0, MOST_STEPS))
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode()


def reason(clip: SynthesizedClip | None) -> str:
    """Why there is nothing to play."""
    if clip is None:
        return "not rendered"
    return "not beside this page" if clip.status == KEPT else f"{clip.reason}: {clip.detail}"


def mouths_of(traces: Sequence[TraceFrame], sizes: Mapping[Key, int]) -> dict[Key, Square]:
    """Middle (x, y) and side of a square around the mouth, as shares of the picture, mean over a clip.

    Args:
        sizes: of the pictures, px a side; a trace without is left out.
    """
    found: dict[Key, list[Square]] = {}
    for seen in traces:
        if seen.mouth_x_px is not None and seen.mouth_y_px is not None and seen.iod_px is not None:
            square = seen.mouth_x_px, seen.mouth_y_px, MOUTH_SIDE_IOD * seen.iod_px
            found.setdefault((seen.system, seen.clip_id), []).append(square)
    means = {key: np.mean(squares, axis=0) / sizes[key] for key, squares in found.items() if key in sizes}
    return {key: (round(float(x), 3), round(float(y), 3), round(float(side), 3)) for key, (x, y, side) in means.items()}
