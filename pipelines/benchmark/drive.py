"""``space benchmark run``: drive an installed system through a test list; its videos then go the way of ``add``."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

import numpy as np

from evaluation.canonical import Framing
from evaluation.external.adapters import ADAPTERS
from evaluation.external.card import Card, Program
from evaluation.external.coverage import COVERAGES, Padding, padding
from evaluation.external.drive import LOG_FILE, check_installed, private_copy, record_of, run_program
from evaluation.lists.clip_list import Chosen, Resolved
from evaluation.reasons import NotCanonical
from evaluation.systems import OURS, first_frame
from evaluation.verdict import Verdict
from pipelines.benchmark.add import add, check_name
from pipelines.benchmark.clips import synthesized_clips
from pipelines.benchmark.export import poses, write_pose
from pipelines.benchmark.rows import CANONICAL_SUFFIX, copied
from pipelines.job.unit import content_hash
from pipelines.layout import Layout
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import atomic_file, file_stems
from space_data.media.encode import write_video, write_wav
from space_data.media.images import write_image
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Params
from space_data.schema import KEPT, SynthesizedClip
from space_data.tables import has_table
from space_data.timebase import fit_samples, frames_to_samples
from space_models.animate import PICTURE_CRF

RECORD_FILE = "run.json"
KEY_CHARACTERS = 16
INPUT_FILES = {
    "portrait": "portrait.png", "audio": "speech.wav", "pose": "pose.csv", "recording": "recording.mp4",
    "portrait_video": "portrait.mp4", "driving": "driving.mp4",
}  # fmt: skip
"""By the card's placeholder: plain names, from which programs make those of their videos."""


@dataclass(frozen=True)
class Driver:
    """What a run needs to know of a system, and of the clips' other inputs."""

    program: Program
    checkout: Path
    poses: dict[str, np.ndarray]
    driving: dict[str, Path]
    """our first system's videos, by clip id"""


def run(name: str, card: Card, checkouts: Path, listed: Resolved, params: Params, layout: Layout) -> list[SynthesizedClip]:
    """Render every clip of the list, one after the other, and add the videos. Interrupted, it goes on where it was.

    Raises:
        SpaceError: the card has no program; the system is not installed; our own videos are missing that it is driven by.
    """
    check_name(name)
    if card.program is None:
        raise SpaceError(f"{name}: its card names no program to run (make the videos yourself, then `space benchmark add`)")
    program, checkout = card.program, (checkouts / card.program.checkout).absolute()
    check_installed(name, program, checkout)
    record = record_of(program, checkout)
    ids = [one.clip.clip_id for one in listed.chosen]
    driver = Driver(program, checkout, poses(ids, layout), _driving(program, ids, layout))
    key = content_hash(card.model_dump(mode="json"), record, listed.label)[:KEY_CHARACTERS]
    folder = layout.cache.local() / "benchmark_run" / name / key
    stems = file_stems(ids, ".mp4", CANONICAL_SUFFIX)
    framings: dict[str, Framing] = {}
    failures: dict[str, Verdict] = {}
    runs: dict[str, object] = {}
    for one in progress.track(listed.chosen, f"run {name}"):
        clip_id = one.clip.clip_id
        pad = padding(COVERAGES[program.padding], one.n_frames)
        framings[clip_id] = card.framing(pad.skipped, pad.behind)
        try:
            runs[clip_id] = drive_clip(driver, one, pad, folder, stems[clip_id])
        except NotCanonical as refusal:
            failures[clip_id] = Verdict(refusal.reason, refusal.detail)
            runs[clip_id] = {"reason": refusal.reason, "detail": refusal.detail}
    folder.mkdir(parents=True, exist_ok=True)
    rows = add(name, folder, card, listed, params, layout, framings, failures)
    facts = {"system": name, "test_list": listed.label, "licence": card.licence, **record, "clips": runs}
    with atomic_file(layout.external / name / RECORD_FILE) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n")
    return rows


def drive_clip(driver: Driver, one: Chosen, pad: Padding, folder: Path, stem: str) -> dict[str, object]:
    """One clip: its video in ``folder``, and what is to be remembered of the run.

    Raises:
        NotCanonical: no video came of it.
    """
    kept = folder / f"{stem}.json"
    if kept.is_file():
        return json.loads(kept.read_text())
    with _work_folder() as work:
        copy, inputs = work / "copy", work / "inputs"
        private_copy(driver.checkout, copy)
        inputs.mkdir()
        places = _inputs(driver, one, pad, inputs) | {"folder": work / "made", "out": work / "made" / "out.mp4", "checkout": copy}
        places["folder"].mkdir()
        if driver.program.adapter:
            ADAPTERS[driver.program.adapter](copy, places, pad.before, pad.before + one.n_frames + pad.behind)
        try:
            made = run_program(driver.program, copy, places)
        finally:
            _keep_log(work / LOG_FILE, folder / f"{stem}.log")
        target = folder / f"{stem}{made.video.suffix}"
        copied(made.video, target)
    facts: dict[str, object] = {"seconds": round(made.seconds, 2), "padding_frames": [pad.before, pad.behind]}
    with atomic_file(kept) as part:  # by which a later run knows that this clip is done
        part.write_text(json.dumps(facts))
    return facts


def _inputs(driver: Driver, one: Chosen, pad: Padding, folder: Path) -> dict[str, Path]:
    """The files that the card's placeholders stand for, under plain names."""
    clip, n_frames = one.clip, one.n_frames
    places = {name: folder / file for name, file in INPUT_FILES.items()}
    wanted = " ".join([*driver.program.arguments, *driver.program.files.values(), driver.program.adapter])
    portrait = first_frame(Path(clip.video))
    write_image(places["portrait"], portrait)
    write_wav(places["audio"], padded(fit_samples(decode_audio(clip.audio), n_frames), pad))
    write_pose(places["pose"], driver.poses[clip.clip_id][:n_frames])
    if "{recording}" in wanted or driver.program.adapter:
        recorded = islice((frame.rgb for frame in decode_video(clip.video)), n_frames)
        write_video(places["recording"], recorded, crf=PICTURE_CRF)
    if "{portrait_video}" in wanted:
        write_video(places["portrait_video"], repeat(portrait, pad.before + n_frames + pad.behind), crf=PICTURE_CRF)
    if "{driving}" in wanted:
        shutil.copyfile(driver.driving[clip.clip_id], places["driving"])
    return places


def padded(speech: np.ndarray, pad: Padding) -> np.ndarray:
    """Sound (samples,) with silence before and behind."""
    return np.pad(speech, (frames_to_samples(pad.before), frames_to_samples(pad.behind)))


def _driving(program: Program, ids: list[str], layout: Layout) -> dict[str, Path]:
    """Our first system's videos, where the program is driven by them."""
    if "{driving}" not in " ".join(program.arguments):
        return {}
    rows = synthesized_clips(layout) if has_table(layout.synthesized_clips) else []
    found = {row.clip_id: Path(row.native_video) for row in rows if row.system == OURS[0] and row.status == KEPT}
    missing = [clip_id for clip_id in ids if clip_id not in found]
    if missing:
        raise SpaceError(f"{len(missing)} clips without a video of {OURS[0]}, first {missing[0]} (run `dvc repro synthesize`)")
    return found


@contextmanager
def _work_folder() -> Iterator[Path]:
    """A private folder without a dot in its path."""
    with tempfile.TemporaryDirectory(prefix="space_run_", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _keep_log(log: Path, target: Path) -> None:
    if log.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, target)
