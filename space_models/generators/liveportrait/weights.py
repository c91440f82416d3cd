"""The published files: where they lie, what they hash to, and how their tensors become ours.

Layouts that are found: ``base_models/`` and ``retargeting_models/`` as published, or all files in one folder; ``.safetensors`` or
``.pth``, the latter opened as tensors only (`torch.load(weights_only=True)`), never as a pickle.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_models.generators.liveportrait.appearance import AppearanceExtractor
from space_models.generators.liveportrait.config import CONFIG_FILE, LivePortraitConfig, read_config
from space_models.generators.liveportrait.motion import MotionExtractor
from space_models.generators.liveportrait.spade import SpadeDecoder
from space_models.generators.liveportrait.stitching import StitchingRetargeting
from space_models.generators.liveportrait.warping import WarpingModule

SUFFIXES = (".safetensors", ".pth")
FOLDERS = ("", "base_models", "retargeting_models")
STITCHING_FILE = "stitching_retargeting_module"
FILES = {
    "appearance": "appearance_feature_extractor", "motion": "motion_extractor", "warping": "warping_module",
    "decoder": "spade_generator", "retargeting": STITCHING_FILE,
}  # fmt: skip
PUBLISHED_NAMES = {"retarget_shoulder": "stitching", "retarget_mouth": "lip", "retarget_eye": "eye"}
"""Parts of the stitching file → ours."""
MOST_NAMES = 5
SPECTRAL = ("weight_orig", "weight_u", "weight_v")
IGNORED = "num_batches_tracked"
"""A counter of training: some files leave it out."""


@dataclass(frozen=True)
class Networks:
    """The five modules."""

    appearance: AppearanceExtractor
    motion: MotionExtractor
    warping: WarpingModule
    decoder: SpadeDecoder
    retargeting: StitchingRetargeting

    @staticmethod
    def of(config: LivePortraitConfig) -> "Networks":
        """Untrained ones."""
        return Networks(
            AppearanceExtractor(config), MotionExtractor(config), WarpingModule(config), SpadeDecoder(config),
            StitchingRetargeting(config),
        )  # fmt: skip

    def modules(self) -> dict[str, nn.Module]:
        """By name, as in `FILES`."""
        return {name: getattr(self, name) for name in FILES}


def files_in(folder: Path) -> dict[str, Path]:
    """The file of each network.

    Raises:
        SpaceError: some are missing; says which, and how to get them.
    """
    found = {}
    for name, stem in FILES.items():
        candidates = [folder / sub / f"{stem}{suffix}" for suffix in SUFFIXES for sub in FOLDERS]
        present = [path for path in candidates if path.is_file()]
        if present:
            found[name] = present[0]
    missing = [FILES[name] for name in FILES if name not in found]
    if missing:
        raise SpaceError(
            f"{folder}: no weights of liveportrait, need {', '.join(missing)} as .safetensors or .pth "
            "(`space weights fetch liveportrait`, or `import liveportrait FOLDER`; docs/generators.md)"
        )
    return found


def weights_sha256(folder: Path) -> str:
    """One hash of all five files and of ``config.json``, if there is one.

    Raises:
        SpaceError: files are missing.
    """
    hashes = {name: _sha256(path, path.stat().st_mtime_ns, path.stat().st_size) for name, path in files_in(folder).items()}
    if (folder / CONFIG_FILE).is_file():
        hashes[CONFIG_FILE] = sha256_of(folder / CONFIG_FILE)
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()


@lru_cache
def _sha256(path: Path, changed_ns: int, size: int) -> str:
    """Half a gigabyte: hashed once per process, unless it changes."""
    return sha256_of(path)


def load_networks(folder: Path) -> tuple[Networks, LivePortraitConfig]:
    """The networks with the weights in ``folder``, in evaluation mode.

    Raises:
        SpaceError: files are missing or no tensors; names or shapes do not fit, and which.
    """
    files, config = files_in(folder), read_config(folder)
    networks = Networks.of(config)
    for name, module in networks.modules().items():
        state = read_tensors(files[name])
        state = retargeting_state(state) if name == "retargeting" else state
        fill(module, own_state(state), str(files[name]))
        module.eval().requires_grad_(False)
    return networks, config


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a file by name; dictionaries of dictionaries are joined by dots.

    Raises:
        SpaceError: not a file of tensors.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen kinds for a damaged or foreign file
        first_line = str(error).partition("\n")[0]  # an empty file's error says nothing
        raise SpaceError(f"{path}: not a file of tensors ({type(error).__name__}: {first_line})") from error
    state = dict(_flat(content))
    if not state:
        raise SpaceError(f"{path}: holds no tensors")
    return state


def _flat(content: object, prefix: str = "") -> list[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        return [(prefix, content)]
    if not isinstance(content, Mapping):
        return []
    return [pair for key, value in content.items() for pair in _flat(value, f"{prefix}.{key}" if prefix else str(key))]


def retargeting_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of the stitching file under our names: ``retarget_shoulder.module.mlp...`` → ``stitching.mlp...``."""
    renamed = {}
    for key, tensor in state.items():
        part = next((name for name in PUBLISHED_NAMES if key.startswith(name)), None)
        rest = key if part is None else key.removeprefix(part).removeprefix("_module").removeprefix(".").removeprefix("module.")
        renamed[rest if part is None else f"{PUBLISHED_NAMES[part]}.{rest}"] = tensor
    return renamed


def own_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published tensors as ours: without ``module.``, spectral normalisation folded into the weights.

    W = weight_orig / (u . W_orig v), with the vectors that training left behind (arXiv 1802.05957, section 2.1).
    """
    plain = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    folded = {key: tensor for key, tensor in plain.items() if not key.endswith(SPECTRAL)}
    for key, weight in plain.items():
        if key.endswith("weight_orig"):
            stem = key.removesuffix("weight_orig")
            u, v = plain.get(f"{stem}weight_u"), plain.get(f"{stem}weight_v")
            if u is None or v is None:
                raise SpaceError(f"{key}: without {stem}weight_u or {stem}weight_v, need both (spectral normalisation)")
            sigma = torch.dot(u, torch.mv(weight.flatten(1), v))
            folded[f"{stem}weight"] = weight / sigma
    return folded


def fill(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Put tensors into a module.

    Raises:
        SpaceError: names are missing or left over, or shapes are others; the first few of each are listed.
    """
    own = module.state_dict()
    given = {key: tensor for key, tensor in state.items() if not key.endswith(IGNORED)}
    needed = {key for key in own if not key.endswith(IGNORED)}
    missing, extra = sorted(needed - given.keys()), sorted(given.keys() - needed)
    misfit = [
        f"{key} {tuple(given[key].shape)} for {tuple(own[key].shape)}"
        for key in sorted(needed & given.keys()) if given[key].shape != own[key].shape
    ]  # fmt: skip
    if missing or extra or misfit:
        parts = [_listed(missing, "missing"), _listed(extra, "unexpected"), _listed(misfit, "of another shape")]
        raise SpaceError(f"{what}: {'; '.join(part for part in parts if part)} (another network, or another version of it?)")
    module.load_state_dict({**own, **given})


def _listed(names: list[str], what: str) -> str:
    if not names:
        return ""
    more = f", ... ({len(names) - MOST_NAMES} more)" if len(names) > MOST_NAMES else ""
    return f"{len(names)} {what}: {', '.join(names[:MOST_NAMES])}{more}"
