"""``space calibrate``: the videos of a folder, seen and heard as S2L does, and what fitting it to them is worth."""

import logging
from pathlib import Path

from rich.table import Table

from pipelines.readers.listing import VIDEO_SUFFIXES
from space_data import progress
from space_data.errors import SpaceError
from space_data.files import make_folder
from space_data.params import Params
from space_models.animate import check_output
from space_models.motion import load_motion_models
from space_models.s2l.calibrate import Calibration, Take, calibrate, save_calibration
from space_models.s2l.own_clips import read_own_clip, shipped_scorer

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"
FIGURES = {
    "lmd_mouth": "mouth distance (LMD), IOD", "lvd_mouth": "mouth velocity distance (LVD), IOD", "lip_gap_r": "lip gap r",
    "lip_width_r": "lip width r", "lip_velocity_r": "lip velocity r", "lip_gap_sd_ratio": "lip gap s.d. / real",
    "closed_share": "frames with closed lips", "closed_share_measured": "  the same, real", "closure_f1": "closure F1",
}  # fmt: skip


def calibrate_folder(source: Path, out: Path, params: Params, models: Path) -> Calibration:
    """Fit the S2L in ``models`` to the videos in ``source`` and write ``out``.

    Raises:
        SpaceError: no folder, no usable video in it, too little speech, or an output that cannot be written.
    """
    check_output(out, SUFFIX)
    if not source.is_dir():
        raise SpaceError(f"{source}: no such folder")
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    loaded, scorer, takes = load_motion_models(models, params), shipped_scorer(), []
    for path in progress.track(paths, "clips", len(paths)):
        try:
            clip = read_own_clip(path, scorer)
        except SpaceError as error:
            logger.warning("left out: %s", error)
            continue
        takes.append(Take(clip.name, clip.normalised, loaded.encoder.encode(clip.audio), clip.speaking, ~clip.interpolated))
    if not takes:
        raise SpaceError(f"{source}: no usable video among {len(paths)} files (need a face and sound, 1.5 s or more)")
    calibration = calibrate(loaded.s2l, takes)
    make_folder(out.parent)
    save_calibration(out, calibration)
    return calibration


def table_of(calibration: Calibration) -> Table:
    """Figures before and after, on clips that were left out."""
    table = Table("on clips that were left out", "before", "after")
    for name, words in FIGURES.items():
        table.add_row(words, *(f"{calibration.figures[when][name]:.3f}" for when in ("before", "after")))
    return table
