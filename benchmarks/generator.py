"""Speed of a keypoint generator: ``python -m benchmarks.generator NAME [--folder FOLDER] [--random]``.

Prints milliseconds per frame of each step (prepare, extract, render) on a made-up portrait, frames per second at 512x512, and
peak memory, for the precisions that the device has. ``--random`` needs no weights: networks of the published sizes with random
ones, which cost the same.

For LivePortrait's reference implementation on the same weights and device in the same run: ``--reference FOLDER``, a checkout
of it with its dependencies; its warping and decoding of the same keypoints are timed, one frame at a time as it does, in half
precision as it does by default.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from space_data.crop import CROP_SIZE_PX, CropBox
from space_data.landmarks import MESH_TO_78, PoseTrack, normalise, posed, template_mesh
from space_data.params import Params, load_params
from space_models.generators import GENERATORS, KeypointGenerator, chosen_device, find
from space_models.portrait import Portrait

POSE = np.array([5, 2, 1, 110, 256, 200, 0], np.float32)
POSE_SD = np.array([4, 2, 2, 1, 2, 2, 0], np.float32)
WARM_UP = 2


def made_up_portrait() -> Portrait:
    """A template's landmarks on smooth noise: what is drawn does not change the time it takes."""
    pose = PoseTrack.from_array(POSE[None])
    landmarks = posed(np.vstack([template_mesh(), np.zeros((10, 3))])[MESH_TO_78][None], pose)[0]
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    rgb = np.asarray(cv2.resize(noise, (CROP_SIZE_PX, CROP_SIZE_PX), interpolation=cv2.INTER_CUBIC), np.uint8)
    own = normalise(landmarks[None], pose)[0]
    return Portrait(rgb, rgb, np.zeros((478, 3), np.float32), landmarks, pose, own, CropBox(0, 0, CROP_SIZE_PX), ())


def timed(work: Callable[[], Any], device: str) -> float:
    """Seconds of one run, the device's work included."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(generator: KeypointGenerator[Any], frames: int) -> dict[str, float]:
    """Milliseconds: prepare once, extract and render per frame."""
    face = made_up_portrait()
    state = generator.prepare(face)
    rng = np.random.default_rng(1)
    z = state.z + 0.05 * rng.normal(size=(frames, len(state.z))).astype(np.float32)
    pose = PoseTrack.from_array(POSE + rng.normal(0, 1, (frames, 7)).astype(np.float32) * POSE_SD)
    points = generator.compose(state, z, pose)
    landmarks = np.repeat(face.landmarks[None], frames, 0)
    for _ in range(WARM_UP if generator.device != "cpu" else 0):
        list(generator.render(state, points))
    return {
        "prepare": 1e3 * timed(lambda: generator.prepare(face), generator.device),
        "extract": 1e3 / frames * timed(lambda: generator.extract([face.rgb] * frames, landmarks, pose), generator.device),
        "render": 1e3 / frames * timed(lambda: list(generator.render(state, points)), generator.device),
    }


def random_weights(params: Params, device: str) -> KeypointGenerator[Any]:
    """LivePortrait's networks of the published sizes, untrained."""
    from space_models.generators.liveportrait.config import LivePortraitConfig
    from space_models.generators.liveportrait.generator import LivePortrait
    from space_models.generators.liveportrait.weights import Networks

    torch.manual_seed(0)
    networks = Networks.of(LivePortraitConfig())
    for module in networks.modules().values():
        module.eval().requires_grad_(False)
    return LivePortrait(networks, LivePortraitConfig(), params.liveportrait, device)


def reference_ms(checkout: Path, weights: Path, frames: int, device: str) -> float:
    """Milliseconds per frame of the reference implementation's warping and decoding, one frame at a time, half precision."""
    sys.path.insert(0, str(checkout))
    from src.utils.helper import load_model  # type: ignore[import-not-found]

    config = yaml.safe_load((checkout / "src" / "config" / "models.yaml").read_text())
    warping = load_model(str(weights / "base_models" / "warping_module.pth"), config, device, "warping_module")
    decoder = load_model(str(weights / "base_models" / "spade_generator.pth"), config, device, "spade_generator")
    volume = torch.randn(1, 32, 16, 64, 64, device=device)
    points = 0.3 * torch.randn(frames, 2, 21, 3, device=device)

    def draw() -> None:
        with torch.no_grad(), torch.autocast(torch.device(device).type, torch.float16, enabled=device.startswith("cuda")):
            for source, driving in points:
                features = warping(volume, kp_source=source[None], kp_driving=driving[None])
                (decoder(feature=features["out"])[0].clamp(0, 1) * 255).byte().cpu().numpy()

    for _ in range(WARM_UP):
        draw()
    return 1e3 / frames * timed(draw, device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=list(GENERATORS))
    parser.add_argument("--folder", type=Path, help="of the weights (default: where params.yaml says)")
    parser.add_argument("--random", action="store_true", help="untrained networks of the published sizes")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", nargs="+", default=["fp32"], help="fp32, bf16, fp16; each is measured")
    parser.add_argument("--reference", type=Path, help="a checkout of the reference implementation")
    arguments = parser.parse_args()
    device, base = chosen_device(arguments.device), load_params(None)
    columns = ("precision", "prepare ms", "extract ms/frame", "render ms/frame", "frames/s")
    table = Table(*columns, title=f"{arguments.name} on {device}")
    for precision in arguments.precision:
        latents = base.latents.model_copy(update={"device": device})
        liveportrait = base.liveportrait.model_copy(update={"precision": precision})
        params = base.model_copy(update={"latents": latents, "liveportrait": liveportrait})
        entry = find(GENERATORS, arguments.name, "generator")
        folder = arguments.folder or entry.folder(arguments.name, Path("models"), params)
        generator = random_weights(params, device) if arguments.random else entry.load(folder, params, None)
        found = measure(generator, arguments.frames)
        figures = [f"{found[name]:.1f}" for name in ("prepare", "extract", "render")]
        table.add_row(precision, *figures, f"{1e3 / found['render']:.2f}")
    if arguments.reference is not None:
        ms = reference_ms(arguments.reference, folder, arguments.frames, device)
        table.add_row("reference, fp16", "", "", f"{ms:.1f}", f"{1e3 / ms:.2f}")
    console = Console()
    console.print(table)
    if device.startswith("cuda"):
        console.print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB, {torch.cuda.get_device_name()}")


if __name__ == "__main__":
    main()
