"""Fixtures shared by all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# One process per core (`pytest -n auto`), and one thread in each: two that fight for a core wait for each other, in turns.
# Numerical libraries read this when they are imported; programs that tests start inherit it.
os.environ |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")}

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


LONGEST = ("test_dvc.py", "test_faults.py", "test_stream.py", "test_face_alignment_backend.py", "test_cli.py", "test_curate.py")
"""Modules that begin first, so that none of them is the last one at work while the other cores idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest modules first."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of one module on one worker, in order: what its fixtures cost, half a minute for some, is not paid on every core."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--weights FOLDER``: where published weights may lie; ``--checkouts``, ``--interpreter``: other people's programs."""
    parser.addoption("--checkouts", default="", help="folder of other people's repositories, with weights, random ones will do")
    parser.addoption("--interpreter", default="python", help="the Python that they are installed for")
    parser.addoption("--weights", default=str(REPOSITORY / "models" / "weights"), help="folder of published weights")


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """Folder of real clips, portraits and speech beside the repository; tests that use it skip where it is absent."""
    folder = REPOSITORY.parent / "shared" / "media"
    if not (folder / "MANIFEST.csv").is_file():
        pytest.skip("real test media are absent (../shared/media/MANIFEST.csv)")
    return folder


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """Folder of files that made other tools fail, beside the repository; tests that use it skip where it is absent."""
    folder = REPOSITORY.parent / "shared" / "cases"
    if not (folder / "README.md").is_file():
        pytest.skip("cases from life are absent (../shared/cases/README.md)")
    return folder


@pytest.fixture(scope="session")
def whisper_parity() -> dict[str, np.ndarray]:
    """Sound, Whisper's log-mel of it and the published encoder's states of every layer; tests skip where they are absent."""
    file = REPOSITORY.parent / "shared" / "parity" / "whisper.npz"
    if not file.is_file():
        pytest.skip("the reference's states are absent (../shared/parity/whisper.npz)")
    with np.load(file) as content:
        return dict(content)


@pytest.fixture(scope="session")
def published_encoder(request: pytest.FixtureRequest) -> Any:
    """Whisper tiny.en's encoder with the published weights; tests skip where nobody has put these into ``--weights``."""
    from space_data import weights
    from space_models.whisper_weights import load_encoder_file

    file = weights.find(weights.WHISPER, Path(request.config.getoption("--weights")))
    if file is None:
        pytest.skip("published weights are absent (`space weights fetch whisper-tiny.en`)")
    return load_encoder_file(file)


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """NASA's public-domain portrait of Eileen Collins that scikit-image ships, uint8 (512, 512, 3)."""
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh seeded generator per test."""
    return np.random.default_rng(20221117)


@pytest.fixture
def heard_ctrl_c() -> Iterator[None]:
    """SIGINT as a terminal gives it: shells start background jobs with it ignored, and so would this process and its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
