"""The interface and the registry of what draws pictures. Importing this imports no network: entries load theirs when asked.

Two kinds stand in one list, `RENDERERS`, which `animate`, the command line, the benchmark and the report read:

* a renderer that draws tracks (landmarks and head pose) directly;
* a keypoint generator (`GENERATORS`) behind Landmarks2Latents, the paper's second half: its latents are extracted from video
  (stage ``latents``), predicted from landmarks, speech and emotion (``train_l2l``), composed with the exact head pose into
  keypoints, and drawn.

To add a generator: write a class with the members of `KeypointGenerator` in a file of this package, and an entry in `GENERATORS`.
Nothing outside this package names one (a test holds the code to it).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack, posed
from space_data.params import Params

if TYPE_CHECKING:
    from space_models.portrait import Portrait

Array = NDArray[np.float32]
Frame = NDArray[np.uint8]
"""RGB, (size, size, 3)."""


@dataclass(frozen=True)
class LatentSpec:
    """What one number of a generator's latents is: kept with the latents and in the card of the L2L that predicts them.

    A generator declares name, hash, size and weight; ``mean``, ``sd`` and ``pose_map`` are measured on the training set by the
    stage ``latents`` (zeros, ones and nothing until then).
    """

    generator: str
    weights_sha256: str
    """of the generator's weights: latents of others mean something else"""
    size: int
    """D"""
    weight: tuple[float, ...]
    """(D,) squared effect of one unit on what is seen, eyes and mouth counted more: errors are sums of weight * difference^2"""
    mean: tuple[float, ...]
    """(D,)"""
    sd: tuple[float, ...]
    """(D,) within clips"""
    pose_map: tuple[float, ...] = ()
    """numbers that map our head pose onto the generator's own (`KeypointGenerator.fit_pose`); none where ours is used as it is"""

    def __post_init__(self) -> None:
        for name in ("weight", "mean", "sd"):
            if len(getattr(self, name)) != self.size:
                raise SpaceError(f"latents of {self.generator}: {len(getattr(self, name))} numbers of {name}, need {self.size}")

    @staticmethod
    def declared(generator: str, weights_sha256: str, weight: NDArray[np.floating]) -> "LatentSpec":
        """A spec with nothing measured yet; ``weight`` is (D,)."""
        size = len(weight)
        return LatentSpec(generator, weights_sha256, size, tuple(map(float, weight)), (0.0,) * size, (1.0,) * size)

    def measured(self, mean: NDArray[np.floating], sd: NDArray[np.floating], pose_map: tuple[float, ...]) -> "LatentSpec":
        """The spec with the training set's statistics, (D,) each, and the fitted map."""
        return replace(self, mean=tuple(map(float, mean)), sd=tuple(map(float, sd)), pose_map=pose_map)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "LatentSpec":
        """Inverse of `to_json`; lists may stand for tuples."""
        plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
        return LatentSpec(**plain)


@dataclass(frozen=True)
class CropRule:
    """The square that a generator's networks were trained on, as a function of the face's landmarks.

    ``side`` times the larger extent of the 68 iBUG points, centred on their box and moved by ``shift_y`` sides (+ down).
    """

    side: float
    shift_y: float

    def square(self, landmarks_px: Array) -> tuple[float, float, float]:
        """Left, top and side in pixels for a clip's landmarks (T, 78, 3): one square per clip, of the mean box of its frames."""
        points = landmarks_px[:, :68, :2].astype(np.float64)
        low, high = points.min(1).mean(0), points.max(1).mean(0)
        side = self.side * float((high - low).max())
        x, y = (low + high) / 2
        return float(x - side / 2), float(y - side / 2 + self.shift_y * side), side


@dataclass(frozen=True)
class Extracted:
    """What a generator reads from the frames of a clip: latents ``z`` (T, D) without head pose, and ``own_pose`` (T, P), what it
    says of the pose itself, in its own terms; P = 0 where it takes the pose that it is given."""

    z: Array
    own_pose: Array


class PreparedPortrait(Protocol):
    """What `KeypointGenerator.prepare` returns; beside this the generator's own business."""

    @property
    def z(self) -> Array:
        """The portrait's own latents, (D,)."""
        ...


State = TypeVar("State", bound=PreparedPortrait)


class KeypointGenerator(Protocol[State]):
    """Draws a portrait from K keypoints, which are latents put into the head's pose (docs/generators.md).

    Pixels everywhere are those of the 512 crop (`space_data.crop`), whatever the size of the frames.
    """

    @property
    def spec(self) -> LatentSpec:
        """What its latents are."""
        ...

    @property
    def size_px(self) -> int:
        """Side of the frames that come out."""
        ...

    @property
    def crop(self) -> CropRule | None:
        """The square that its networks see; None: the whole 512 crop."""
        ...

    @property
    def device(self) -> str:
        """Where its networks are, e.g. ``cpu``, ``cuda:0``."""
        ...

    def prepare(self, portrait: "Portrait") -> State:
        """Features, own latents and canonical points of a portrait, once; the state is not changed later."""
        ...

    def extract(self, frames: Iterable[Frame], landmarks_px: Array, pose: PoseTrack) -> Extracted:
        """Latents of a clip's frames, lazily read, square crops of any size, in fixed batches.

        Args:
            frames: T of them.
            landmarks_px: (T, 78, 3) in pixels of the 512 crop.
            pose: T rows, likewise.

        Raises:
            SpaceError: not as many frames as landmarks.
        """
        ...

    def fit_pose(self, own_pose: Array, pose: PoseTrack) -> tuple[float, ...]:
        """Numbers of the map from our pose to its own, from N frames of the training set: `LatentSpec.pose_map`."""
        ...

    def compose(self, state: State, z: Array, pose: PoseTrack) -> Array:
        """Keypoints (T, K, 3) of latents (T, D) in the head's pose (T rows, pixels of the 512 crop)."""
        ...

    def render(self, state: State, keypoints: Array) -> Iterator[Frame]:
        """One frame per row of ``keypoints`` (T, K, 3), lazily, on the pixels of the portrait's crop; rows are independent."""
        ...


@dataclass(frozen=True)
class Driving:
    """What drives a portrait, T frames: ``normalised`` landmarks (T, 78, 3), ``pose`` in pixels of the portrait's crop, speech
    (T, 160) as mean-normalised log-mel, and the mixture of emotions, (9,) or (T, 9)."""

    normalised: Array
    pose: PoseTrack
    speech: Array
    emotion: Array
    latents: Array | None = None
    """(T, D), where they are given instead of being predicted: by ``latents_of`` (`Renderer.latents_of`)"""
    latents_of: str = ""

    @property
    def posed(self) -> Array:
        """Landmarks in pixels of the crop, (T, 78, 3)."""
        return posed(self.normalised, self.pose)

    def __getitem__(self, frames: slice) -> "Driving":
        """Some of the frames."""
        emotion = self.emotion if self.emotion.ndim == 1 else self.emotion[frames]
        latents = None if self.latents is None else self.latents[frames]
        return Driving(self.normalised[frames], self.pose[frames], self.speech[frames], emotion, latents, self.latents_of)


Prepared = TypeVar("Prepared")


class Renderer(Protocol[Prepared]):
    """Draws tracks. It sees a prepared portrait and what drives it, never how that was made.

    Drawing is in two steps: what depends on its neighbours in time is done by `drawing`, for all frames at once; frames are then
    drawn one from each of its rows, so that `space_models.rendering` can give parts of them to several threads.
    """

    @property
    def size_px(self) -> int:
        """Side of the square frames that come out."""
        ...

    @property
    def device(self) -> str:
        """Where it computes, e.g. ``cpu``, ``cuda:0``."""
        ...

    def prepare(self, portrait: "Portrait") -> Prepared:
        """Whatever can be computed once per portrait; the state is not changed by drawing."""
        ...

    def drawing(self, state: Prepared, driving: Driving) -> Array:
        """What each frame is drawn from, (T, N, 3): posed landmarks or keypoints in pixels of the 512 crop."""
        ...

    def draw(self, state: Prepared, drawing: Array) -> Iterator[Frame]:
        """One RGB frame (size_px, size_px, 3) per row, lazily; rows are independent, and several threads may draw at a time."""
        ...

    @property
    def latents_of(self) -> str:
        """Name and weights of the generator whose latents it draws; empty: it draws landmarks."""
        ...

    def latents(self, state: Prepared, driving: Driving) -> Array | None:
        """Latents (T, D) of what drives the portrait: its own where they are of this generator; None: it draws landmarks."""
        ...

    def render(self, state: Prepared, driving: Driving) -> Iterator[Frame]:
        """Both steps: one frame per frame of what drives it, lazily."""
        ...


@dataclass(frozen=True)
class GeneratorEntry:
    """A keypoint generator in the registry."""

    summary: str
    """what it does, in a few words after its name: for the command line and the report"""
    section: str | None
    """section of ``params.yaml`` that changes what it draws; weights apart"""
    weights_sha256: Callable[[Path], str]
    """(folder) → hash of the weights in it; SpaceError where there are none"""
    load: Callable[[Path, Params, LatentSpec | None], KeypointGenerator[Any]]
    """(folder with the weights, settings, measured spec or None for the declared one) → generator"""
    published: Callable[[Params], Path] | None = None
    """(settings) → folder of weights that are not ours; None: they lie in ``models/<name>``"""

    def folder(self, name: str, models: Path, params: Params) -> Path:
        """Where the weights lie of the generator of this ``name``."""
        return models / name if self.published is None else self.published(params)


@dataclass(frozen=True)
class RendererEntry:
    """A renderer in the registry."""

    summary: str
    section: str | None
    generator: str | None
    """the keypoint generator behind it, if there is one: then it needs that one's weights and ``models/l2l/<generator>``"""
    load: Callable[[Path, Params], Renderer[Any]]
    """(folder of the models, settings) → renderer of 512x512"""
    load_at: Callable[[Path, Params, int], Renderer[Any]] | None = None
    """the same with frames of so many pixels a side; None: it has one size"""


def _compact_sha256(folder: Path) -> str:
    from space_models.checkpoints import load_card
    from space_models.generators.compact import MODEL

    return load_card(folder, MODEL).weights_sha256


def _compact(folder: Path, params: Params, spec: LatentSpec | None) -> KeypointGenerator[Any]:
    from space_models.generators.compact import load_compact

    return load_compact(folder, spec)


def _liveportrait_sha256(folder: Path) -> str:
    from space_models.generators.liveportrait.weights import weights_sha256

    return weights_sha256(folder)


def _liveportrait(folder: Path, params: Params, spec: LatentSpec | None) -> KeypointGenerator[Any]:
    from space_models.generators.liveportrait.generator import load_liveportrait

    return load_liveportrait(folder, params.liveportrait, chosen_device(params.latents.device), spec)


def _warp(models: Path, params: Params, size_px: int = CROP_SIZE_PX) -> Renderer[Any]:
    from space_models.generators.renderers import WarpRenderer

    return WarpRenderer(params.warp, size_px)


def _behind_l2l(name: str) -> RendererEntry:
    def load(models: Path, params: Params) -> Renderer[Any]:
        from space_models.generators.renderers import load_keypoint_renderer

        return load_keypoint_renderer(name, models, params)

    return RendererEntry(GENERATORS[name].summary, GENERATORS[name].section, name, load)


GENERATORS: dict[str, GeneratorEntry] = {
    "compact": GeneratorEntry("warps and repaints the photo by a small network of our own", None, _compact_sha256, _compact),
    "liveportrait": GeneratorEntry(
        "draws with LivePortrait's networks; needs its published weights", "liveportrait", _liveportrait_sha256, _liveportrait,
        lambda params: Path(params.liveportrait.weights),
    ),  # fmt: skip
}
"""Keypoint generators by name."""
RENDERERS: dict[str, RendererEntry] = {
    "warp": RendererEntry("moves the photo's own pixels", "warp", None, _warp, _warp),
    **{name: _behind_l2l(name) for name in GENERATORS},
}
"""Everything that draws tracks by name, the default first."""
DEFAULT_RENDERER = next(iter(RENDERERS))


def in_use(params: Params) -> list[str]:
    """Renderers that the pipeline makes videos with: those that need no latents, and ``latents.generators``."""
    return [name for name, entry in RENDERERS.items() if entry.generator is None or name in params.latents.generators]


def find(entries: dict[str, Any], name: str, kind: str) -> Any:
    """An entry by its name; SpaceError lists the known ones."""
    if name not in entries:
        raise SpaceError(f"{kind} {name!r}: need one of {', '.join(entries)}")
    return entries[name]


def chosen_device(name: str) -> str:
    """A torch device by name; ``auto`` is the first GPU, or the CPU."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def settings_of(section: str | None, params: Params) -> dict[str, Any] | None:
    """The settings of an entry's section, for hashes of what its results depend on."""
    return None if section is None else getattr(params, section).model_dump(mode="json")


def pose_at(pose: PoseTrack, factor: float) -> PoseTrack:
    """A pose in pixels of a picture that is resized by ``factor``."""
    rows = pose.as_array()
    rows[:, 3:] *= factor
    return PoseTrack.from_array(rows)
