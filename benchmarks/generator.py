"""Speed of a keypoint generator: ``python -m benchmarks.generator NAME [--folder FOLDER] [--random]``.

Prints milliseconds per frame of each step (prepare, extract, render) on a made-up portrait, frames per second at 512x512, and
peak memory, for the precisions that the device has; without a GPU processor time (OMP_NUM_THREADS=1: of one core). ``--random``
needs no weights: networks of the published sizes with random ones, which cost the same.

For LivePortrait's reference implementation on the same weights and device in the same run: ``--reference FOLDER``, a checkout
of it with its dependencies; its warping and decoding of the same keypoints are timed, one frame at a time as it does, on a GPU in
half precision as it does by default. With ``--random`` the weights are drawn by the reference's own classes, written as published
and read by our loader. The largest differences between the two are printed, of warped features and of a frame drawn from the same
ones (untrained decoders blow rounding up, so that frames from each one's own features say little).
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
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
from space_models.generators.liveportrait.weights import PUBLISHED_NAMES, STITCHING_FILE, files_in, load_networks
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
    """Seconds of one run: by the clock with the device's work; without a device, processor seconds, which other programs on the
    machine change less."""
    if not device.startswith("cuda"):
        began = time.process_time()
        work()
        return time.process_time() - began
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
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


def write_random_weights(checkout: Path, folder: Path) -> None:
    """Untrained weights of the reference implementation's own classes, in the published layout."""
    helper, config = _reference(checkout)
    parameters = config["model_params"]
    torch.manual_seed(0)
    for name, network in (
        ("appearance_feature_extractor", helper.AppearanceFeatureExtractor), ("motion_extractor", helper.MotionExtractor),
        ("warping_module", helper.WarpingNetwork), ("spade_generator", helper.SPADEDecoder),
    ):  # fmt: skip
        torch.save(network(**parameters[f"{name}_params"]).state_dict(), folder / f"{name}.pth")
    sizes = parameters["stitching_retargeting_module_params"]
    parts = {published: helper.StitchingRetargetingNetwork(**sizes[own]) for published, own in PUBLISHED_NAMES.items()}
    torch.save({name: part.state_dict() for name, part in parts.items()}, folder / f"{STITCHING_FILE}.pth")


def _reference(checkout: Path) -> tuple[Any, Any]:
    """The reference implementation's module that builds its networks, and its configuration."""
    sys.path.insert(0, str(checkout))
    from src.utils import helper  # type: ignore[import-not-found]

    return helper, yaml.safe_load((checkout / "src" / "config" / "models.yaml").read_text())


def against_reference(checkout: Path, weights: Path, frames: int, device: str) -> tuple[float, str]:
    """Warping and decoding by the reference implementation, one frame at a time: milliseconds per frame, and in words how far
    ours is from it in single precision."""
    helper, config = _reference(checkout)
    files = files_in(weights)
    warping = helper.load_model(str(files["warping"]), config, device, "warping_module")
    decoder = helper.load_model(str(files["decoder"]), config, device, "spade_generator")
    own = load_networks(weights)[0]
    volume = torch.randn(1, 32, 16, 64, 64, device=device)
    points = 0.3 * torch.randn(frames, 2, 21, 3, device=device)
    with torch.no_grad():
        source, driving = points[0]
        theirs = warping(volume, kp_source=source[None], kp_driving=driving[None])["out"]
        ours = own.warping.to(device)(volume, source[None], driving[None]).out
        warped = float((ours - theirs).abs().max() / theirs.abs().max())
        frame = 255 * float((own.decoder.to(device)(theirs) - decoder(feature=theirs)).abs().max())
    difference = f"warped features {warped:.1e} of the largest, frame {frame:.1e} of 255"

    def draw() -> None:
        with torch.no_grad(), torch.autocast(torch.device(device).type, torch.float16, enabled=device.startswith("cuda")):
            for source, driving in points:
                features = warping(volume, kp_source=source[None], kp_driving=driving[None])
                (decoder(feature=features["out"])[0].clamp(0, 1) * 255).byte().cpu().numpy()

    for _ in range(WARM_UP if device != "cpu" else 0):
        draw()
    return 1e3 / frames * timed(draw, device), difference


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
    device, base, console = chosen_device(arguments.device), load_params(None), Console()
    entry, written = find(GENERATORS, arguments.name, "generator"), arguments.random and arguments.reference is not None
    table = Table("", "prepare ms", "extract ms/frame", "render ms/frame", "frames/s", title=f"{arguments.name} on {device}")
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) if written else arguments.folder or entry.folder(arguments.name, Path("models"), base)
        if written:
            write_random_weights(arguments.reference, folder)
        for precision in arguments.precision:
            latents = base.latents.model_copy(update={"device": device})
            liveportrait = base.liveportrait.model_copy(update={"precision": precision})
            params = base.model_copy(update={"latents": latents, "liveportrait": liveportrait})
            is_untrained = arguments.random and not written
            generator = random_weights(params, device) if is_untrained else entry.load(folder, params, None)
            found = measure(generator, arguments.frames)
            figures = [f"{found[name]:.1f}" for name in ("prepare", "extract", "render")]
            table.add_row(precision, *figures, f"{1e3 / found['render']:.2f}")
        if arguments.reference is not None:
            ms, difference = against_reference(arguments.reference, folder, arguments.frames, device)
            kind = "fp16" if device.startswith("cuda") else "fp32"
            table.add_row(f"reference, {kind}", "", "", f"{ms:.1f}", f"{1e3 / ms:.2f}")
            console.print(f"largest differences from the reference, fp32: {difference}")
    console.print(table)
    if device.startswith("cuda"):
        console.print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB, {torch.cuda.get_device_name()}")


if __name__ == "__main__":
    main()
