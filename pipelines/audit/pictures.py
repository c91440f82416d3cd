"""Contact sheets of the audit: one small picture of some kept segments and of some that each reason drops."""

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.blocks import Gallery, Media, Tone
from pipelines.audit.data import Audit
from pipelines.deciding.rules import RULES
from pipelines.job.reasons import REASONS
from pipelines.layout import Layout
from space_data.schema import Thumbnail
from space_data.tables import from_arrow, has_table, read_arrow

SHOWN_KEPT, SHOWN_CLOSE, SHOWN_PER_REASON = 18, 6, 6
BUDGET_BYTES = 1_500_000
"""Of all JPEG files together; the page must stay below 10 MB."""
PICTURE_AT = 0.4
"""Of a segment's time: a face has settled by then."""


@dataclass(frozen=True)
class Sheet:
    """A titled row of pictures: rows of the segments' table."""

    title: str
    caption: str
    badge: str
    tone: Tone
    rows: list[int]


def sheets_of(audit: Audit, nearness: NDArray[np.int64]) -> list[Sheet]:
    """Which segments are shown: kept ones evenly spread and close calls, and per reason the closest and the clearest cases."""
    kept = np.flatnonzero(audit.kept)
    spread = kept[np.unique(np.linspace(0, len(kept) - 1, min(len(kept), SHOWN_KEPT)).astype(int))] if len(kept) else kept
    sheets = [Sheet(f"Kept ({len(spread)} of {len(kept):,})", "", "kept", "good", spread.tolist())]
    close = [i for i in kept[np.argsort(nearness[kept], kind="stable")].tolist() if i not in set(spread.tolist())][:SHOWN_CLOSE]
    if close:
        sheets.append(Sheet("Kept, but only just", "Nearest to a bound that would drop them.", "kept", "good", close))
    for reason, mask in audit.judgement.by_reason.items():
        rows = np.flatnonzero(mask)
        if len(rows):
            order = rows[np.argsort(nearness[rows], kind="stable")]
            half = SHOWN_PER_REASON // 2
            chosen = order if len(order) <= SHOWN_PER_REASON else np.concatenate([order[:half], order[-half:]])
            which = "the closest and the clearest cases" if len(chosen) < len(order) else "all"
            sheets.append(
                Sheet(
                    f"{reason} ({len(chosen)} of {len(rows):,})", f"{REASONS[reason]}; {which}", reason, "warn", chosen.tolist()
                )
            )
    return sheets


def read_pictures(audit: Audit, layout: Layout, rows: list[int]) -> dict[int, bytes]:
    """The picture of each segment that is nearest to 40 % of its time: one inside it if there is one, else the nearest at all."""
    if not rows or not has_table(layout.thumbnails):
        return {}
    shown = audit.segments.take(rows).to_pylist()
    pictures: dict[str, list[Thumbnail]] = {}
    for picture in from_arrow(read_arrow(layout.thumbnails, Thumbnail, clip_ids={s["source_clip_id"] for s in shown}), Thumbnail):
        pictures.setdefault(picture.clip_id, []).append(picture)
    found = {}
    for row, segment in zip(rows, shown, strict=True):
        first, end = segment["first_frame"], segment["end_frame"]
        wanted = first + PICTURE_AT * (end - first)
        candidates = pictures.get(segment["source_clip_id"], [])
        inside = [picture for picture in candidates if first <= picture.frame < end]
        if candidates:
            found[row] = min(inside or candidates, key=lambda picture: abs(picture.frame - wanted)).jpeg
    return found


def galleries(audit: Audit, layout: Layout, nearness: NDArray[np.int64]) -> tuple[list[Gallery], int]:
    """The sheets as blocks, and how many pictures were left out to keep the page small."""
    sheets = sheets_of(audit, nearness)
    pictures = read_pictures(audit, layout, sorted({row for sheet in sheets for row in sheet.rows}))
    places = sorted((place, number, row) for number, sheet in enumerate(sheets) for place, row in enumerate(sheet.rows))
    room, fitting = BUDGET_BYTES, set()
    for _, number, row in places:  # the first of every sheet, then the second, ...
        room -= len(pictures.get(row, b""))
        if room >= 0 and row in pictures:
            fitting.add((number, row))
    blocks = []
    for number, sheet in enumerate(sheets):
        media = [_tile(audit, sheet, row, pictures[row]) for row in sheet.rows if (number, row) in fitting]
        if media:
            blocks.append(Gallery(media, title=sheet.title, caption=sheet.caption))
    return blocks, sum(row in pictures for _, _, row in places) - len(fitting)


def _tile(audit: Audit, sheet: Sheet, row: int, jpeg: bytes) -> Media:
    judgement = audit.judgement
    lines = [f"{audit.seconds[row]:.1f} s"]
    if audit.kept[row] and judgement.correction_frames[row]:
        lines[0] += f", sound moved by {-judgement.correction_frames[row]:+.0f} frames"
    for index in np.flatnonzero(judgement.rejects[:, row]):
        value = judgement.evidence.columns[RULES[index].column][row]
        limit = judgement.reject_limits[index][judgement.evidence.dataset[row]]
        lines.append(f"{RULES[index].reason}: {RULES[index].title} {value:.3g} against {limit:.3g}")
    if sheet.badge in judgement.by_reason and len(lines) == 1:
        lines.append(REASONS[sheet.badge])
    (name,) = audit.ids(np.array([row]))
    return Media("data:image/jpeg;base64," + base64.b64encode(jpeg).decode(), name, lines, sheet.badge, sheet.tone)
