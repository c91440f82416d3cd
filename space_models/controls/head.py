"""Where head motion comes from: nowhere, the speech, or a file. All give offsets (T, 6) against the photo's pose."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.params import Animate, Warp
from space_data.timebase import frame_start_s
from space_models.posegen.pose import N_POSE, POSE_COLUMNS

if TYPE_CHECKING:
    from space_models.posegen.model import PoseGen  # torch's import is for those who generate

Array = NDArray[np.float32]

STILL, GENERATED = "still", "generated"
TRAVEL_LIMIT_IOD, SCALE_LIMIT = 0.15, 0.06
"""How far generated motion may move the head: a portrait has nothing to show where the head leaves."""
ANGLES, EXTRAS = ("yaw_deg", "pitch_deg", "roll_deg"), {"x_iod": 0.0, "y_iod": 0.0, "scale": 1.0}
MOST_DEG, MOST_TRAVEL_IOD, SCALES = 90.0, 0.5, (0.5, 2.0)
TABLES = (".csv", ".parquet")


def generated(posegen: "PoseGen", log_mel: Array, seed: int, settings: Animate, limits: Warp, strength: float | None) -> Array:
    """PoseGen's motion for speech (T, 160), (T, 6)."""
    from space_models.posegen.stream import generate

    used = settings.pose_strength if strength is None else strength
    return generate(posegen, log_mel, np.random.default_rng([seed, 0]), generated_bounds(limits), used)


def generated_bounds(limits: Warp) -> NDArray[np.float64]:
    """Largest absolute offset per column, (6,)."""
    angles = limits.max_yaw_deg, limits.max_pitch_deg, limits.max_roll_deg
    return np.array([*angles, TRAVEL_LIMIT_IOD, TRAVEL_LIMIT_IOD, SCALE_LIMIT])


def parse_offset(text: str) -> tuple[float, float, float]:
    """``YAW,PITCH,ROLL`` in degrees.

    Raises:
        SpaceError: not three numbers.
    """
    try:
        yaw, pitch, roll = (float(part) for part in text.split(","))
    except ValueError:
        raise SpaceError(f"pose offset {text!r}: need YAW,PITCH,ROLL in degrees, as in 0,-5,0") from None
    return yaw, pitch, roll


def read_pose_file(path: Path, n_frames: int) -> Array:
    """Offsets (n_frames, 6) of a CSV or Parquet file with ``time_s``, the three angles and, if wanted, ``x_iod``, ``y_iod`` and
    ``scale`` (1 = as in the photo); or of a file that ``--tracks`` wrote. Linear between its rows, held at its ends.

    Raises:
        SpaceError: not such a file; columns are missing, times do not increase, or a value is no number or out of range.
    """
    kind, read_file = ("Parquet", pq.read_table) if path.suffix.lower() == ".parquet" else ("CSV", pa.csv.read_csv)
    try:
        table = read_file(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise SpaceError(f"{path}: not a readable {kind} file ({' '.join(str(error).split())[:200]})") from error
    if not len(table):
        raise SpaceError(f"{path}: no rows in it")
    if "pose" in table.column_names and "time_s" in table.column_names:
        columns = np.array(table.column("pose").to_pylist(), np.float64)
        if columns.shape != (len(table), N_POSE):
            raise SpaceError(f"{path}: column pose of shape {columns.shape}, need ({len(table)}, {N_POSE})")
        times_s = _numbers(path, table, "time_s")
    else:
        missing = [name for name in ("time_s", *ANGLES) if name not in table.column_names]
        if missing:
            raise SpaceError(
                f"{path}: no column {', '.join(missing)} (has {', '.join(table.column_names)[:200]}; need time_s, "
                f"{', '.join(ANGLES)} and, if wanted, {', '.join(EXTRAS)})"
            )
        times_s = _numbers(path, table, "time_s")
        read = {
            name: _numbers(path, table, name) if name in table.column_names else np.full(len(table), EXTRAS[name])
            for name in (*ANGLES, *EXTRAS)
        }
        _check_range(path, "scale", read["scale"], *SCALES)
        columns = np.stack([*(read[name] for name in (*ANGLES, "x_iod", "y_iod")), np.log(read["scale"])], 1)
    for name, column in zip(POSE_COLUMNS, columns.T, strict=True):
        most = MOST_DEG if name in ANGLES else MOST_TRAVEL_IOD if name != "log_scale" else float(np.log(SCALES[1]))
        _check_range(path, name, column, -most - 1e-6, most + 1e-6)
    if (np.diff(times_s) <= 0).any():
        row = int(np.flatnonzero(np.diff(times_s) <= 0)[0]) + 1
        raise SpaceError(f"{path}: time_s of row {row + 1} is {times_s[row]:g}, after {times_s[row - 1]:g}; times must increase")
    at_s = [frame_start_s(i) for i in range(n_frames)]
    return np.stack([np.interp(at_s, times_s, column) for column in columns.T], 1).astype(np.float32)


def _numbers(path: Path, table: pa.Table, name: str) -> NDArray[np.float64]:
    try:
        column = np.asarray(pc.cast(table.column(name), pa.float64()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SpaceError(f"{path}: column {name} holds {table.schema.field(name).type}, need numbers ({error})") from error
    if not np.isfinite(column).all():
        raise SpaceError(f"{path}: {name} of row {int(np.flatnonzero(~np.isfinite(column))[0]) + 1} is no number")
    return column


def _check_range(path: Path, name: str, column: NDArray[np.float64], low: float, high: float) -> None:
    outside = (column < low) | (column > high) | ~np.isfinite(column)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise SpaceError(f"{path}: {name} of row {row + 1} is {column[row]:g}, need {low:.3g} to {high:.3g}")
