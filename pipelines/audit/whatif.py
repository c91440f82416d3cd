"""The what-if panel of the audit page: move a bound, see at once which clips and hours that keeps.

Every bound gets a grid of at most 254 round numbers, the present bounds among them; a slider stops only there. The page
holds, for each segment and rule, the number of grid points that its value lies beyond (one byte), so every position of every
slider is judged exactly as the stage `filter` would judge the same number in ``params.yaml``. Up to ``EMBEDDED`` segments all are
in the page. Larger sets are sampled by a hash of the segment id; then one moved slider is still exact, from histograms
over all segments that no other rule rejects, and several are an estimate with its sampling error.
"""

import base64
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from evaluation.blocks import Widget, script_safe
from pipelines.deciding.row_hash import text_hashes
from pipelines.deciding.rules import FILTER_REASONS, NO_AUDIO, RULES, TOPICS, Evidence, Judgement, Mask, Rule, Values, limits
from pipelines.job.reasons import REASONS
from space_data.params import FilterStage

EMBEDDED = 20_000
"""Segments that the page holds; above that a sample of so many."""
MOST_CODES = 255
"""Codes 0 ... 254 count grid points; 255 means not measured."""
STEPS, MARGIN = 200, 0.2
SPAN_FROM = 50_000
"""Values are enough to see how far a grid must reach; all of them are judged."""
TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True)
class Slider:
    """One bound that can be moved: of a rule, for all data sets that have none of their own (``dataset`` empty) or for one."""

    rule: int
    dataset: str
    profiles: tuple[int, ...]
    """indices of the groups of data sets it governs"""
    warn: float | None
    reject: float | None


def grid_of(values: Values, wanted: list[float], whole: bool) -> Values:
    """Round numbers that span the bulk of ``values`` and hold all of ``wanted``, ascending, at most 254.

    Args:
        values: what was measured; NaN is left out.
        wanted: numbers that must be in it: the bounds in force.
        whole: whether only whole numbers from 1 may be used.
    """
    some = values[:: max(1, len(values) // SPAN_FROM)]
    measured = np.unique(some[np.isfinite(some)])  # distinct ones: most shares are 0 in most clips, and their tails matter
    bulk = np.quantile(measured, [0.005, 0.995]).tolist() if len(measured) else []
    ends = [*wanted, *bulk] or [0.0, 1.0]
    room = MARGIN * ((max(ends) - min(ends)) or abs(max(ends)) or 1.0)  # bounds at the end of the data can be loosened, too
    low, high = min(ends) - room * (min(ends) in wanted), max(ends) + room * (max(ends) in wanted)
    low = max(low, 0.0) if min(ends) >= 0 else low  # nothing that cannot be negative gets negative bounds
    spread = high - low or 1.0
    exponent = math.floor(math.log10(spread / STEPS))
    step = next(m * 10.0**exponent for m in (1, 2, 2.5, 5, 10) if m * 10.0**exponent >= spread / STEPS)
    step = max(1.0, round(step)) if whole else step
    digits = max(0, 2 - math.floor(math.log10(step)))
    numbers = {round(k * step, digits) + 0.0 for k in range(math.floor(low / step), math.ceil(high / step) + 1)}
    free = sorted(n for n in numbers - set(wanted) if not whole or n >= 1)
    return np.array(sorted([*free[: MOST_CODES - 1 - len(set(wanted))], *set(wanted)]), np.float64)


def codes_of(values: Values, grid: Values, is_minimum: bool) -> NDArray[np.uint8]:
    """How many grid points a value is beyond: a bound at ``grid[j]`` rejects codes > j, or codes <= j if it is a minimum."""
    codes = np.searchsorted(grid, values, side="right" if is_minimum else "left").astype(np.uint8)
    return np.where(np.isnan(values), np.uint8(MOST_CODES), codes).astype(np.uint8)


def position_of(reject: float | None, grid: Values, is_minimum: bool) -> int:
    """Where a slider stands: a maximum rejects codes > position, a minimum codes < position; the loosest position is "never"."""
    if reject is None:
        return 0 if is_minimum else len(grid)
    at = int(np.searchsorted(grid, reject))
    return at + 1 if is_minimum else at


def profiles_of(found: Evidence, settings: FilterStage) -> tuple[list[str], NDArray[np.uint8]]:
    """Groups of data sets that share their bounds: all without overrides ("" first), then each with; and each segment's group."""
    own = [name for name in found.datasets if name in settings.overrides]
    by_dataset = np.array([1 + own.index(name) if name in own else 0 for name in found.datasets], np.uint8)
    return ["", *own], by_dataset[found.dataset] if len(found) else np.zeros(0, np.uint8)


def sliders_of(profiles: list[str], present: set[int], settings: FilterStage) -> list[Slider]:
    """All bounds that govern a segment that is there, in the order of the rules."""
    sliders = []
    for index, rule in enumerate(RULES):
        own = {p for p, name in enumerate(profiles) if p and settings.is_own(name, rule.bound)}
        common = tuple(p for p in range(len(profiles)) if p not in own and p in present)
        if common:
            both = limits(settings, rule)
            sliders.append(Slider(index, "", common, both.warn, both.reject))
        for p in sorted(own & present):
            both = limits(settings.for_dataset(profiles[p]), rule)
            sliders.append(Slider(index, profiles[p], (p,), both.warn, both.reject))
    return sliders


def what_if(judgement: Judgement, settings: FilterStage) -> Widget:
    """The panel as a block of the page."""
    data, ids = what_if_data(judgement, settings)
    markup = (TEMPLATES / "whatif.html").read_text()
    for name, content in (
        ("DATA", json.dumps(data, separators=(",", ":"))),
        ("IDS", json.dumps(front_coded(ids), separators=(",", ":"))),
    ):
        markup = markup.replace(f"@{name}@", script_safe(content))
    return Widget(Markup(markup), (TEMPLATES / "whatif.css").read_text(), (TEMPLATES / "whatif.js").read_text())


def front_coded(ids: list[str]) -> dict[str, object]:
    """Sorted ids, each as what it shares with the one before (bytes, base64) and the rest: a third of the size."""
    before = ["", *ids][: len(ids)]
    shared = [len(os.path.commonprefix([a[:MOST_CODES], b])) for a, b in zip(before, ids, strict=True)]
    return {"shared": _base64(np.array(shared, np.uint8)), "rest": [i[n:] for i, n in zip(ids, shared, strict=True)]}


def what_if_data(judgement: Judgement, settings: FilterStage) -> tuple[dict[str, object], list[str]]:
    """All that the panel's script needs, and the ids of the embedded segments (none if they are a sample)."""
    found = judgement.evidence
    profiles, profile = profiles_of(found, settings)
    sliders = sliders_of(profiles, set(np.unique(profile).tolist()), settings)
    rows, is_whole = _embedded(found)
    whole_set = {"kept": int(judgement.kept.sum()), "seconds": float(found.columns["length_s"][judgement.kept].sum())}
    fixed = np.zeros(len(found), np.uint8)
    for bit, mask in ((1, judgement.by_reason[NO_AUDIO]), (2, found.is_screened), (4, found.is_unmeasured)):
        fixed[mask] |= bit
    rejections = np.zeros(len(found), np.uint8)
    for mask in judgement.by_reason.values():
        rejections += mask
    shown, matrix = [], []
    for index in sorted({slider.rule for slider in sliders}):
        rule, mine = RULES[index], [slider for slider in sliders if slider.rule == index]
        wanted = [limit for slider in mine for limit in (slider.warn, slider.reject) if limit is not None]
        grid = grid_of(found.columns[rule.column], wanted, rule.bound in ("max_offset_frames", "notes"))
        codes = codes_of(found.columns[rule.column], grid, rule.is_minimum)
        matrix.append(codes[rows])
        alone = _decides_alone(judgement, index, fixed) if not is_whole else np.zeros(0, np.bool_)
        shown.append(
            {
                **_about(rule), "grid": grid.tolist(),
                "sliders": [_slider(s, rule, grid, codes, alone, profile, found.columns["length_s"]) for s in mine],
            }
        )  # fmt: skip
    data = {
        "rules": shown, "profiles": profiles, "topics": TOPICS, "reasons": {r: REASONS[r] for r in FILTER_REASONS},
        "total": len(found), "total_s": float(found.columns["length_s"].sum()), "embedded": len(rows), "now": whole_set,
        "overlap": int((rejections > 1).sum()),
        "codes": _base64(np.concatenate(matrix) if matrix else np.zeros(0, np.uint8)), "profile": _base64(profile[rows]),
        "fixed": _base64(fixed[rows]), "length": _base64(found.columns["length_s"][rows].astype("<f4")),
    }  # fmt: skip
    return data, found.ids.take(pa.array(rows)).to_pylist() if is_whole else []


def _embedded(found: Evidence) -> tuple[NDArray[np.int64], bool]:
    """Rows that the page holds, ascending, and whether these are all."""
    if len(found) <= EMBEDDED:
        return np.arange(len(found)), True
    chosen = np.argpartition(text_hashes(found.ids), EMBEDDED)[:EMBEDDED]
    return np.sort(chosen), False


def _about(rule: Rule) -> dict[str, object]:
    return {"reason": rule.reason, "bound": rule.bound, "title": rule.title, "topic": rule.topic, "minimum": rule.is_minimum,
            "scalar": rule.bound == "max_offset_frames"}  # fmt: skip


def _decides_alone(judgement: Judgement, index: int, fixed: NDArray[np.uint8]) -> Mask:
    """Segments whose fate hangs on this rule alone: nothing else rejects them under the present bounds."""
    others = judgement.rejects.sum(axis=0, dtype=np.uint8) - judgement.rejects[index]  # there are fewer than 256 rules
    return (others == 0) & (fixed == 0)


def _slider(
    slider: Slider, rule: Rule, grid: Values, codes: NDArray[np.uint8], alone: Mask, profile: NDArray[np.uint8], seconds: Values
) -> dict[str, object]:
    about: dict[str, object] = {
        "dataset": slider.dataset, "profiles": list(slider.profiles), "warn": slider.warn, "reject": slider.reject,
        "position": position_of(slider.reject, grid, rule.is_minimum),
    }  # fmt: skip
    if len(alone):
        mine = alone & np.isin(profile, slider.profiles)
        about["alone"] = np.bincount(codes[mine], minlength=MOST_CODES + 1).tolist()
        summed = np.bincount(codes[mine], weights=seconds[mine], minlength=MOST_CODES + 1)
        about["alone_s"] = np.round(summed, 2).tolist()
    return about


def _base64(array: NDArray[np.generic]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def nearness(judgement: Judgement, settings: FilterStage) -> NDArray[np.int64]:
    """How many grid steps a segment's fate is away from turning, (segments,): small = a close decision.

    For a kept segment the nearest rejecting bound counts; for a rejected one the bound it is furthest beyond: all must move.
    """
    found = judgement.evidence
    near = np.full(len(found), MOST_CODES, np.int64)
    far = np.zeros(len(found), np.int64)
    for index, rule in enumerate(RULES):
        present = judgement.reject_limits[index]
        grid = grid_of(found.columns[rule.column], present[np.isfinite(present)].tolist(), False)
        codes = codes_of(found.columns[rule.column], grid, rule.is_minimum).astype(np.int64)
        at = np.array([position_of(None if np.isnan(x) else float(x), grid, rule.is_minimum) for x in present])
        distance = np.where(
            (codes == MOST_CODES) | np.isnan(present)[found.dataset], MOST_CODES, np.abs(codes - at[found.dataset])
        )
        near = np.where(judgement.rejects[index], near, np.minimum(near, distance))
        far = np.where(judgement.rejects[index], np.maximum(far, np.minimum(distance, MOST_CODES)), far)
    fixed = found.is_screened | found.is_unmeasured | ~found.has_audio
    return np.where(judgement.kept, near, np.where(fixed, MOST_CODES, far))
