"""The public-domain portrait, measured once."""

import numpy as np
import pytest

from space_models.portrait import Portrait, load_portrait


@pytest.fixture(scope="session")
def astronaut_portrait(astronaut: np.ndarray) -> Portrait:
    """See ``astronaut``."""
    return load_portrait(astronaut)
