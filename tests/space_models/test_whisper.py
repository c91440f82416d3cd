"""Whisper's encoder against PyTorch's own transformer layers, and one encoder in four kinds of files."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from whisper_files import seeded_encoder, write_ctranslate2, write_hugging_face, write_openai, write_own

from space_data.errors import SpaceError
from space_data.whisper_mel import N_MELS, whisper_log_mel
from space_models.whisper import HEADS, MLP_RATIO, WIDTH, WhisperEncoder
from space_models.whisper_weights import encoder_sha256, load_encoder_file

WRITERS = {
    "tiny.en.pt": write_openai, "own.safetensors": write_own, "model.safetensors": write_hugging_face,
    "model.bin": write_ctranslate2,
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    return seeded_encoder()


@pytest.fixture
def log_mel(rng: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(rng.standard_normal((2, N_MELS, 60)).astype(np.float32))


def reference(encoder: WhisperEncoder, log_mel: torch.Tensor) -> list[torch.Tensor]:
    """The same by ``nn.TransformerEncoderLayer``, which fuses query, key and value, and by the formula of the positions."""
    x = F.gelu(F.conv1d(log_mel, encoder.conv1.weight, encoder.conv1.bias, padding=1))
    x = F.gelu(F.conv1d(x, encoder.conv2.weight, encoder.conv2.bias, stride=2, padding=1)).transpose(1, 2)
    rate = 10_000.0 ** (-np.arange(WIDTH // 2) / (WIDTH // 2 - 1))
    angle = np.arange(x.shape[1])[:, None] * rate
    states = [x + torch.from_numpy(np.concatenate([np.sin(angle), np.cos(angle)], 1).astype(np.float16).astype(np.float32))]
    for block in encoder.blocks:
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, MLP_RATIO * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        attention = {"query": block.attn.query, "key": block.attn.key, "value": block.attn.value}
        layer.load_state_dict({
            "self_attn.in_proj_weight": torch.cat([part.weight for part in attention.values()]),
            "self_attn.in_proj_bias": torch.cat([block.attn.query.bias, torch.zeros(WIDTH), block.attn.value.bias]),
            "self_attn.out_proj.weight": block.attn.out.weight, "self_attn.out_proj.bias": block.attn.out.bias,
            "linear1.weight": block.mlp[0].weight, "linear1.bias": block.mlp[0].bias, "linear2.weight": block.mlp[2].weight,
            "linear2.bias": block.mlp[2].bias, "norm1.weight": block.attn_ln.weight, "norm1.bias": block.attn_ln.bias,
            "norm2.weight": block.mlp_ln.weight, "norm2.bias": block.mlp_ln.bias,
        })  # fmt: skip
        with torch.no_grad():
            states.append(layer.eval()(states[-1]))
    return [*states[:-1], F.layer_norm(states[-1], (WIDTH,), encoder.ln_post.weight, encoder.ln_post.bias)]


def test_every_layer_equals_pytorchs(encoder: WhisperEncoder, log_mel: torch.Tensor) -> None:
    for found, wanted in zip(encoder.layers(log_mel), reference(encoder, log_mel), strict=True):
        assert found.shape == (2, 30, WIDTH)
        # one position in a hundred is rounded to the other neighbour in half precision: sines of large angles
        assert (found - wanted).abs().max() < 2e-3


def test_the_last_layer_alone_can_be_had_for_some_states(encoder: WhisperEncoder, log_mel: torch.Tensor) -> None:
    whole = encoder(log_mel)
    assert torch.equal(whole, encoder.layers(log_mel)[-1])
    assert (encoder(log_mel, slice(10, 14)) - whole[:, 10:14]).abs().max() < 1e-5


def test_more_than_30_s_or_other_bands_are_refused(encoder: WhisperEncoder) -> None:
    with pytest.raises(SpaceError, match="1501 states"):
        encoder(torch.zeros(1, N_MELS, 3002))
    with pytest.raises(SpaceError, match="40 bands"):
        encoder(torch.zeros(1, 40, 10))


def test_it_has_the_published_size() -> None:
    shapes = WhisperEncoder()
    assert sum(p.numel() for p in shapes.parameters()) + shapes.positional_embedding.numel() == 8_208_384


@pytest.mark.parametrize("name", WRITERS)
def test_one_encoder_whatever_file_it_comes_in(tmp_path: Path, encoder: WhisperEncoder, log_mel: torch.Tensor, name: str) -> None:
    loaded = load_encoder_file(WRITERS[name](tmp_path / name, encoder))
    assert encoder_sha256(loaded) == encoder_sha256(encoder)
    assert torch.equal(loaded(log_mel), encoder(log_mel)) and not any(p.requires_grad for p in loaded.parameters())


def test_the_hash_tells_two_encoders_apart(encoder: WhisperEncoder) -> None:
    other = seeded_encoder()
    with torch.no_grad():
        other.blocks[3].attn.key.weight[5, 7] += 1.0
    assert encoder_sha256(other) != encoder_sha256(encoder)


class Bomb:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code of a checkpoint ran')",)


def test_no_code_of_a_checkpoint_runs(tmp_path: Path) -> None:
    torch.save({"model_state_dict": Bomb()}, tmp_path / "tiny.en.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Bomb()))
    for name in ("tiny.en.pt", "plain.pt"):
        with pytest.raises(SpaceError, match="not a file of tensors"):
            load_encoder_file(tmp_path / name)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors", ".bin"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes(1000), b"\xff" * 100])
def test_what_is_no_checkpoint_is_refused_in_words(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"x{suffix}").write_bytes(content)
    with pytest.raises(SpaceError, match=f"x{suffix}"):
        load_encoder_file(tmp_path / f"x{suffix}")


def test_other_models_are_refused_by_their_tensors(tmp_path: Path, encoder: WhisperEncoder) -> None:
    torch.save({"model_state_dict": {"encoder.conv1.weight": torch.zeros(3)}}, tmp_path / "a.pt")
    torch.save([1, 2], tmp_path / "b.pt")
    state = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    save_file(state | {"conv1.bias": torch.zeros(512)}, tmp_path / "c.safetensors")
    matches = {"a.pt": "65 tensors missing", "b.pt": "no model_state_dict", "c.safetensors": r"another shape \['conv1.bias'\]"}
    for name, match in matches.items():
        with pytest.raises(SpaceError, match=match):
            load_encoder_file(tmp_path / name)
    with pytest.raises(SpaceError, match="name ends in '.onnx'"):
        load_encoder_file(tmp_path / "encoder.onnx")


BY_CTRANSLATE2 = {
    (0, 0): -1.4114, (10, 100): -0.0095, (25, 7): -0.2257, (50, 200): 1.1301, (50, 383): -0.2747, (73, 42): 0.4895,
    (99, 300): 0.7012,
}  # fmt: skip
"""(state, dimension): value for ``sweeps``, by CTranslate2 4 in float32 with the published weights."""


def sweeps() -> np.ndarray:
    """Two seconds of a rising and a falling tone."""
    t = np.arange(32_000) / 16_000
    rising = 0.3 * np.sin(2 * np.pi * (150 * t + 200 * t * t)) * (1 + np.sin(2 * np.pi * 3 * t))
    return (rising + 0.1 * np.sin(2 * np.pi * (2500 - 400 * t) * t)).astype(np.float32)


def test_equals_another_implementation_with_the_published_weights(published_encoder: WhisperEncoder) -> None:
    with torch.inference_mode():
        found = published_encoder(torch.from_numpy(whisper_log_mel(sweeps()))[None])[0].numpy()
    for place, value in BY_CTRANSLATE2.items():
        assert found[place] == pytest.approx(value, abs=2e-3)
    assert found.std() == pytest.approx(1.1102, abs=1e-3)


def test_equals_the_published_encoder(whisper_parity: dict, published_encoder: WhisperEncoder) -> None:
    with torch.inference_mode():
        found = published_encoder.layers(torch.from_numpy(whisper_parity["log_mel"])[None])
    for number, states in enumerate(found):
        difference = (states[0] - torch.from_numpy(whisper_parity[f"layer{number}"]).float()).abs().max()
        assert difference < 5e-3, f"layer {number}; the fixture is in half precision"
