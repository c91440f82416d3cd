"""Networks with seeded weights: the rules of the parity fixtures, for proving loaders and stages without published weights."""

import math
import zlib

import numpy as np
import torch
from torch import nn


def rng(name: str) -> np.random.Generator:
    """The generator of one named tensor."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def seed_network(net: nn.Module, module: str) -> nn.Module:
    """Fill every tensor of ``net`` by its key, and put it into eval mode."""
    state = {key: torch.from_numpy(_values(f"{module}.{key}", tuple(old.shape))) for key, old in net.state_dict().items()}
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def _values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    r = rng(name)
    match name.rsplit(".", 1)[-1]:
        case "num_batches_tracked":
            return np.zeros(shape, np.int64)
        case "running_var":
            drawn = 1 + 0.1 * np.abs(r.standard_normal(shape))
        case "running_mean":
            drawn = 0.1 * r.standard_normal(shape)
        case "weight" if len(shape) <= 1:
            drawn = 1 + 0.1 * r.standard_normal(shape)
        case _ if len(shape) <= 1:
            drawn = 0.1 * r.standard_normal(shape)
        case _:
            drawn = r.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
    return np.asarray(drawn, np.float32)
