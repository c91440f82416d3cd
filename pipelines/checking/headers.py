"""What ``space data check --probe`` reads: the headers of every clip's files, compared with each other and with annotations."""

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from pipelines.job.pool import Answer, Died, IsolatedPool, TimedOut
from pipelines.job.serve import FROM_OUTSIDE
from pipelines.job.unit import EnvironmentFault, FunctionName
from pipelines.job.worker import Raised, Returned
from pipelines.readers.listing import PART_SLACK_S, Finding, Source
from pipelines.readers.voxceleb2 import annotated_frames
from space_data import progress
from space_data.media.container import MediaError
from space_data.media.probe import MediaInfo, probe, stream_lengths
from space_data.store import Place, local_file
from space_data.timebase import VIDEO_FPS

LENGTH_TOLERANCE_S = 0.2
"""Between sound and picture; MEAD's sound is up to 0.04 s shorter, and coded sound is padded to its frames."""
AAC_FRAME_SAMPLES = 1024
PROBE_LIMIT_S = 60.0
PROBE_MEMORY_GB = 4.0
QUEUED_PER_WORKER = 8


@dataclass(frozen=True)
class Probed:
    """What the headers of one clip's files say."""

    seconds: float
    findings: list[Finding]


def probe_all(reader: str, root: Place, sources: list[Source], workers: int) -> list[Probed]:
    """Open the files of every clip, each in a process that may die of it.

    Raises:
        EnvironmentFault: no process can be had, or one was killed from outside: that says nothing of the file.
    """
    pool = IsolatedPool(FunctionName("pipelines.checking.headers", "probe_clip"), workers, PROBE_MEMORY_GB)
    waiting: deque[tuple[Source, Future[Answer]]] = deque()
    probed = []
    try:
        for source in progress.track(sources, "headers"):
            waiting.append((source, pool.submit(reader, root, source, limit_s=PROBE_LIMIT_S)))
            if len(waiting) > QUEUED_PER_WORKER * workers:
                first, answer = waiting.popleft()
                probed.append(_probed(first, answer.result()))
        probed += [_probed(last, answer.result()) for last, answer in waiting]
    except (RuntimeError, OSError) as error:  # what the pool says where no worker starts
        raise EnvironmentFault(f"{root}: cannot be probed: {error}") from error
    finally:
        pool.close()
    return probed


def _probed(source: Source, answer: Answer) -> Probed:
    match answer:
        case Returned(value, _):
            return value
        case Raised(trace):
            detail = trace.strip().splitlines()[-1]
        case Died(exit_code, _) if exit_code in FROM_OUTSIDE:
            raise EnvironmentFault(f"{source.path}: the process that opened it was killed ({FROM_OUTSIDE[exit_code]})")
        case Died(exit_code, _):
            detail = f"the process that opened it died (exit code {exit_code})"
        case TimedOut(limit_s):
            detail = f"opening it took longer than {limit_s:g} s"
    return Probed(0.0, [Finding("unreadable", source.path, detail)])


def probe_clip(reader: str, root: Place, source: Source) -> Probed:
    """In a worker: open one clip's files and compare what their headers say."""
    path = source.path
    try:
        video_file = local_file((root / path).uri)
        info, (video_s, audio_s) = probe(video_file), stream_lengths(video_file)
        sound = info
        if source.audio:
            sound_file = local_file((root / source.audio).uri)
            sound, (_, audio_s) = probe(sound_file), stream_lengths(sound_file)
    except MediaError as error:
        return Probed(0.0, [Finding("unreadable", path, str(error))])
    findings = []
    if not info.has_video:
        findings.append(Finding("unreadable", path, f"no video stream (sound only: {info.audio_codec})"))
    if not sound.has_audio:
        findings.append(Finding("unmatched", source.audio or path, "no sound in it"))
    length_s = video_s or info.duration_s
    start_s, end_s = source.part_s
    if end_s is not None and end_s > length_s + PART_SLACK_S:
        detail = f"the part ends at {end_s:g} s, the video at {length_s:.2f} s"
        findings.append(Finding("truncated", source.clip_id, detail))
    if video_s is not None and audio_s is not None and abs(audio_s - video_s) > LENGTH_TOLERANCE_S:
        findings.append(Finding("length_mismatch", path, f"{audio_s:.3f} s of sound, {video_s:.3f} s of picture"))
    if source.part_crop_height_px not in (0, info.height):
        detail = f"{info.height} lines, the crop was made for {source.part_crop_height_px} (it is scaled)"
        findings.append(Finding("size_mismatch", source.clip_id, detail))
    if reader == "voxceleb2":
        findings += _against_annotation(root / path, path, info, sound, audio_s)
    return Probed(max(0.0, (length_s if end_s is None else min(end_s, length_s)) - start_s), findings)


def _against_annotation(video: Place, path: str, info: MediaInfo, sound: MediaInfo, audio_s: float | None) -> list[Finding]:
    """VoxCeleb2: as many frames as annotated rows, and as much sound, to a frame (and to the coder's own frame).

    The rules are those by which SyncNet's trainer (joonson/syncnet_trainer) leaves files out; it sees wav files, hence the
    coder's frame. Frames are counted by their packets; ``measure`` compares that with what decodes.
    """
    findings = []
    rows = annotated_frames(video)
    if rows is not None and info.shown_frames and rows != info.shown_frames:
        findings.append(Finding("frame_mismatch", path, f"{info.shown_frames} frames, {rows} annotated rows"))
    if audio_s is not None and info.shown_frames:
        padding_s = 0.0 if sound.audio_codec.startswith("pcm") else AAC_FRAME_SAMPLES / sound.audio_hz
        sound_frames = audio_s * VIDEO_FPS
        if abs(sound_frames - info.shown_frames) > 1 + padding_s * VIDEO_FPS:
            findings.append(Finding("frame_mismatch", path, f"{info.shown_frames} frames, sound for {sound_frames:.1f}"))
    return findings
