"""Stage ``ingest``: list a corpus, hash and probe every file; what cannot be read is rejected with a reason, never dropped.

A file is taken as unchanged while its path, size, and times of change are: hashing it is the work to be saved. The inode's time
(ctime) is among them, which nothing can set back: a file replaced by one of equal size and date is noticed too. A touched file
of equal content costs its hash and a probe; what comes after goes by the hash. Where a file system's times cannot be relied on,
``data.verify`` reads every file in every run. The ledger names what was read by its content, so that two copies of a corpus have
equal ledgers. Paths in the tables are relative to ``data.raw``.
"""

import codecs
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipelines.job.ledger import ledger_rows
from pipelines.job.run import run_stage
from pipelines.job.shards import pack_folder
from pipelines.job.stage import Context, Files, Made, Stage
from pipelines.job.unit import EnvironmentFault, Outcome, Rejected, Unit, content_hash
from pipelines.layout import Layout
from pipelines.readers import Listing, Source, list_sources, list_utterances
from pipelines.readers.listing import FINDINGS, NOTE, PART_SLACK_S
from space_data import progress
from space_data.files import sha256_of
from space_data.media.container import MediaError, NotMediaError, NoTrackError
from space_data.media.probe import MediaInfo, probe
from space_data.params import Params
from space_data.schema import Clip, Utterance
from space_data.store import LocalFile, Place, local_file, located
from space_data.tables import shard_of

logger = logging.getLogger(__name__)

FACTS_FILE = "facts.json"
LISTING_FILE = "listing.json"
SNIFFED_BYTES = 4096
HASHED_AT_ONCE = 256
"""Clips whose files ``data.verify`` has threads hash at a time."""
SOURCE_FIELDS = tuple(f.name for f in dataclasses.fields(Source))
TUPLE_FIELDS = tuple(SOURCE_FIELDS.index(name) for name in ("part_s", "part_crop_px"))
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


@dataclass(frozen=True)
class Found:
    """A clip and the root that its paths are relative to: the unit's argument."""

    source: Source
    raw: Place


def task_of(source: Source) -> Task:
    """What is to be found out about a clip."""
    return Task(source.path, source.audio, source.part_s, source.part_crop_px, source.part_crop_height_px, source.audio_track)


def probe_file(found: Found, settings: None, folder: Path) -> None:
    """Write a clip's facts to ``folder/facts.json``; raises as ``read_facts`` does."""
    source = located(found.source, found.raw, "path", "audio")
    try:
        facts = read_facts(task_of(source))
    except Rejected:
        content = content_hash(*map(_content_of_rejected, source.files))
        try:
            facts = read_facts(task_of(source))  # the disk may have been away, and is not now
        except Rejected as rejection:
            rejection.content = content
            raise
    (folder / FACTS_FILE).write_text(json.dumps(facts))


def _content_of_rejected(uri: str) -> str:
    """Hash of the file; empty if it must not be opened. FFmpeg reports what the disk does not give as the end of the file.

    Raises:
        EnvironmentFault: it cannot be read to its end: that is no fault of the clip. One that must not be opened at all, or a
            link that points nowhere, is part of the corpus as it is.
    """
    try:
        return sha256_of(local_file(uri))
    except (PermissionError, IsADirectoryError):
        return ""
    except OSError as error:
        if isinstance(error, FileNotFoundError) and os.path.islink(uri):
            return ""
        raise EnvironmentFault(f"{Place(uri)}: {error.strerror}") from error


def read_facts(task: Task) -> dict[str, Any]:
    """The clip's hash and what its headers say; a part's length and crop are settled here.

    Returns:
        ``sha256``, those of the two files, ``part_end_s``, ``part_crop_px`` and the fields of ``MediaInfo``.

    Raises:
        Rejected: ``empty_file``, ``not_media``, ``unreadable``, ``no_video``; of a sound file also ``no_audio``; of a part
            ``truncated`` (it ends beyond the file) or ``error`` (its crop leaves the picture).
    """
    file = local_file(task.path)
    info = _header(file, None if task.audio else task.audio_track)
    if not info.has_video:
        raise Rejected("no_video", f"sound only ({info.audio_codec})")
    video_sha256, audio_sha256 = sha256_of(file), ""
    hashes = [video_sha256]
    if task.audio:
        sound_file = local_file(task.audio)
        sound = _header(sound_file, task.audio_track)
        if not sound.has_audio:
            raise Rejected("no_audio", f"{sound_file}: a picture only ({sound.video_codec})")
        info = dataclasses.replace(
            info, has_audio=True, audio_codec=sound.audio_codec, audio_hz=sound.audio_hz, audio_channels=sound.audio_channels,
            audio_start_s=sound.audio_start_s, audio_tracks=sound.audio_tracks,
        )  # fmt: skip
        audio_sha256 = sha256_of(sound_file)
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


def _header(file: LocalFile, audio_track: int | None) -> MediaInfo:
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
        raise Rejected("truncated", f"the part ends at {last_s:g} s, the file at {file_s:.2f} s", file_s, last_s)
    end_s = float(min(file_s, np.inf if end_s is None else end_s))
    if not np.isfinite(end_s):
        raise Rejected("error", "a part to the end of a file whose header gives no duration")
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
            "error", f"crop {x0},{y0} to {x1},{y1} leaves the picture of {info.width}x{info.height} "
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


def located_clip(clip: Clip, context: Context) -> Clip:
    """The row with whole paths, as whatever opens the files needs it."""
    return located(clip, context.raw, "path", "audio_path")


def _unit(source: Source, states: Sequence[object], raw: Place) -> Unit:
    """The unit of a clip; its key goes by the state of the clip's files, or, if those are verified, by their content."""
    return Unit(source.clip_id, content_hash(dataclasses.astuple(task_of(source)), states), Found(source, raw), cost_s=0.05)


def _state(place: Place) -> tuple[int, ...]:
    """Size and times of a file; of a link that points nowhere its own; empty if there is nothing: ``probe_file`` says so."""
    if place.is_remote:
        info = place.info()
        return (info.size, info.mtime_ns) if info.is_file else ()
    for status_of in (os.stat, os.lstat):
        with contextlib.suppress(OSError):
            status = status_of(place)
            return status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return ()


def _content(place: Place) -> str:
    """Hash of a file's content; empty if it cannot be read: ``probe_file`` says why."""
    with contextlib.suppress(OSError):
        return place.sha256()
    return ""


def prepare(context: Context) -> dict[str, str]:
    """List the corpus and put what each shard gets where the workers find it.

    Of a million clips the list fills half a gigabyte, so nothing else is held beside it: what goes to a shard is written line by
    line, and the list shrinks from shard to shard.
    """
    params = context.params
    listing = list_sources(params.data.reader, context.raw)
    if listing.ignored:
        logger.info("belong to no clip: %s", ", ".join(f"{n} {suffix}" for suffix, n in sorted(listing.ignored.items())))
    _warn(listing, params)
    shards: list[list[Source]] = [[] for _ in range(context.parts)]
    for source in listing.sources:
        shards[shard_of(source.clip_id, context.parts)].append(source)
    n_clips, heard = len(listing.sources), _utterances_by_shard(context)
    del listing
    with TemporaryDirectory(prefix="space-listing-") as folder, _verify_bar(params, n_clips) as advance:
        file = Path(folder) / LISTING_FILE
        for part in range(context.parts):
            sources, shards[part] = shards[part], []
            with file.open("w") as lines:
                lines.write(f"{json.dumps([vars(utterance) for utterance in heard[part]])}\n")
                for source, contents in zip(sources, _contents(sources, context, advance), strict=True):
                    values = [getattr(with_audio_track(source, params.data.audio_track), name) for name in SOURCE_FIELDS]
                    lines.write(f"{json.dumps([values, contents])}\n")
            (pack_folder(context, STAGE.name, part) / LISTING_FILE).put(file)
    return {}


def _utterances_by_shard(context: Context) -> list[list[Utterance]]:
    shards: list[list[Utterance]] = [[] for _ in range(context.parts)]
    for u in list_utterances(context.params.data.reader, context.raw):
        audio_sha256, track_sha256 = (context.raw / u.audio).sha256(), (context.raw / u.track).sha256()
        hashed = dataclasses.replace(u, audio_sha256=audio_sha256, track_sha256=track_sha256)
        shards[shard_of(u.clip_id, context.parts)].append(hashed)
    return shards


def _listed(context: Context, part: int) -> Iterator[Any]:
    """What ``prepare`` has left for a shard: its utterances, then of each clip the source's fields and its files' hashes."""
    content = (pack_folder(context, STAGE.name, part) / LISTING_FILE).read()
    return map(json.loads, content.splitlines())


def items(context: Context, part: int) -> Iterator[Unit]:
    """The clips of one shard."""
    for values, contents in islice(_listed(context, part), 1, None):
        for field in TUPLE_FIELDS:
            values[field] = tuple(values[field])
        source = Source(*values)
        states = [contents.get(path) or _state(context.raw / path) for path in source.files]
        yield _unit(source, states, context.raw)


def utterances(context: Context, part: int) -> dict[str, list[Utterance]]:
    """The utterances of one shard: nothing is to be found out about them."""
    return {"utterances": [Utterance(**values) for values in next(_listed(context, part))]}


def finish(unit: Unit, files: Files, context: Context) -> Made:
    """The clip's row, from its labels and the file's facts."""
    row = clip_row(unit.value.source, json.loads(files(FACTS_FILE) or b"{}"), context.params.data.splits)
    return Made({"clips": [row]}, ledger_rows(STAGE.name, [Outcome(unit.unit_id, content=row.sha256)]))


STAGE = Stage(
    "ingest", probe_file, {}, items, prepare=prepare, derived={"clips": Clip, "utterances": Utterance}, finish=finish,
    given=utterances,
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the tables ``clips`` and ``utterances`` and the stage's ledger."""
    run_stage(STAGE, params, layout)


def with_audio_track(source: Source, track: int | None) -> Source:
    """The clip with sound track number ``track``, unless its labels choose one."""
    return source if track is None or source.audio_track is not None else dataclasses.replace(source, audio_track=track)


def _verify_bar(params: Params, n_clips: int) -> AbstractContextManager[Callable[[], None]]:
    """The bar of ``data.verify``; without that nothing is read, and none is shown."""
    return progress.bar("verify", n_clips) if params.data.verify else nullcontext(lambda: None)


def _contents(sources: Sequence[Source], context: Context, advance: Callable[[], None]) -> Iterator[dict[str, str]]:
    """Per clip the hashes of its files by their names, if ``data.verify`` asks for them; hashing releases the interpreter, so
    threads do."""
    if not context.params.data.verify:
        yield from repeat({}, len(sources))
        return
    with ThreadPoolExecutor(context.params.job.processes) as pool:
        for some in (sources[first : first + HASHED_AT_ONCE] for first in range(0, len(sources), HASHED_AT_ONCE)):
            paths = {path for source in some for path in source.files}  # clips may share a file
            hashes = dict(zip(paths, pool.map(lambda path: _content(context.raw / path), paths), strict=True))
            for source in some:
                advance()
                yield {path: hashes[path] for path in source.files}


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


