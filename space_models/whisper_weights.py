"""Whisper tiny.en's encoder from the files it is published in: OpenAI's ``tiny.en.pt``, safetensors, CTranslate2's ``model.bin``.

All hold the same half-precision numbers, so that ``encoder_sha256``, over the tensors, tells one encoder from another whatever
file it came in. Only the encoder's tensors are read (of safetensors and ``model.bin`` also from the disk).
"""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from space_data.ctranslate2 import read_tensors
from space_data.errors import SpaceError
from space_models.checkpoints import load_state
from space_models.whisper import WhisperEncoder

OPENAI_PREFIX, HUGGING_FACE_PREFIX = "encoder.", "model.encoder."
HUGGING_FACE = {
    "attn.query": "self_attn.q_proj", "attn.key": "self_attn.k_proj", "attn.value": "self_attn.v_proj",
    "attn.out": "self_attn.out_proj", "attn_ln": "self_attn_layer_norm", "mlp.0": "fc1", "mlp.2": "fc2",
    "mlp_ln": "final_layer_norm",
}  # fmt: skip
"""Parts of a block: OpenAI's names (and ours) → Hugging Face's."""
CTRANSLATE2 = {
    "attn.out": "self_attention/linear_1", "attn_ln": "self_attention/layer_norm", "mlp.0": "ffn/linear_0",
    "mlp.2": "ffn/linear_1", "mlp_ln": "ffn/layer_norm",
}  # fmt: skip
"""The same → CTranslate2's; query, key and value are one matrix there."""
FUSED = ("attn.query", "attn.key", "attn.value")


def load_encoder_file(path: Path) -> WhisperEncoder:
    """The encoder in ``path``, in float32, ready to run; verify the file first (``space_data.weights``).

    Raises:
        SpaceError: not a file of these three kinds (by its suffix), damaged, or of another model.
    """
    encoder = WhisperEncoder()
    readers = {".pt": _read_pickle, ".safetensors": _read_safetensors, ".bin": _read_ctranslate2}
    if path.suffix not in readers:
        raise SpaceError(f"{path}: name ends in {path.suffix or 'nothing'!r}, need one of {', '.join(readers)}")
    load_state(encoder, readers[path.suffix](path, encoder), str(path))
    return encoder.eval().requires_grad_(False)


def encoder_sha256(encoder: WhisperEncoder) -> str:
    """SHA-256 over the names and half-precision values of all parameters: the same for every file that holds them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0".encode() + tensor.half().numpy().astype("<f2").tobytes())
    return digest.hexdigest()


def _read_pickle(path: Path, encoder: WhisperEncoder) -> dict[str, Tensor]:
    """OpenAI's checkpoint: ``model_state_dict`` and dimensions; opened without running any code in it."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise SpaceError(f"{path}: not a file of tensors ({str(error).splitlines()[0]})") from error
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SpaceError(f"{path}: no model_state_dict of tensors in it, as OpenAI's checkpoints have")
    return _without_prefix(state, OPENAI_PREFIX)


def _read_safetensors(path: Path, encoder: WhisperEncoder) -> dict[str, Tensor]:
    """Hugging Face's ``model.safetensors``, or a file with our own names (those of ``WhisperEncoder``)."""
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if name.startswith(HUGGING_FACE_PREFIX)]  # noqa: SIM118
            if not names:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            state = _without_prefix({name: file.get_tensor(name) for name in names}, HUGGING_FACE_PREFIX)
    except (SafetensorError, OSError) as error:
        raise SpaceError(f"{path}: not a safetensors file ({error})") from error
    return {_renamed(name): tensor for name, tensor in state.items()}


def _without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The encoder's tensors, without its positions, which are computed."""
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return {name: tensor for name, tensor in own.items() if name not in ("positional_embedding", "embed_positions.weight")}


def _renamed(name: str) -> str:
    """Hugging Face's name of a tensor → ours."""
    if name.startswith("layer_norm."):
        return name.replace("layer_norm", "ln_post", 1)
    if not name.startswith("layers."):
        return name
    _, number, part = name.split(".", 2)
    module, _, kind = part.rpartition(".")
    ours = {theirs: own for own, theirs in HUGGING_FACE.items()}
    return f"blocks.{number}.{ours.get(module, module)}.{kind}"


def _read_ctranslate2(path: Path, encoder: WhisperEncoder) -> dict[str, Tensor]:
    """The encoder of a CTranslate2 model of kind ``WhisperSpec``, float32 or float16."""
    theirs = {name: _ctranslate2_name(name) for name in encoder.state_dict()}
    arrays = read_tensors(path, "WhisperSpec", {name for name, _ in theirs.values()})
    state = {}
    for name, (source, third) in theirs.items():
        tensor = torch.from_numpy(arrays[source].astype("f4"))
        if third is not None and tensor.shape[0] % len(FUSED):
            raise SpaceError(f"{path}: {source} has {tensor.shape[0]} rows, need query, key and value of equal size")
        state[name] = tensor if third is None else tensor.chunk(len(FUSED))[third]
    return state


def _ctranslate2_name(name: str) -> tuple[str, int | None]:
    """Our name of a tensor → CTranslate2's, and which third of it it is (None: the whole)."""
    module, _, kind = name.rpartition(".")
    if not module.startswith("blocks."):
        norm = {"weight": "gamma", "bias": "beta"}
        return (f"encoder/layer_norm/{norm[kind]}" if module == "ln_post" else f"encoder/{module}/{kind}"), None
    _, number, part = module.split(".", 2)
    if part in FUSED:
        return f"encoder/layer_{number}/self_attention/linear_0/{kind}", FUSED.index(part)
    if part.endswith("_ln"):
        kind = {"weight": "gamma", "bias": "beta"}[kind]
    return f"encoder/layer_{number}/{CTRANSLATE2[part]}/{kind}", None
