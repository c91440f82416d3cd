"""A seeded Whisper encoder, and the files that such weights are published in, made by hand."""

import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from space_models.whisper import WhisperEncoder

N_DECODER = 7
"""Numbers in a tensor that is none of the encoder's."""


def seeded_encoder(seed: int = 1) -> WhisperEncoder:
    """Half-precision values, scaled so that states neither die nor explode."""
    rng = np.random.default_rng(seed)
    encoder = WhisperEncoder()
    with torch.no_grad():
        for name, tensor in encoder.state_dict().items():
            spread = 1.0 / np.sqrt(np.prod(tensor.shape[1:])) if tensor.ndim > 1 else 0.1
            mean = 1.0 if "ln" in name and name.endswith("weight") else 0.0
            values = mean + spread * rng.standard_normal(tuple(tensor.shape))
            tensor.copy_(torch.from_numpy(values.astype(np.float16).astype(np.float32)))
    return encoder.eval().requires_grad_(False)


def write_openai(path: Path, encoder: WhisperEncoder) -> Path:
    """As ``tiny.en.pt``: half precision, positions and a decoder beside the encoder."""
    state = {f"encoder.{name}": tensor.half() for name, tensor in encoder.state_dict().items()}
    state |= {"encoder.positional_embedding": encoder.positional_embedding.half(), "decoder.ln.weight": torch.ones(N_DECODER)}
    torch.save({"dims": {"n_mels": 80}, "model_state_dict": state}, path)
    return path


def write_own(path: Path, encoder: WhisperEncoder) -> Path:
    """A safetensors file with our names."""
    save_file({name: tensor.half().contiguous() for name, tensor in encoder.state_dict().items()}, path)
    return path


HUGGING_FACE = (
    ("attn.query", "self_attn.q_proj"), ("attn.key", "self_attn.k_proj"), ("attn.value", "self_attn.v_proj"),
    ("attn.out", "self_attn.out_proj"), ("attn_ln", "self_attn_layer_norm"), ("mlp.0", "fc1"), ("mlp.2", "fc2"),
    ("mlp_ln", "final_layer_norm"), ("blocks.", "layers."), ("ln_post", "layer_norm"),
)  # fmt: skip


def write_hugging_face(path: Path, encoder: WhisperEncoder) -> Path:
    """As Hugging Face's ``model.safetensors``: float32."""
    state = {"model.decoder.layer_norm.weight": torch.ones(N_DECODER)}
    state["model.encoder.embed_positions.weight"] = encoder.positional_embedding.clone()
    for name, tensor in encoder.state_dict().items():
        for ours, theirs in HUGGING_FACE:
            name = name.replace(ours, theirs)
        state[f"model.encoder.{name}"] = tensor.clone()
    save_file(state, path)
    return path


def string(text: str) -> bytes:
    """A name as CTranslate2 writes it."""
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def tensor_bytes(name: str, array: NDArray[np.generic], kind: int) -> bytes:
    """A tensor as CTranslate2 writes it."""
    head = string(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
    return head + struct.pack("<BI", kind, array.nbytes) + array.tobytes()


def model_bytes(tensors: list[bytes], spec: str = "WhisperSpec", version: int = 6) -> bytes:
    """A whole ``model.bin``, with one alias at its end."""
    head = struct.pack("<I", version) + string(spec) + struct.pack("<II", 3, len(tensors))
    aliases = struct.pack("<I", 1) + string("decoder/projection/weight") + string("decoder/embeddings/weight")
    return head + b"".join(tensors) + aliases


def write_ctranslate2(path: Path, encoder: WhisperEncoder) -> Path:
    """As CTranslate2's converter writes Whisper in float16: query, key and value fused, the key's bias zero."""
    state = {name: tensor.numpy().astype("<f2") for name, tensor in encoder.state_dict().items()}
    arrays = {f"encoder/{conv}/{kind}": state[f"{conv}.{kind}"] for conv in ("conv1", "conv2") for kind in ("weight", "bias")}
    arrays |= {"encoder/layer_norm/gamma": state["ln_post.weight"], "encoder/layer_norm/beta": state["ln_post.bias"]}
    for n in range(len(encoder.blocks)):
        block, theirs = f"blocks.{n}", f"encoder/layer_{n}"
        zeros = np.zeros_like(state[f"{block}.attn.query.bias"])
        for kind in ("weight", "bias"):
            key = state[f"{block}.attn.key.weight"] if kind == "weight" else zeros
            fused = [state[f"{block}.attn.query.{kind}"], key, state[f"{block}.attn.value.{kind}"]]
            arrays[f"{theirs}/self_attention/linear_0/{kind}"] = np.concatenate(fused)
            arrays[f"{theirs}/self_attention/linear_1/{kind}"] = state[f"{block}.attn.out.{kind}"]
            arrays[f"{theirs}/ffn/linear_0/{kind}"] = state[f"{block}.mlp.0.{kind}"]
            arrays[f"{theirs}/ffn/linear_1/{kind}"] = state[f"{block}.mlp.2.{kind}"]
        for part, norm in (("self_attention", "attn_ln"), ("ffn", "mlp_ln")):
            arrays[f"{theirs}/{part}/layer_norm/gamma"] = state[f"{block}.{norm}.weight"]
            arrays[f"{theirs}/{part}/layer_norm/beta"] = state[f"{block}.{norm}.bias"]
    tensors = [tensor_bytes(name, array, 4) for name, array in sorted(arrays.items())]
    path.write_bytes(model_bytes([tensor_bytes("decoder/scale", np.ones(N_DECODER, np.int8), 1), *tensors]))
    return path
