"""``space benchmark export``: what a system needs to render a test list anywhere, with hashes."""

import csv
from itertools import islice
from pathlib import Path

import numpy as np

from evaluation.folders import new_folder
from evaluation.lists.clip_list import Chosen, Resolved, freeze, write_list
from evaluation.systems import first_frame
from pipelines.benchmark.rows import CANONICAL_SUFFIX
from pipelines.layout import Layout
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import atomic_file, file_stems, make_folder, sha256_of
from space_data.media.encode import write_video, write_wav
from space_data.media.images import write_image
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.schema import FeatureFrame
from space_data.tables import by_clip, read_arrow, vectors
from space_data.timebase import VIDEO_FPS, fit_samples
from space_models.animate import PICTURE_CRF

MANIFEST = "manifest.csv"
PARTS = {"portrait": ".png", "sound": ".wav", "pose": ".pose.csv", "video": ".recording.mp4"}
"""Columns of the manifest that name files, and the files' suffixes."""
COLUMNS = ("clip_id", *PARTS, "frames", "fps", *(f"{part}_sha256" for part in PARTS))
POSE_COLUMNS = ("frame", "yaw_deg", "pitch_deg", "roll_deg", "scale_px", "x_px", "y_px", "z_px")
README = """Test list {label}: {clips} clips of {identities} identities; hashes of all files in manifest.csv.

portrait  PNG: the first frame of the recording
sound     16 kHz mono, exactly frames / fps seconds; it alone drives the lips
pose      the recorded head's angles, size and place, for systems that are given head motion
video     the recording without sound, for systems that take head motion from video (it shows the lips: say so in the card)

Make FOLDER/<clip_id>.mp4 (or another container) for every clip, at {fps} frames per second or any other rate, with the sound or
without.
Then: space benchmark add NAME FOLDER --card CARD.yaml --list {name}
"""


def export(out: Path, listed: Resolved, layout: Layout) -> Path:
    """Write ``out/manifest.csv`` and, per clip, portrait, sound, pose and recording; returns the manifest.

    All of it or nothing: interrupted, or on a full disk, nothing is left of it.

    Raises:
        SpaceError: ``out`` holds files already, or a clip has no features.
    """
    ids = [one.clip.clip_id for one in listed.chosen]
    stems = file_stems(ids, *PARTS.values(), CANONICAL_SUFFIX)
    tracks = poses(ids, layout)
    if missing := [clip_id for clip_id in ids if clip_id not in tracks]:
        raise SpaceError(f"clip {missing[0]}: aligned, but without features (tables of two runs? run `dvc repro`)")
    with new_folder(out) as part:
        shown = progress.track(listed.chosen, "export")
        rows = [_write(one, stems[one.clip.clip_id], tracks[one.clip.clip_id], part) for one in shown]
        with (part / MANIFEST).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        write_list(part / "list.yaml", freeze(listed.name, f"as exported, {listed.label}", listed))
        facts = {"label": listed.label, "name": listed.name, "clips": len(rows), "identities": listed.identities}
        (part / "README.txt").write_text(README.format(**facts, fps=VIDEO_FPS))
    return out / MANIFEST


def poses(ids: list[str], layout: Layout) -> dict[str, np.ndarray]:
    """(T, 7) by clip id, in pixels of the aligned picture."""
    table = read_arrow(layout.feature_frames, FeatureFrame, ["clip_id", "frame", "pose"], ids)
    return {clip_id: vectors(rows, "pose") for clip_id, rows in by_clip(table)}


def _write(one: Chosen, stem: str, pose: np.ndarray, out: Path) -> dict[str, object]:
    files = {part: out / f"{stem}{suffix}" for part, suffix in PARTS.items()}
    make_folder(files["portrait"].parent)
    write_image(files["portrait"], first_frame(Path(one.clip.video)))
    write_wav(files["sound"], fit_samples(decode_audio(one.clip.audio), one.n_frames))
    write_video(files["video"], islice((frame.rgb for frame in decode_video(one.clip.video)), one.n_frames), crf=PICTURE_CRF)
    write_pose(files["pose"], pose[: one.n_frames])
    return {
        "clip_id": one.clip.clip_id, **{part: path.relative_to(out).as_posix() for part, path in files.items()},
        "frames": one.n_frames, "fps": VIDEO_FPS, **{f"{part}_sha256": sha256_of(path) for part, path in files.items()},
    }  # fmt: skip


def write_pose(path: Path, pose: np.ndarray) -> None:
    """A head track (T, 7) as CSV."""
    with atomic_file(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(POSE_COLUMNS)
        writer.writerows([i, *(f"{value:.4f}" for value in row)] for i, row in enumerate(pose))
