"""Stage ``ingest``: list a corpus, hash and probe every file; what cannot be read is rejected with a reason, never dropped."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.job import (
    Layout,
    Outcome,
    Rejected,
    Unit,
    content_hash,
    ledger_rows,
    run_units,
    stage_clock,
    stage_main,
    write_ledger,
)  # fmt: skip
from pipelines.readers import Source, list_sources
from space_data.media import MediaError, probe
from space_data.params import Params
from space_data.schema import KEPT, Clip
from space_data.tables import write_table

logger = logging.getLogger(__name__)

STAGE = "ingest"
FACTS_FILE = "facts.json"
SNIFFED_BYTES = 4096


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text rather than a broken container."""
    if b"\0" in head:
        return False
    try:
        head[: max(0, len(head) - 4)].decode()  # a character may be cut at the end
    except UnicodeDecodeError:
        return False
    return True


def probe_file(path: str, settings: None, folder: Path) -> None:
    """Write the file's hash and what its header says to ``folder/facts.json``.

    Raises:
        Rejected: ``empty_file``, ``not_media``, ``unreadable`` or ``no_video``.
    """
    file = Path(path)
    try:
        with open(file, "rb") as stream:
            head = stream.read(SNIFFED_BYTES)
    except OSError as error:
        raise Rejected("unreadable", f"{file}: cannot be opened ({error.strerror})") from error
    if not head:
        raise Rejected("empty_file", value=0.0)
    try:
        info = probe(file)
    except MediaError as error:
        raise Rejected("not_media" if looks_like_text(head) else "unreadable", str(error)) from error
    if not info.has_video:
        raise Rejected("no_video", f"sound only ({info.audio_codec})")
    with open(file, "rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    (folder / FACTS_FILE).write_text(json.dumps({"sha256": sha256, **dataclasses.asdict(info)}))


def split_of(subject: str, shares: dict[str, float]) -> str:
    """``train``, ``val`` or ``test`` by a hash of the subject: stable when subjects join or leave; test gets the rest."""
    position = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") / 2**64
    if position < shares["train"]:
        return "train"
    return "val" if position < shares["train"] + shares["val"] else "test"


def clip_row(source: Source, facts: dict[str, Any], shares: dict[str, float]) -> Clip:
    """The clip table's row from the reader's labels and the file's facts."""
    return Clip(
        clip_id=source.clip_id, path=str(source.path), sha256=facts["sha256"], audio_path=str(source.audio or ""),
        part_start_s=source.part_s[0], part_end_s=source.part_s[1], part_crop_px=np.array(source.part_crop_px, np.float32),
        dataset=source.dataset, subject=source.subject, recording=source.recording, statement=source.statement,
        emotion=source.emotion, intensity=source.intensity, view=source.view, language=source.language, sex=source.sex,
        split=source.split or split_of(source.subject, shares), annotated_offset_frames=source.annotated_offset_frames,
        annotated_speaker_confidence=source.annotated_speaker_confidence,
        annotated_face_confidence=source.annotated_face_confidence,
        duration_s=facts["duration_s"], fps=facts["fps"], header_frames=facts["header_frames"], width_px=facts["width"],
        height_px=facts["height"], rotation_deg=facts["rotation_deg"], video_codec=facts["video_codec"],
        pixel_format=facts["pixel_format"], video_start_s=facts["video_start_s"], audio_codec=facts["audio_codec"],
        audio_hz=facts["audio_hz"], audio_channels=facts["audio_channels"], audio_start_s=facts["audio_start_s"],
    )  # fmt: skip


def _unit(source: Source) -> Unit:
    """A file is taken as unchanged while its path, size and time of change are: hashing it is the work to be saved."""
    state = source.path.stat() if source.path.exists() else source.path.lstat()  # a link may point nowhere
    return Unit(source.clip_id, content_hash(str(source.path), state.st_size, state.st_mtime_ns), str(source.path))


def run(params: Params, layout: Layout) -> None:
    """Write ``clips.parquet`` and the stage's ledger."""
    with stage_clock(layout, STAGE) as clock:
        listing = list_sources(params.data.reader, Path(params.data.raw))
        if listing.ignored:
            logger.info("ignored, not video: %s", ", ".join(f"{n} {suffix}" for suffix, n in sorted(listing.ignored.items())))
        outcomes = run_units(STAGE, map(_unit, listing.sources), probe_file, None, layout, params.job)
        clips = [clip_row(source, _facts(outcome), params.data.splits)
                 for source, outcome in _paired(listing.sources, outcomes) if outcome.status == KEPT]  # fmt: skip
        write_table(layout.clips, clips, Clip)
        clock.counts = write_ledger(layout, STAGE, [s.clip_id for s in listing.sources], ledger_rows(STAGE, outcomes))
        clock.clips, clock.computed = len(outcomes), sum(outcome.computed for outcome in outcomes)


def _paired(sources: list[Source], outcomes: list[Outcome]) -> list[tuple[Source, Outcome]]:
    by_id = {outcome.unit_id: outcome for outcome in outcomes}
    return [(source, by_id[source.clip_id]) for source in sources]


def _facts(outcome: Outcome) -> dict[str, Any]:
    assert outcome.folder is not None
    return json.loads((outcome.folder / FACTS_FILE).read_text())


if __name__ == "__main__":
    stage_main(run)
