"""The benchmark page's strata: the headline of each contestant by kind of clip."""

from collections.abc import Callable, Sequence

import numpy as np

from evaluation.blocks import Cell, Column, Table
from evaluation.lists.choose import YAW_EDGES_DEG
from evaluation.metrics import HEADLINE
from evaluation.report_data import BenchmarkData
from evaluation.report_results import ARROWS, number
from evaluation.score_clip import REFERENCE
from evaluation.statistics import summarise
from space_data.schema import UNKNOWN, SynthesizedClip
from space_data.timebase import frame_start_s

LONG_CLIP_S = 4.0
TURN_PERCENTILE = 95
"""Of the recording's absolute yaw: the measure that test lists are stratified by."""
FEW = 2
"""Identities of a stratum whose interval says nothing: it is twelve standard errors wide."""
PAGE_ROWS = 16


def strata_of(data: BenchmarkData) -> dict[str, dict[str, str]]:
    """Each clip's group by (name of the stratum, clip id); clips of which a fact is not known are ``unknown``."""
    turns: dict[str, list[float]] = {}
    for seen in data.traces:
        if seen.system == REFERENCE and seen.yaw_deg is not None:
            turns.setdefault(seen.clip_id, []).append(abs(seen.yaw_deg))

    keys: dict[str, Callable[[SynthesizedClip], str]] = {
        "set": lambda clip: clip.clip_id.split("/")[0],
        "language": lambda clip: data.languages.get(clip.clip_id) or UNKNOWN,
        "emotion": lambda clip: clip.emotion if clip.emotion == UNKNOWN or clip.intensity else "neutral",
        "length": lambda clip: f"{'at least' if frame_start_s(clip.n_frames) >= LONG_CLIP_S else 'under'} {LONG_CLIP_S:g} s",
        "head's turn": lambda clip: turn_label(turns.get(clip.clip_id, ())),
    }
    facts = {clip.clip_id: clip for clip in data.clips}
    return {name: {clip_id: key(facts[clip_id]) for clip_id in data.clip_ids} for name, key in keys.items()}


def turn_label(yaw_deg: Sequence[float]) -> str:
    """Which of the lists' classes a recording of these absolute yaws (T,) is in."""
    if not yaw_deg:
        return UNKNOWN
    turn_deg = float(np.percentile(yaw_deg, TURN_PERCENTILE))
    above = [edge for edge in YAW_EDGES_DEG if turn_deg >= edge]
    return f"{above[-1]:g}° or more" if len(above) == len(YAW_EDGES_DEG) else f"under {YAW_EDGES_DEG[len(above)]:g}°"


def strata_table(data: BenchmarkData) -> Table:
    """The headline of each contestant by kind of clip; strata of one group are named only."""
    subjects = {clip.clip_id: clip.subject for clip in data.clips}
    rows: list[list[Cell | str | float | None]] = []
    whole = []
    for name, groups in strata_of(data).items():
        found = sorted(set(groups.values()))
        if len(found) == 1:
            whole.append(f"{name} ({found[0]})")
            continue
        for group in found:
            chosen = [clip_id for clip_id in data.clip_ids if groups[clip_id] == group]
            people = [subjects[clip_id] for clip_id in chosen]
            for entry in data.contestants:
                cells = [
                    _cell([data.value(entry.name, clip_id, metric) for clip_id in chosen], people, metric.digits)
                    for metric in HEADLINE
                ]
                rows.append([name, group, entry.title, *cells, len(chosen), len(set(people))])
    columns = [Column("by"), Column("group"), Column("system")]
    columns += [Column(f"{metric.title} {ARROWS[metric.better]}", "number") for metric in HEADLINE]
    columns += [Column("clips", "number", digits=0), Column("identities", "number", digits=0)]
    caption = f"By kind of clip; head's turn: {TURN_PERCENTILE}th percentile of the recording's yaw."
    if whole:
        caption += f" The same for all clips: {', '.join(whole)}."
    return Table(columns, rows, caption, searchable=True, page_rows=PAGE_ROWS)


def _cell(values: list[float | None], people: list[str], digits: int) -> Cell:
    found = summarise(values, people)
    text = number(found.mean, digits)
    if found.n_identities > FEW and found.low is not None and found.high is not None:
        text += f" ±{number((found.high - found.low) / 2, digits)}"
    return Cell(found.mean, text, title=f"{found.n_ok} of {found.n_total} clips, {found.n_identities} identities")
