"""Stage ``ingest``: list a corpus, hash and probe every file; what cannot be read is rejected with a reason, never dropped.

A file is taken as unchanged while its path, size, and times of change are: hashing it is the work to be saved. The inode's time
(ctime) is among them, which nothing can set back: a file replaced by one of equal size and date is noticed too. A touched file
of equal content costs its hash and a probe; what comes after goes by the hash. Where a file system's times cannot be relied on,
``data.verify`` reads every file in every run.
"""

import codecs
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.job.run import run_stage
from pipelines.job.shards import pack_folder
from pipelines.job.stage import Context, Files, Made, Stage
from pipelines.job.unit import EnvironmentFault, Rejected, Unit, content_hash
from pipelines.layout import Layout
from pipelines.readers import Listing, Source, list_sources, list_utterances
from pipelines.readers.listing import FINDINGS, NOTE, PART_SLACK_S
from space_data import progress
from space_data.files import sha256_of
from space_data.media.container import MediaError, NotMediaError, NoTrackError
from space_data.media.probe import MediaInfo, probe
from space_data.params import Params
from space_data.schema import Clip, Utterance
from space_data.tables import shard_of

logger = logging.getLogger(__name__)

FACTS_FILE = "facts.json"
LISTING_FILE = "listing.pickle"
SNIFFED_BYTES = 4096
COPIED_FACTS = tuple(f.name for f in dataclasses.fields(MediaInfo) if f.name in {f.name for f in dataclasses.fields(Clip)})
"""What a clip's row repeats of its file's header."""


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file are text rather than a broken container."""
    if b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # which takes it that the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class Task:
    """What ``probe_file`` needs to know of a clip: a ``Source`` without its labels, so that new labels cost nothing."""

    path: str
    audio: str
    """empty: the video's own sound"""
    part_s: tuple[float, float | None]
    part_crop_px: tuple[int, int, int, int]
    part_crop_height_px: int
    audio_track: int | None = None
    """number of the sound track; None: the default one"""


def task_of(source: Source) -> Task:
    """The unit's argument."""
    return Task(source.path, source.audio, source.part_s, source.part_crop_px, source.part_crop_height_px, source.audio_track)


def probe_file(source: Source, settings: None, folder: Path) -> None:
    """Write a clip's facts to ``folder/facts.json``; raises as ``read_facts`` does."""
    try:
        facts = read_facts(task_of(source))
    except Rejected:
        for path in source.files:  # what a disk refuses to give is no fault of the clip
            _see_that_it_reads(Path(path))
        raise
    (folder / FACTS_FILE).write_text(json.dumps(facts))


def _see_that_it_reads(path: Path) -> None:
    """Read the file whole: FFmpeg reports what the disk does not give as the end of the file.

    Raises:
        EnvironmentFault: it cannot be read to its end. One that must not be opened at all is part of the corpus as it is.
    """
    try:
        sha256_of(path)
    except (PermissionError, IsADirectoryError):
        return
    except OSError as error:
        if isinstance(error, FileNotFoundError) and path.is_symlink():
            return  # a link that points nowhere
        raise EnvironmentFault(f"{path}: {error.strerror}") from error


def read_facts(task: Task) -> dict[str, Any]:
    """The clip's hash and what its headers say; a part's length and crop are settled here.

    Returns:
        ``sha256``, those of the two files, ``part_end_s``, ``part_crop_px`` and the fields of ``MediaInfo``.

    Raises:
        Rejected: ``empty_file``, ``not_media``, ``unreadable``, ``no_video``; of a sound file also ``no_audio``; of a part
            ``truncated`` (it ends beyond the file) or ``error`` (its crop leaves the picture).
    """
    info = _header(Path(task.path), None if task.audio else task.audio_track)
    if not info.has_video:
        raise Rejected("no_video", f"sound only ({info.audio_codec})")
    video_sha256, audio_sha256 = sha256_of(task.path), ""
    hashes = [video_sha256]
    if task.audio:
        sound = _header(Path(task.audio), task.audio_track)
        if not sound.has_audio:
            raise Rejected("no_audio", f"{task.audio}: a picture only ({sound.video_codec})")
        info = dataclasses.replace(
            info, has_audio=True, audio_codec=sound.audio_codec, audio_hz=sound.audio_hz, audio_channels=sound.audio_channels,
            audio_start_s=sound.audio_start_s, audio_tracks=sound.audio_tracks,
        )  # fmt: skip
        audio_sha256 = sha256_of(task.audio)
        hashes.append(audio_sha256)
    part_end_s = task.part_s[1]
    is_part = task.part_s != (0.0, None)
    if is_part:
        info, part_end_s = _part_of(info, task)
    crop_px = _scaled_crop(info, task)
    if is_part or any(crop_px):
        hashes.append(content_hash(task.part_s[0], part_end_s, crop_px))
    sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()
    own = {"sha256": sha256, "video_sha256": video_sha256, "audio_sha256": audio_sha256}
    return {**own, "part_end_s": part_end_s, "part_crop_px": crop_px, **dataclasses.asdict(info)}


def _header(file: Path, audio_track: int | None) -> MediaInfo:
    """The header of one file, or the reason why there is none."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(SNIFFED_BYTES)
    except OSError as error:
        raise Rejected("unreadable", f"{file}: cannot be opened ({error.strerror})") from error
    if not head:
        raise Rejected("empty_file", str(file), value=0.0)
    try:
        return probe(file, audio_track)
    except NoTrackError as error:
        raise Rejected("no_audio", str(error)) from error
    except MediaError as error:
        is_other = isinstance(error, NotMediaError) or looks_like_text(head)
        raise Rejected("not_media" if is_other else "unreadable", str(error)) from error


def _part_of(info: MediaInfo, task: Task) -> tuple[MediaInfo, float]:
    """The header's facts for a part of the file, and where the part ends.

    An end up to ``PART_SLACK_S`` beyond the file's is the file's.
    """
    start_s, end_s = task.part_s
    file_s = info.duration_s or np.inf  # a header without a duration cannot contradict
    if start_s >= file_s or (end_s is not None and end_s > file_s + PART_SLACK_S):
        last_s = start_s if end_s is None else end_s
        raise Rejected("truncated", f"{task.path}: the part ends at {last_s:g} s, the file at {file_s:.2f} s", file_s, last_s)
    end_s = float(min(file_s, np.inf if end_s is None else end_s))
    if not np.isfinite(end_s):
        raise Rejected("error", f"{task.path}: a part to the end of a file whose header gives no duration")
    length_s = end_s - start_s
    frames = round(length_s * info.fps) if info.header_frames else 0
    return dataclasses.replace(
        info, duration_s=length_s, promised_video_s=max(0.0, min(end_s, info.promised_video_s) - start_s),
        packets_end_s=max(0.0, min(end_s, info.packets_end_s) - start_s), header_frames=frames,
    ), end_s  # fmt: skip


def _scaled_crop(info: MediaInfo, task: Task) -> tuple[float, ...]:
    """The crop in the file's own pixels; all 0: none."""
    drawn_px = task.part_crop_height_px or info.height
    crop_px = tuple(side * info.height / drawn_px for side in task.part_crop_px)
    x0, y0, x1, y1 = crop_px
    if any(crop_px) and not (0 <= x0 < x1 <= info.width and 0 <= y0 < y1 <= info.height):
        x0, y0, x1, y1 = map(round, crop_px)
        raise Rejected(
            "error", f"{task.path}: crop {x0},{y0} to {x1},{y1} leaves the picture of {info.width}x{info.height} "
            "(downloaded in another size than the crop was made for?)",
        )  # fmt: skip
    return crop_px


def split_of(subject: str, shares: dict[str, float]) -> str:
    """``train``, ``val`` or ``test`` by a hash of the subject: stable when subjects join or leave; test gets the rest."""
    position = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:8], "big") / 2**64
    if position < shares["train"]:
        return "train"
    return "val" if position < shares["train"] + shares["val"] else "test"


def clip_row(source: Source, facts: dict[str, Any], shares: dict[str, float]) -> Clip:
    """The clip table's row from the reader's labels and the file's facts."""
    return Clip(
        clip_id=source.clip_id, path=source.path, sha256=facts["sha256"], audio_path=source.audio,
        part_start_s=source.part_s[0], part_end_s=facts["part_end_s"], part_crop_px=np.array(facts["part_crop_px"], np.float32),
        dataset=source.dataset, subject=source.subject, recording=source.recording, statement=source.statement,
        emotion=source.emotion, intensity=source.intensity, view=source.view, language=source.language, sex=source.sex,
        split=source.split or split_of(source.subject, shares), annotated_offset_frames=source.annotated_offset_frames,
        annotated_speaker_confidence=source.annotated_speaker_confidence,
        annotated_face_confidence=source.annotated_face_confidence,
        audio_track=source.audio_track, video_sha256=facts["video_sha256"], audio_sha256=facts["audio_sha256"],
        width_px=facts["width"], height_px=facts["height"],
        **{name: facts[name] for name in COPIED_FACTS},
    )  # fmt: skip


def inputs_of(clip: Clip) -> tuple[tuple[str, str], ...]:
    """The clip's files with their hashes, for ``Unit.inputs``."""
    both = (clip.path, clip.video_sha256), (clip.audio_path, clip.audio_sha256)
    return tuple((path, sha256) for path, sha256 in both if sha256)


def _unit(source: Source, states: Sequence[object]) -> Unit:
    """The unit of a clip; its key goes by the state of the clip's files, or, if those are verified, by their content."""
    return Unit(source.clip_id, content_hash(dataclasses.astuple(task_of(source)), states), source, cost_s=0.05)


def _state(path: str) -> tuple[int, ...]:
    """Size and times of a file; of a link that points nowhere its own; empty if there is nothing: ``probe_file`` says so."""
    for status_of in (os.stat, os.lstat):
        with contextlib.suppress(OSError):
            status = status_of(path)
            return status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return ()


def _content(path: str) -> str:
    """Hash of a file's content; empty if it cannot be read: ``probe_file`` says why."""
    with contextlib.suppress(OSError):
        return sha256_of(path)
    return ""


def prepare(context: Context) -> dict[str, str]:
    """List the corpus and put what each shard gets where the workers find it."""
    params = context.params
    listing = with_audio_track(list_sources(params.data.reader, Path(params.data.raw)), params.data.audio_track)
    if listing.ignored:
        logger.info("belong to no clip: %s", ", ".join(f"{n} {suffix}" for suffix, n in sorted(listing.ignored.items())))
    _warn(listing, params)
    contents = _contents(listing, params.job.processes) if params.data.verify else {}
    heard = list_utterances(params.data.reader, Path(params.data.raw))
    shards = [Listed([], [], contents) for _ in range(context.parts)]
    for source in listing.sources:
        shards[shard_of(source.clip_id, context.parts)].sources.append(source)
    for u in heard:
        hashed = dataclasses.replace(u, audio_sha256=sha256_of(u.audio), track_sha256=sha256_of(u.track))
        shards[shard_of(u.clip_id, context.parts)].utterances.append(hashed)
    for part, listed in enumerate(shards):
        (pack_folder(context, STAGE.name, part) / LISTING_FILE).put(pickle.dumps(listed))
    return {}


@dataclass(frozen=True)
class Listed:
    """What the corpus has for one shard."""

    sources: list[Source]
    utterances: list[Utterance]
    contents: dict[str, str]
    """hashes by file, where ``data.verify`` asks for them"""

    @staticmethod
    def of(context: Context, part: int) -> "Listed":
        """As ``prepare`` has left it."""
        return pickle.loads((pack_folder(context, STAGE.name, part) / LISTING_FILE).read())


def items(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard."""
    listed = Listed.of(context, part)
    for source in listed.sources:
        yield _unit(source, [listed.contents.get(path) or _state(path) for path in source.files])


def utterances(context: Context, part: int) -> dict[str, list[Utterance]]:
    """The utterances of one shard: nothing is to be found out about them."""
    return {"utterances": Listed.of(context, part).utterances}


def finish(unit: Unit, files: Files, context: Context) -> Made:
    """The clip's row, from its labels and the file's facts."""
    return Made({"clips": [clip_row(unit.value, json.loads(files(FACTS_FILE) or b"{}"), context.params.data.splits)]})


STAGE = Stage(
    "ingest", probe_file, {}, items, prepare=prepare, derived={"clips": Clip, "utterances": Utterance}, finish=finish,
    given=utterances,
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the tables ``clips`` and ``utterances`` and the stage's ledger."""
    run_stage(STAGE, params, layout)


def with_audio_track(listing: Listing, track: int | None) -> Listing:
    """The listing with sound track number ``track`` for every clip whose labels do not choose one."""
    if track is None:
        return listing
    chosen = [s if s.audio_track is not None else dataclasses.replace(s, audio_track=track) for s in listing.sources]
    return dataclasses.replace(listing, sources=chosen)


def _contents(listing: Listing, workers: int) -> dict[str, str]:
    """Hashes of all files; hashing releases the interpreter, so threads do."""
    paths = [path for source in listing.sources for path in source.files]
    with ThreadPoolExecutor(workers) as pool:
        return dict(zip(paths, progress.track(pool.map(_content, paths), "verify", len(paths)), strict=True))


def _warn(listing: Listing, params: Params) -> None:
    """One line on what the reader found wrong; ``space data check`` has it all."""
    kinds = Counter(finding.kind for finding in listing.findings if FINDINGS[finding.kind][0] != NOTE)
    if kinds:
        worst = next(kind for kind in FINDINGS if kind in kinds)
        first = next(finding for finding in listing.findings if finding.kind == worst)
        logger.warning(
            "%s: %s, e.g. %s: %s (`space data check %s --dataset %s` lists them)", params.data.raw,
            ", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())), first.path, first.detail, params.data.raw,
            params.data.reader,
        )  # fmt: skip


