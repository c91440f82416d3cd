"""Models on disk: ``weights.safetensors`` beside ``card.json``; never pickled code.

The card says what is needed to rebuild and to trust the weights: the model's name and configuration, the hash of the data it
saw, the command that made it, its figures, and the SHA-256 of the weights themselves.
"""

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from space_data.errors import SpaceError
from space_data.files import atomic_file

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")
PLAIN: dict[Any, Any] = {bool: bool, int: int, float: (int, float), str: str}
"""What may stand in a card for a field of that type; others are checked by who uses them."""

CARD_VERSION = 1
WEIGHTS_FILE, CARD_FILE = "weights.safetensors", "card.json"


@dataclass(frozen=True)
class Card:
    """What stands beside the weights."""

    model: str
    """``s2l``, ``posegen``, ``l2l``, ``compact`` ..."""
    config: dict[str, Any]
    """constructor arguments of the model, as JSON"""
    data_hash: str
    """of all data that training was given, labels and held-out clips included (``dataset.hash_of``)"""
    command: str
    """what made it, e.g. ``python -m pipelines.stages train_s2l``"""
    metrics: dict[str, float] = field(default_factory=dict)
    notes: str = ""
    """what the data were, in words; licence where it is not the repository's"""
    git_revision: str = ""
    weights_sha256: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    """the section of ``params.yaml`` that it was trained with"""
    held_out: str = ""
    """what the figures were measured on, in words"""
    version: int = CARD_VERSION


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """The module's state as contiguous tensors of their own on the CPU (LSTM weights share storage on a GPU)."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}


def save_model(folder: Path, module: nn.Module, card: Card) -> Card:
    """Write weights and card into ``folder``, the card last; returns the card with revision and hash filled in."""
    save_tensors(folder / WEIGHTS_FILE, plain_state(module))
    card = dataclasses.replace(
        card, git_revision=card.git_revision or git_revision(), weights_sha256=_sha256(folder / WEIGHTS_FILE)
    )
    with atomic_file(folder / CARD_FILE) as part:
        part.write_text(json.dumps(dataclasses.asdict(card), indent=1, sort_keys=True) + "\n")
    return card


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write a ``.safetensors`` file, in one step.

    Raises:
        SpaceError: it cannot be written.
    """
    with atomic_file(path) as part:
        try:
            save_file(dict(tensors), part, metadata=dict(facts) if facts else None)
        except SafetensorError as error:  # of a full disk, too, where others raise OSError
            raise SpaceError(f"{path}: cannot be written ({error})") from error


def load_card(folder: Path, model: str) -> Card:
    """The card in ``folder``.

    Raises:
        SpaceError: none there, unreadable, of another model, or written by a newer release.
    """
    path = folder / CARD_FILE
    if not path.is_file():
        raise SpaceError(f"{path}: no such model (train it with `dvc repro`, or leave the folder out to use the shipped weights)")
    try:
        card = Card(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise SpaceError(f"{path}: not a model card ({error})") from error
    if card.model != model:
        raise SpaceError(f"{path}: holds model {card.model!r}, need {model!r} (folders swapped?)")
    if card.version != CARD_VERSION:
        raise SpaceError(f"{path}: card version {card.version}, need {CARD_VERSION} (written by another release?)")
    return card


def from_config(folder: Path, card: Card, make: Callable[..., Config]) -> Config:
    """``make(**card.config)``: what a model is made of, from the card in ``folder``.

    Raises:
        SpaceError: keys are missing or not known, or a value is of another type.
    """
    what = f"{folder / CARD_FILE}: not a configuration of {card.model}"
    try:
        config = make(**card.config)
    except (TypeError, KeyError, AttributeError) as error:
        raise SpaceError(f"{what} ({error}; written by another release?)") from error
    for each in dataclasses.fields(config):
        value = getattr(config, each.name)
        if each.type in PLAIN and not isinstance(value, PLAIN[each.type]):
            raise SpaceError(f"{what} ({each.name} is {value!r}, need {each.type.__name__}; changed by hand?)")  # type: ignore[union-attr]
    return config


def load_weights(folder: Path, card: Card, module: nn.Module) -> None:
    """Fill ``module`` with the weights in ``folder``, after checking their hash and their names.

    Raises:
        SpaceError: the file is missing or damaged, or its tensors do not fit the module.
    """
    path = folder / WEIGHTS_FILE
    if not path.is_file() or _sha256(path) != card.weights_sha256:
        raise SpaceError(f"{path}: missing, or not the file its card describes (incomplete download or checkout?)")
    try:
        load_state(module, load_file(path), str(path))
    except SafetensorError as error:
        raise SpaceError(f"{path}: not a safetensors file ({error})") from error


def load_state(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """``module.load_state_dict`` that names what is missing, left over or of another shape."""
    own = module.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    misfit = [name for name in sorted(own.keys() & state.keys()) if own[name].shape != state[name].shape]
    if missing or extra or misfit:
        raise SpaceError(
            f"{what}: {len(missing)} tensors missing {missing[:3]}, {len(extra)} unknown {extra[:3]}, "
            f"{len(misfit)} of another shape {misfit[:3]} (does the configuration belong to these weights?)"
        )
    module.load_state_dict(dict(state))


def git_revision() -> str:
    """Short revision of the repository this code runs from, with ``+`` if tracked files differ; empty outside one."""
    here = Path(__file__).resolve().parent
    try:
        revision = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=here, capture_output=True).returncode
    except (OSError, subprocess.CalledProcessError):  # no git, or an installed copy: not an error, just not known
        return ""
    return revision + ("+" if changed else "")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
