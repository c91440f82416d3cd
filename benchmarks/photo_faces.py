"""Lists of pictures -> aligned faces in one file, which ``photo_fit`` and ``photo_roc`` read.

    python -m benchmarks.photo_faces LISTS... --out faces.npz

A list is a CSV with the columns ``path,label,kind,source`` and, where known, ``group``: ``label`` is 1 for a photographed person
and 0 for anything else; ``kind`` says what (photo, anime, painting, ...); ``source`` is where the picture comes from: the
cross-validation never has one source on both sides; ``group`` is what errors are compared over (skin, age, glasses, ...), several
separated by spaces. Paths are relative to the list. One face a picture: the most prominent one. Where ``PICTURE.mesh.npy`` lies
beside a picture, (478, 3) in its pixels, it is taken instead of running the detector.
"""

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.facemesh import mesh_of_image
from space_data.photographed import FACE_MARGIN, INPUT_PX, aligned_face
from space_data.progress import track

WIDE_PX = 112
WIDE_MARGIN = 1.5
"""The wide square leaves the augmentation room to shift, turn and scale; the scorer itself sees INPUT_PX at FACE_MARGIN."""
COLUMNS = ("path", "label", "kind", "source")


@dataclass(frozen=True)
class Faces:
    """N faces: ``tight`` (N, 64, 64, 3), ``wide`` (N, 112, 112, 3), ``label`` (N,) 0 or 1, ``face_px`` (N,), and texts (N,)."""

    tight: NDArray[np.uint8]
    wide: NDArray[np.uint8]
    label: NDArray[np.int64]
    face_px: NDArray[np.float32]
    kind: NDArray[np.str_]
    source: NDArray[np.str_]
    group: NDArray[np.str_]
    path: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.label)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Faces":
        """The faces of a mask or of indices."""
        return Faces(**{name: getattr(self, name)[chosen] for name in self.__dataclass_fields__})

    def save(self, path: Path) -> None:
        """Write one .npz."""
        np.savez(path, **{name: getattr(self, name) for name in self.__dataclass_fields__})

    @staticmethod
    def load(path: Path) -> "Faces":
        """Inverse of ``save``."""
        with np.load(path) as arrays:
            return Faces(**{name: arrays[name] for name in Faces.__dataclass_fields__})


def read_list(path: Path) -> list[dict[str, str]]:
    """Rows of a list, paths made absolute. Raises SpaceError when columns are missing or a label is not 0 or 1."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, start=2):
        if missing := [name for name in COLUMNS if not row.get(name)]:
            raise SpaceError(f"{path}, line {number}: no {', '.join(missing)} (columns needed: {', '.join(COLUMNS)})")
        if row["label"] not in ("0", "1"):
            raise SpaceError(f"{path}, line {number}: label {row['label']!r}, 0 or 1 needed (1 = a photographed person)")
        row["path"] = str(path.parent / row["path"])
    return rows


def collect(rows: Sequence[dict[str, str]]) -> tuple[Faces, list[str]]:
    """The faces of the listed pictures, and the paths of those without one or that cannot be read."""
    found: list[tuple[NDArray[np.uint8], NDArray[np.uint8], float, dict[str, str]]] = []
    without = []
    for row in track(rows, "faces"):
        picture = cv2.imread(row["path"], cv2.IMREAD_COLOR)
        rgb = None if picture is None else np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        mesh = None if rgb is None else _mesh(Path(row["path"]), rgb)
        if rgb is None or mesh is None:
            without.append(row["path"])
            continue
        face_px = float(np.ptp(mesh[:, :2], axis=0).max())
        found.append((aligned_face(rgb, mesh), aligned_face(rgb, mesh, WIDE_PX, WIDE_MARGIN), face_px, row))
    if not found:
        raise SpaceError(f"no face in any of {len(rows)} pictures")
    texts = {name: np.array([row.get(name) or "" for *_, row in found]) for name in ("kind", "source", "group", "path")}
    faces = Faces(
        tight=np.stack([tight for tight, *_ in found]),
        wide=np.stack([wide for _, wide, *_ in found]),
        label=np.array([int(row["label"]) for *_, row in found]),
        face_px=np.array([face_px for *_, face_px, _ in found], np.float32),
        **texts,
    )
    return faces, without


def _mesh(path: Path, rgb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    beside = Path(f"{path}.mesh.npy")
    return np.load(beside) if beside.is_file() else mesh_of_image(rgb)


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    rows = [row for path in args.lists for row in read_list(path)]
    faces, without = collect(rows)
    faces.save(args.out)
    print(f"{len(faces)} faces of {len(rows)} pictures ({INPUT_PX} px at {FACE_MARGIN} of the box); {len(without)} without one")


if __name__ == "__main__":
    main()
