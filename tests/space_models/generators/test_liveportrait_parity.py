"""LivePortrait's networks against outputs of the reference implementation on seeded weights (../shared/parity/README.md)."""

import json
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from space_models.generators.liveportrait.config import LivePortraitConfig
from space_models.generators.liveportrait.weights import Networks, fill, own_state

PARITY = Path(__file__).resolve().parents[4] / "shared" / "parity"
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    if not (PARITY / "liveportrait.json").is_file():
        pytest.skip("outputs of the reference implementation are absent (../shared/parity/liveportrait.json)")
    return json.loads((PARITY / "liveportrait.json").read_text())


def draw(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def seeded(module: str, key: str, shape: list[int]) -> Tensor:
    """The README's rules, in their order."""
    r = draw(f"{module}.{key}")
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if key.endswith("running_var"):
        value = 1 + 0.1 * np.abs(r.standard_normal(shape))
    elif key.endswith("running_mean"):
        value = 0.1 * r.standard_normal(shape)
    elif len(shape) == 1 and ("weight_u" in key or "weight_v" in key):
        value = r.standard_normal(shape)
        value = value / np.linalg.norm(value)
    elif len(shape) <= 1:
        value = (1.0 if key.endswith("weight") else 0.0) + 0.1 * r.standard_normal(shape)
    else:
        value = r.standard_normal(shape) / np.sqrt(prod(shape[1:]))
    return torch.from_numpy(np.asarray(value, np.float32))


def filled(facts: dict[str, Any], published: str, build: Callable[[], nn.Module]) -> nn.Module:
    """A network with the fixture's weights, by the loader's own way; every published name must find its place."""
    entry = facts["modules"][published]
    module = build()
    state = {key: seeded(published, key, shape) for key, shape in entry["state_dict"]}
    fill(module, own_state(state), published)
    # spectral normalisation keeps W apart as weight_orig: as many parameters as our folded one
    assert sum(p.numel() for p in module.parameters()) == entry["parameters"]
    return module.eval()


def compare(facts: dict[str, Any], name: str, found: Tensor) -> None:
    expected, entry = np.load(PARITY / "liveportrait.npz"), facts["outputs"][name]
    assert list(found.shape) == entry["shape"], name
    sample = found.detach().double().flatten()[:: entry["stride"]][:4096].numpy()
    reference = expected[name].astype(np.float64).ravel()[: len(sample)]
    relative = np.abs(sample - reference).max() / np.abs(reference).max()
    assert relative < TOLERANCE, f"{name}: relative error {relative:.2e}"
    whole = found.double()
    for statistic, value in (("mean", whole.mean()), ("std", whole.std(correction=0)), ("abs_max", whole.abs().max())):
        assert float(value) == pytest.approx(entry[statistic], abs=TOLERANCE * entry["abs_max"]), f"{name}: {statistic}"


def networks() -> Networks:
    with torch.device("meta"):
        return Networks.of(LivePortraitConfig())


def made(name: str) -> Callable[[], nn.Module]:
    return lambda: getattr(networks(), name).to_empty(device="cpu")


def uniform(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(draw(f"input.{name}").random(shape).astype(np.float32))


def normal(name: str, shape: tuple[int, ...], scale: float = 1.0) -> Tensor:
    return torch.from_numpy((scale * draw(f"input.{name}").standard_normal(shape)).astype(np.float32))


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


def test_appearance(facts: dict[str, Any]) -> None:
    network = filled(facts, "appearance_feature_extractor", made("appearance"))
    compare(facts, "appearance.feature_3d", network(uniform("image", (1, 3, 256, 256))))


def test_motion(facts: dict[str, Any]) -> None:
    motion = filled(facts, "motion_extractor", made("motion"))(uniform("image", (1, 3, 256, 256)))
    for name in ("pitch", "yaw", "roll", "t", "exp", "scale", "kp"):
        compare(facts, f"motion.{name}", getattr(motion, name))


@pytest.mark.parametrize(("part", "width"), [("stitching", 126), ("lip", 65), ("eye", 66)])
def test_stitching_and_retargeting(facts: dict[str, Any], part: str, width: int) -> None:
    name = f"stitching_retargeting.{part}"
    network = filled(facts, name, lambda: getattr(networks().retargeting, part).to_empty(device="cpu"))
    seed = "sr_stitching" if part == "stitching" else f"sr_{part}"
    compare(facts, name, network(normal(seed, (2, width))))


def test_warping(facts: dict[str, Any]) -> None:
    network = filled(facts, "warping_module", made("warping"))
    volume = normal("feature_3d", (1, 32, 16, 64, 64))
    warped = network(volume, normal("kp_source", (1, 21, 3), 0.3), normal("kp_driving", (1, 21, 3), 0.3))
    compare(facts, "warp.occlusion_map", warped.occlusion)
    compare(facts, "warp.deformation", warped.deformation)
    compare(facts, "warp.out", warped.out)


def test_decoder(facts: dict[str, Any]) -> None:
    network = filled(facts, "spade_generator", made("decoder"))
    compare(facts, "decoder.image", network(normal("decoder_feature", (1, 256, 64, 64))))
