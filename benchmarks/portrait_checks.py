"""Does ``load_portrait`` find which way up a head is, and see covered mouths? The figures of ``docs/portraits.md``:

    python -m benchmarks.portrait_checks MEDIA_FOLDER [--out FOLDER]     # about 8 minutes of one core for 14 pictures, 16 clips

1. Angles: pictures and two frames a clip are turned by every 15 degrees, whole and cut close around the face. Right is a portrait
   with the head up, or a refusal that names the angle where no quarter turn brings the head up.
2. Covers: masks, hands and microphones are painted on all faces, in the colours that the thresholds were set on, and in others.
3. Upright pictures: with the rule for turned heads and without it they give the same portrait, byte for byte.

The folder holds pictures and clips of heads that stand upright. Where its ``MANIFEST.csv`` has the columns ``file,n_faces``, only
what has one face is turned; else all that is taken as it stands. ``--out`` gets ``covers.png``, painted faces with the verdicts.
Exit status 1 when a goal is missed.
"""

import argparse
import csv
import logging
import mimetypes
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.portrait_changes import Colour, close_up, covers, rotated, shrunk
from space_data.errors import SpaceError
from space_data.facemesh import face_finder
from space_data.media.container import RgbImage
from space_data.media.images import read_image, write_image
from space_data.media.video import decode_video
from space_models import portrait as portraits
from space_models.portrait import LARGEST_ROLL_DEG, Portrait, load_portrait

ANGLES_DEG = range(0, 360, 15)
TURNED_FRAMES = (20, 90)  # of each clip
SAME_ANGLE_DEG, MESH_ERROR_DEG = 20.0, 10.0  # a stated angle is right up to; near 30 degrees taking and refusing are both right
UPRIGHT_HZ = 1.5
WHOLE, CLOSE_UP, BARE = "whole", "close-up", "none"
TILE_PX, TILES = 112, 10
FONT = cv2.FONT_HERSHEY_SIMPLEX
GREEN, RED, GREY = (40, 200, 60), (230, 40, 40), (150, 150, 150)
LEAST_QUARTER_TURNS, LEAST_ANGLES, LARGEST_FALSE_ALARMS, LEAST_HITS, LEAST_UNCHANGED = 0.99, 0.98, 0.05, 0.6, 0.99

TURNED = re.compile(r"picture turned by (.*), head up")
TURNED_DEG = {"90 degrees to the left": 90, "180 degrees": 180, "90 degrees to the right": -90}
TILTED = re.compile(r"head tilted (\d+) degrees to the (left|right)")


@dataclass(frozen=True)
class Media:
    """A folder's pictures and clips that can be read."""

    folder: Path
    pictures: tuple[Path, ...]
    clips: tuple[Path, ...]


@dataclass(frozen=True)
class CoverSet:
    """Frames at a rate, and the masks painted on them."""

    name: str
    at_most_hz: float
    seed: int
    masks: dict[str, Colour]


COVER_SETS = (
    CoverSet("thresholds set here", 0.5, 1, {"blue": (150, 190, 215), "white": (230, 230, 228), "black": (28, 28, 30),
             "red": (150, 40, 45), "green": (70, 120, 90), "beige": (215, 180, 150)}),
    CoverSet("other frames and colours", 0.37, 77, {"navy": (35, 45, 90), "pink": (225, 160, 175), "grey": (130, 130, 132),
             "brown": (110, 75, 55), "cyan": (120, 200, 200)}),
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What ``load_portrait`` made of a picture: the portrait or the refusal, the quarter turn it took, and how far it says the
    head leans to the right in the picture as it was given (None: it does not say)."""

    portrait: Portrait | None
    refusal: str
    turned_deg: int
    lean_deg: float | None


@dataclass(frozen=True)
class Turned:
    """One turned picture: whether the detector finds the face as it is (asked of whole pictures), and the decision."""

    view: str
    name: str
    angle_deg: int
    is_detected: bool
    is_right: bool
    decision: str


@dataclass(frozen=True)
class Painted:
    """One painted face: refused, warned of, turned over? ``tile`` is a thumbnail."""

    name: str
    kind: str
    is_refused: bool
    is_warned: bool
    is_turned: bool
    tile: RgbImage


def answer(rgb: RgbImage) -> Answer:
    """Run ``load_portrait`` and read its warnings or its refusal."""
    try:
        portrait = load_portrait(rgb)
    except SpaceError as error:
        tilted = TILTED.search(str(error))
        lean_deg = float(tilted[1]) * (1 if tilted[2] == "right" else -1) if tilted else None
        return Answer(None, str(error), 0, lean_deg)
    turned_deg = sum(TURNED_DEG[found[1]] for warning in portrait.warnings if (found := TURNED.search(warning)))
    return Answer(portrait, "", turned_deg, wrapped(float(portrait.pose.roll_deg[0]) + turned_deg))


def wrapped(angle_deg: float) -> float:
    """The same angle in [-180, 180)."""
    return (angle_deg + 180) % 360 - 180


def readable(folder: Path, kind: str, read: Callable[[Path], object], console: Console) -> tuple[Path, ...]:
    """Files below a folder whose suffix says ``image`` or ``video`` and that ``read`` can read; the others are named."""
    found = []
    for path in sorted(folder.rglob("*")):
        if (mimetypes.guess_type(path.name)[0] or "").startswith(f"{kind}/"):
            try:
                read(path)
                found.append(path)
            except SpaceError as error:
                console.print(f"left out: {error}", soft_wrap=True)
    return tuple(found)


def shots(media: Media, at_most_hz: float) -> Iterator[tuple[str, RgbImage]]:
    """All pictures and frames with their names."""
    for path in media.pictures:
        yield path.name, read_image(path)
    for path in media.clips:
        for frame in decode_video(path, at_most_hz=at_most_hz):
            yield f"{path.name}@{frame.pts_s:.1f}s", frame.rgb


def single_faces(media: Media) -> Iterator[tuple[str, RgbImage]]:
    """Pictures and two frames a clip, those that the manifest, if there is one, says to show one face."""
    manifest = media.folder / "MANIFEST.csv"
    rows = csv.DictReader(manifest.read_text().splitlines()) if manifest.is_file() else []
    others = {row.get("file") for row in rows if row.get("n_faces", "1") != "1"}
    for path in media.pictures:
        if path.name not in others:
            yield path.name, shrunk(read_image(path))
    for path in media.clips:
        if path.name not in others:
            frames = enumerate(islice(decode_video(path), TURNED_FRAMES[-1] + 1))
            yield from ((f"{path.name}@{index}", shrunk(frame.rgb)) for index, frame in frames if index in TURNED_FRAMES)


def is_right(given: Answer, lean_deg: float) -> bool:
    """Whether a head that leans by ``lean_deg`` was brought upright, or refused with its angle where no quarter turn can."""
    if given.lean_deg is None or abs(wrapped(given.lean_deg - lean_deg)) >= SAME_ANGLE_DEG:
        return False
    if given.portrait:
        return abs(wrapped(lean_deg - given.turned_deg)) < LARGEST_ROLL_DEG + MESH_ERROR_DEG
    return abs(lean_deg - 90 * round(lean_deg / 90)) >= LARGEST_ROLL_DEG - MESH_ERROR_DEG


def turns(view: str, name: str, rgb: RgbImage, upright: Answer) -> list[Turned]:
    """One picture at all angles; none when it is refused as it stands, for another reason than its tilt."""
    if upright.portrait is None and upright.lean_deg is None:
        return []
    stands_deg = upright.lean_deg if upright.portrait and not upright.turned_deg and upright.lean_deg else 0.0
    found = []
    for angle_deg in ANGLES_DEG:
        turned = rotated(rgb, angle_deg)
        given = answer(turned) if angle_deg else upright
        decision = given.refusal or f"taken, turned by {given.turned_deg} degrees"
        right = is_right(given, wrapped(angle_deg + stands_deg))
        is_detected = view == WHOLE and bool(len(face_finder().boxes(turned)))
        found.append(Turned(view, name, angle_deg, is_detected, right, decision))
    return found


def check_angles(media: Media, console: Console) -> bool:
    """Part 1; whether its goals are met."""
    rows: list[Turned] = []
    for name, rgb in single_faces(media):
        upright = answer(rgb)
        rows += turns(WHOLE, name, rgb, upright)
        if upright.portrait and not upright.turned_deg:
            cut = close_up(rgb, upright.portrait)
            rows += turns(CLOSE_UP, name, cut, answer(cut))
    table = Table("turned by", "face found as it is", "right, whole", "right, close-up", title="1. Angles")
    groups = {f"{angle}": (angle,) for angle in ANGLES_DEG} | {"0, 90, 180, 270": range(0, 360, 90), "all": ANGLES_DEG}
    for label, angles in groups.items():
        whole, close = ([r for r in rows if r.view == view and r.angle_deg in angles] for view in (WHOLE, CLOSE_UP))
        rights = (f"{sum(r.is_right for r in of)} of {len(of)}" for of in (whole, close))
        table.add_row(label, f"{share(r.is_detected for r in whole):.2f}", *rights)
    console.print(table)
    for row in rows:
        if not row.is_right:
            console.print(f"wrong: {row.name} ({row.view}) turned by {row.angle_deg}: {row.decision}", soft_wrap=True)
    quarters = share(r.is_right for r in rows if r.angle_deg % 90 == 0)
    return met(console, "right at quarter turns", quarters, LEAST_QUARTER_TURNS) & met(
        console, "right at all angles", share(r.is_right for r in rows), LEAST_ANGLES
    )


def paint(media: Media, chosen: CoverSet) -> list[Painted]:
    """All faces, bare and with every cover, as ``load_portrait`` judges them."""
    found = []
    for index, (name, rgb) in enumerate(shots(media, chosen.at_most_hz)):
        bare = answer(rgb)
        if bare.portrait is None:
            continue
        found.append(painted(name, BARE, rgb, bare))
        rng = np.random.default_rng([chosen.seed, index])
        for kind, covered in covers(bare.portrait.rgb, bare.portrait.mesh, chosen.masks, rng):
            found.append(painted(name, kind, covered, answer(covered)))
    if not found:
        raise SpaceError(f"{media.folder}: no face in it that a portrait can be made of, need one (is it the right folder?)")
    return found


def painted(name: str, kind: str, rgb: RgbImage, given: Answer) -> Painted:
    """One verdict with its thumbnail."""
    shown = rgb if given.portrait is None else given.portrait.rgb
    tile = np.asarray(cv2.resize(shown, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA), np.uint8)
    is_warned = given.portrait is not None and any("mouth covered" in warning for warning in given.portrait.warnings)
    return Painted(name, kind, given.portrait is None, is_warned, bool(given.turned_deg), tile)


def check_covers(media: Media, console: Console, out: Path | None) -> bool:
    """Part 2; whether its goals are met."""
    is_met, sheet = True, []
    for chosen in COVER_SETS:
        rows = paint(media, chosen)
        kinds = {kind: [r for r in rows if r.kind == kind] for kind in dict.fromkeys(r.kind for r in rows)}
        table = Table("cover", "taken", "warned of", "share", "turned over", "refused", title=f"2. Covers: {chosen.name}")
        for kind, of in kinds.items():
            taken = [r for r in of if not r.is_refused]
            cells = (len(taken), sum(r.is_warned for r in taken), f"{share(r.is_warned for r in taken):.2f}")
            table.add_row(kind, *map(str, (*cells, sum(r.is_turned for r in taken), len(of) - len(taken))))
        console.print(table)
        for row in kinds[BARE]:
            if row.is_warned:
                console.print(f"false alarm: {row.name}", soft_wrap=True)
        shares = {kind: share(r.is_warned for r in of if not r.is_refused) for kind, of in kinds.items()}
        is_met &= met(console, "false alarms", shares.pop(BARE), LARGEST_FALSE_ALARMS, is_least=False)
        is_met &= met(console, "worst kind of cover", min(shares.values()), LEAST_HITS)
        sheet += [strip(f"{kind} ({chosen.name})", of) for kind, of in kinds.items()]
    if out:
        write_image(out / "covers.png", np.concatenate(sheet))
        console.print(f"painted faces with their verdicts: {out / 'covers.png'}", soft_wrap=True)
    return is_met


def strip(title: str, rows: Sequence[Painted]) -> RgbImage:
    """A row of thumbnails: green frame where the verdict is right, red where not, grey where the picture was refused."""
    pictures = []
    for row in [rows[i] for i in np.linspace(0, len(rows) - 1, TILES).astype(int)]:
        colour = GREEN if row.is_warned == (row.kind != BARE) else RED
        tile = cv2.rectangle(row.tile.copy(), (0, 0), (TILE_PX - 1, TILE_PX - 1), GREY if row.is_refused else colour, 4)
        verdict = "refused" if row.is_refused else "warned" if row.is_warned else "no warning"
        tile[TILE_PX - 20 : TILE_PX - 4, 4:-4] //= 3
        pictures.append(cv2.putText(tile, verdict, (6, TILE_PX - 8), FONT, 0.4, (255, 255, 255), 1, cv2.LINE_AA))
    head = np.full((22, TILE_PX * TILES, 3), 255, np.uint8)
    cv2.putText(head, title, (6, 16), FONT, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    return np.asarray(np.concatenate([head, np.concatenate(pictures, axis=1)]), np.uint8)


def outcome(rgb: RgbImage) -> tuple[object, ...]:
    """All that ``load_portrait`` says of a picture, comparable; the last is said to the user."""
    try:
        portrait = load_portrait(rgb)
    except SpaceError as error:
        return ("refused for its tilt" if TILTED.search(str(error)) else "refused",)
    return portrait.rgb.tobytes(), portrait.mesh.tobytes(), portrait.box, portrait.warnings


def as_it_stands(name: str, rgb: RgbImage) -> tuple[RgbImage, int, NDArray[np.float32], NDArray[np.float32]]:
    """In place of ``portrait._upright``: no rule for turned heads."""
    found = portraits._face(rgb)
    if found is None:
        raise SpaceError(f"{name}: no human face found")
    return rgb, 0, *found


def check_upright(media: Media, console: Console) -> bool:
    """Part 3; whether its goal is met."""
    same = []
    for name, rgb in shots(media, UPRIGHT_HZ):
        with_rule = outcome(rgb)
        with mock.patch.object(portraits, "_upright", as_it_stands):
            same.append(outcome(rgb) == with_rule)
        if not same[-1]:
            console.print(f"changed by the rule for turned heads: {name} ({with_rule[-1]})", soft_wrap=True)
    console.print(f"3. Upright: {sum(same)} of {len(same)} pictures and frames unchanged, byte for byte")
    return met(console, "unchanged", share(same), LEAST_UNCHANGED)


def share(values: Iterable[bool]) -> float:
    """Mean, NaN of nothing."""
    found = list(values)
    return sum(found) / len(found) if found else float("nan")


def met(console: Console, name: str, value: float, goal: float, is_least: bool = True) -> bool:
    """Print a figure beside its goal; whether it is met (nothing measured: no)."""
    is_met = value >= goal if is_least else value <= goal
    console.print(f"{name}: {value:.3f}, goal {'>=' if is_least else '<='} {goal}: {'met' if is_met else 'MISSED'}")
    return is_met


def main(argv: Sequence[str] | None = None) -> None:
    """Run the three checks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="MEDIA_FOLDER")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="gets covers.png")
    arguments = parser.parse_args(argv)
    logging.getLogger("space_models").setLevel(logging.ERROR)  # thousands of warnings, counted here
    console = Console()
    try:
        pictures = readable(arguments.folder, "image", read_image, console)
        clips = readable(arguments.folder, "video", lambda clip: next(decode_video(clip)), console)
        if not pictures + clips:
            raise SpaceError(f"{arguments.folder}: no pictures or clips in it, need some (is it the right folder?)")
        results = []
        for check in (check_angles, partial(check_covers, out=arguments.out), check_upright):
            began_s = time.process_time()
            results.append(check(Media(arguments.folder, pictures, clips), console))
            console.print(f"[dim]{time.process_time() - began_s:.0f} CPU seconds[/dim]\n")
    except SpaceError as error:
        sys.exit(f"error: {error}")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
