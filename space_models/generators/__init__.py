"""Generators turn a portrait and a driving signal into pictures. All of them stand behind `Generator`.

To add one: write a class with the members below in a file of its own. Nothing else knows its insides: `animate`, `synthesize`
and the benchmark only prepare once and render in chunks.
"""

from collections.abc import Iterator
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from space_models.portrait import Portrait

Needs = Literal["landmarks", "keypoints"]
State = TypeVar("State")


class Generator(Protocol[State]):
    """One way of rendering.

    `needs` names the driving signal:

    * ``landmarks``: posed landmarks in pixels of the portrait's crop, (T, 78, 3) (`space_data.landmarks.posed`);
    * ``keypoints``: the generator's own latent keypoints, (T, keypoints, 3), as the `latents` stage extracts and L2L predicts.
    """

    @property
    def name(self) -> str:
        """What the systems of the benchmark are called after, e.g. ``warp``."""
        ...

    @property
    def needs(self) -> Needs:
        """The driving signal."""
        ...

    @property
    def keypoints(self) -> int | None:
        """K for `keypoints`, None for `landmarks`."""
        ...

    @property
    def size_px(self) -> int:
        """Side of the square frames that come out."""
        ...

    def prepare(self, portrait: Portrait) -> State:
        """Whatever can be computed once per portrait; the state is not changed by `render`."""
        ...

    def render(self, state: State, driving: NDArray[np.float32]) -> Iterator[NDArray[np.uint8]]:
        """One RGB frame (size_px, size_px, 3) per row of `driving`, lazily; rows are independent (streams may be cut)."""
        ...
