"""The two kinds of renderers behind the registry: the mesh warp, and any keypoint generator driven by its Landmarks2Latents."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from space_data.crop import CROP_SIZE_PX
from space_data.errors import SpaceError
from space_data.landmarks import PoseTrack, lip_gap
from space_data.params import Params, Warp
from space_data.schema import NEUTRAL
from space_models.generators import GENERATORS, Array, Driving, Frame, KeypointGenerator, find
from space_models.generators.lip_correction import BEYOND_IOD, GapCorrection, gaps_read
from space_models.generators.warp import WarpGenerator, WarpState
from space_models.portrait import Portrait
from space_models.retarget import with_lip_gap

if TYPE_CHECKING:
    from space_models.l2l import L2L  # imports torch, which `warp` does without


class WarpRenderer:
    """`warp`: the photo's own pixels, moved by posed landmarks."""

    device = "cpu"
    latents_of = ""

    def __init__(self, settings: Warp, size_px: int = CROP_SIZE_PX) -> None:
        self._warp, self.size_px = WarpGenerator(settings, size_px), size_px

    def prepare(self, portrait: Portrait) -> WarpState:
        """Mesh and layers of a portrait."""
        return self._warp.prepare(portrait)

    def latents(self, state: WarpState, driving: Driving) -> None:
        """None: it draws landmarks."""

    def drawing(self, state: WarpState, driving: Driving) -> Array:
        """Posed landmarks (T, 78, 3)."""
        return driving.posed

    def draw(self, state: WarpState, drawing: Array) -> Iterator[Frame]:
        """See `Renderer`."""
        return self._warp.render(state, drawing)

    def render(self, state: WarpState, driving: Driving) -> Iterator[Frame]:
        """See `Renderer`."""
        return self.draw(state, self.drawing(state, driving))


@dataclass(frozen=True)
class DrivenPortrait:
    """A portrait as its generator prepared it, its landmarks (78, 3) as L2L sees them, its scale (pixels per IOD), what lip gap
    to tell L2L for a wanted one."""

    state: Any
    landmarks: Array
    scale: float
    lips: GapCorrection


class KeypointRenderer:
    """A keypoint generator and its L2L (paper, section 3.3): landmarks → latents → keypoints in the exact pose → frames."""

    def __init__(self, generator: KeypointGenerator[Any], l2l: "L2L") -> None:
        self.generator, self._l2l = generator, l2l
        self.size_px, self.device = generator.size_px, generator.device
        self.latents_of = f"{generator.spec.generator} {generator.spec.weights_sha256}"

    def prepare(self, portrait: Portrait) -> DrivenPortrait:
        """Features and own latents of a portrait, whose mouth is tried out (19 frames)."""
        from space_models.l2l.inputs import SOUND

        scale = float(portrait.pose.scale[0])
        landmarks = self._l2l.seen(portrait.normalised[None], portrait.pose, scale)[0]
        state = DrivenPortrait(self.generator.prepare(portrait), landmarks, scale, GapCorrection.none())

        def render(faces: Array, pose: PoseTrack) -> Iterator[Frame]:
            silence = np.zeros((len(faces), SOUND), np.float32)
            return self.render(state, Driving(faces, pose, silence, NEUTRAL))

        lips = GapCorrection.measure(float(lip_gap(portrait.normalised)), partial(gaps_read, render, portrait), BEYOND_IOD)
        return replace(state, lips=lips)

    def latents(self, state: DrivenPortrait, driving: Driving) -> Array:
        """Latents (T, D): those that are given, if they are of this generator, else predicted from the landmarks."""
        if driving.latents is not None and driving.latents_of == self.latents_of:
            return driving.latents
        faces = with_lip_gap(driving.normalised, state.lips(lip_gap(driving.normalised)))
        landmarks = self._l2l.seen(faces, driving.pose, state.scale)
        return self._l2l.predict(landmarks, driving.speech, driving.emotion, state.landmarks, state.state.z)

    def drawing(self, state: DrivenPortrait, driving: Driving) -> Array:
        """Keypoints (T, K, 3)."""
        return self.generator.compose(state.state, self.latents(state, driving), driving.pose)

    def draw(self, state: DrivenPortrait, drawing: Array) -> Iterator[Frame]:
        """See `Renderer`."""
        return self.generator.render(state.state, drawing)

    def render(self, state: DrivenPortrait, driving: Driving) -> Iterator[Frame]:
        """See `Renderer`."""
        return self.draw(state, self.drawing(state, driving))


def load_keypoint_renderer(name: str, models: Path, params: Params) -> KeypointRenderer:
    """The generator ``name`` behind ``models/l2l/<name>``.

    Raises:
        SpaceError: either is missing, or the L2L was trained with other weights of the generator.
    """
    from space_models.l2l import load_l2l

    entry = find(GENERATORS, name, "generator")
    folder, weights = models / "l2l" / name, entry.folder(name, models, params)
    found, l2l = entry.weights_sha256(weights), load_l2l(folder)
    if found != l2l.spec.weights_sha256:
        raise SpaceError(
            f"{folder}: learnt the latents of {name} with weights {l2l.spec.weights_sha256[:12]}, {weights} has "
            f"{found[:12]} (run `dvc repro train_l2l`)"
        )
    return KeypointRenderer(entry.load(weights, params, l2l.spec), l2l)
