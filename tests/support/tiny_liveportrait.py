"""LivePortrait's networks at width 8 with random weights, as files of the published layout."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from space_models.generators.liveportrait.config import CONFIG_FILE, LivePortraitConfig
from space_models.generators.liveportrait.weights import FILES, PUBLISHED_NAMES, Networks

TINY = LivePortraitConfig(
    image_px=64, width=8, max_width=16, volume_channels=4, volume_depth=4, volume_blocks=1, motion_widths=(8, 8, 8, 16),
    motion_depths=(1, 1, 1, 1), flow_width=4, flow_max_width=8, flow_blocks=2, flow_features=2, spade_hidden=8, decoder_blocks=1,
)  # fmt: skip


def tiny_networks(seed: int = 0) -> Networks:
    """Random weights; M's heads are small, as of a trained one: its keypoints stay in the picture."""
    torch.manual_seed(seed)
    networks = Networks.of(TINY)
    detector = networks.motion.detector
    with torch.no_grad():
        for head in (detector.fc_kp, detector.fc_exp, detector.fc_t):
            head.weight.mul_(0.2)
            head.bias.mul_(0.2)
        detector.fc_scale.bias.fill_(1.3)
        for block in detector.modules():
            if hasattr(block, "gamma"):
                block.gamma.fill_(0.5)
    for module in networks.modules().values():
        module.eval()
    return networks


def spectral(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The decoder's convolutions as the published file has them: W = weight_orig / (u . weight_orig v)."""
    found = {}
    for key, tensor in state.items():
        if ".conv_" not in key or not key.endswith("weight"):
            found[key] = tensor
            continue
        stem, original = key.removesuffix("weight"), 2.5 * tensor
        u, v = torch.randn(len(tensor)), torch.randn(tensor[0].numel())
        u, v = u / u.norm(), v / v.norm()
        v = v * torch.dot(u, torch.mv(original.flatten(1), v)) ** -1 * 2.5  # so that u . W_orig v = 2.5
        found |= {f"{stem}weight_orig": original, f"{stem}weight_u": u, f"{stem}weight_v": v}
    return found


def write_tiny(folder: Path, seed: int = 0) -> Networks:
    """Write ``.pth`` files in the published folders; returns what they hold."""
    networks = tiny_networks(seed)
    for name, module in networks.modules().items():
        state = dict(module.state_dict())
        if name == "decoder":
            state = spectral(state)
        sub = folder / ("retargeting_models" if name == "retargeting" else "base_models")
        sub.mkdir(parents=True, exist_ok=True)
        content: object = state
        if name == "retargeting":
            content = {
                published: {f"module.{key.removeprefix(f'{ours}.')}": t for key, t in state.items() if key.startswith(f"{ours}.")}
                for published, ours in PUBLISHED_NAMES.items()
            }
        torch.save(content, sub / f"{FILES[name]}.pth")
    (folder / CONFIG_FILE).write_text(json.dumps(asdict(TINY)))
    return networks
