"""The part of S2L that depends on a speaker or on how a data set was filmed, fitted on one's own clips in seconds.

Fitted is a linear correction of the mouth and jaw by what the network's last layers see (ridge regression, its strength chosen
by leaving clips out; the strongest leaves a constant; one that does not win there is not kept), then the map of the lip gap,
which gives the lips the range that they have in these clips. The network itself stays as it is. Every figure is of clips that
were left out, beside the same figure without calibration. Where lips are heard badly a natural range costs distance.
"""

import copy
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from space_data import landmarks as lm
from space_data.errors import SpaceError
from space_data.schema import NEUTRAL
from space_models.checkpoints import save_tensors
from space_models.retarget import neutral_of
from space_models.s2l.fit import AS_AVERAGED, set_gap_map
from space_models.s2l.metrics import LipFigures
from space_models.s2l.model import S2L
from space_models.s2l.network import N_OUT
from space_models.s2l.output import CONSTANT_SHARE, N_QUANTILES, GapMap, Points, fit_gap_map
from space_models.s2l.stream import NATURAL, hear, predict, start

logger = logging.getLogger(__name__)

CORRECTED = np.concatenate([lm.JAW[3:14], lm.MOUTH])
STRENGTHS = (300.0, 3000.0, 30000.0, np.inf)
"""Of the ridge, per frame-sized sum of squares; infinite: a constant alone."""
FRAMES_PER_KNOT = 12
"""The gap map's quantiles are as many as the frames of speech allow."""
FEWEST_KNOTS = 6
FEWEST_SPOKEN_FRAMES = 12
"""Of a take; one with fewer frames of speech with a face says nothing that could be left out, or learnt from."""
FOLDS = 4
VERSION = "1"


@dataclass(frozen=True)
class Take:
    """One clip: landmarks (T, 78, 3), speech as the model hears it (T, P, W), frames that speak and frames with a face, (T,)."""

    name: str
    normalised: NDArray[np.float32]
    speech: NDArray[np.float32]
    speaking: NDArray[np.bool_]
    found: NDArray[np.bool_]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Frames (T,) of speech with a face."""
        return self.speaking & self.found


@dataclass(frozen=True)
class Calibration:
    """Corrections of the last layers, in IOD per unit of what they see, and the gap map."""

    weights_sha256: str
    """of the model it belongs to"""
    hidden: NDArray[np.float32]
    """(234, hidden)"""
    patterns: NDArray[np.float32]
    """(234, FILTER_RANK)"""
    bias: NDArray[np.float32]
    """(234,)"""
    gap_map: GapMap
    figures: dict[str, dict[str, float]]
    """``before`` and ``after``, of clips that were left out"""


def calibrate(model: S2L, takes: Sequence[Take]) -> Calibration:
    """Fit ``takes``, all of one person or of one kind of footage.

    Raises:
        SpaceError: too little speech.
    """
    takes = _halved(_spoken(takes))
    spoken = sum(int(t.usable.sum()) for t in takes)
    if spoken < FRAMES_PER_KNOT * FEWEST_KNOTS:
        raise SpaceError(f"calibration: {spoken} frames of speech with a face, need {FRAMES_PER_KNOT * FEWEST_KNOTS} (3 s)")
    folds = [[i for i in range(len(takes)) if i % FOLDS == fold] for fold in range(min(FOLDS, len(takes)))]
    plain, candidates = LipFigures(), {strength: LipFigures() for strength in (None, *STRENGTHS)}
    design = [_design(model, take, _portraits(take, takes)) for take in takes]
    for left_out in folds:
        rest = [i for i in range(len(takes)) if i not in left_out]
        for strength, figures in candidates.items():
            tried = _applied(model, *_fitted(model, [takes[i] for i in rest], [design[i] for i in rest], strength))
            for i in left_out:
                _measure(figures, tried, takes[i], [takes[k] for k in rest])
        for i in left_out:
            _measure(plain, model, takes[i], [takes[k] for k in rest])
    best = min(candidates, key=lambda strength: float(np.mean(candidates[strength].rows["lmd_mouth"])))
    head, gap_map = _fitted(model, takes, design, best)
    return Calibration(model.weights_sha256, *head, gap_map, {"before": plain.summary(), "after": candidates[best].summary()})


def calibrated(model: S2L, calibration: Calibration, name: str) -> S2L:
    """A copy of ``model`` with ``calibration``, which errors call ``name``.

    Raises:
        SpaceError: it belongs to another model.
    """
    if calibration.weights_sha256 != model.weights_sha256:
        raise SpaceError(
            f"{name}: made for the model {calibration.weights_sha256[:12]}, need {model.weights_sha256[:12]} "
            "(run `space calibrate` anew)"
        )
    return _applied(model, (calibration.hidden, calibration.patterns, calibration.bias), calibration.gap_map)


Head = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def _applied(model: S2L, head: Head, gap_map: GapMap) -> S2L:
    """The prediction is a mixture of two branches: each takes its part of the correction, divided by its share."""
    other = copy.deepcopy(model)
    hidden, patterns, bias = (torch.from_numpy(part) for part in head)
    share, network = model.config.linear_share, other.network
    with torch.no_grad():
        if share < 1:
            network.out_proj.weight.add_(hidden / (1 - share))
            network.out_proj.bias.add_(bias / (1 - share))
        else:
            network.filter_proj.bias.add_(bias)
        if share > 0:
            network.filter_proj.weight.add_(patterns / share)
    set_gap_map(other, gap_map)
    return other


def _spoken(takes: Sequence[Take]) -> list[Take]:
    """The takes in which somebody speaks; a warning names the others."""
    for take in takes:
        if take.usable.sum() < FEWEST_SPOKEN_FRAMES:
            logger.warning(
                "left out: %s: %d frames of speech with a face, need %d", take.name, take.usable.sum(), FEWEST_SPOKEN_FRAMES
            )
    return [take for take in takes if take.usable.sum() >= FEWEST_SPOKEN_FRAMES]


def _halved(takes: Sequence[Take]) -> list[Take]:
    """The takes; a single one in two, each with half of its speech, so that there is something to leave out."""
    if len(takes) != 1:
        return list(takes)
    take, spoken = takes[0], np.cumsum(takes[0].usable)
    middle = int(np.searchsorted(spoken, (spoken[-1] + 1) // 2)) + 1
    parts = (slice(0, middle), slice(middle, None))
    return [
        Take(f"{take.name}, {half} half", take.normalised[p], take.speech[p], take.speaking[p], take.found[p])
        for half, p in zip(("first", "second"), parts, strict=True)
    ]


def _portraits(take: Take, others: Sequence[Take]) -> list[Points]:
    """Photos from which a take is spoken in fitting: its own first frame, and the person's resting face in all takes."""
    resting = neutral_of(np.concatenate([t.normalised[t.found] for t in others]))
    return [take.normalised[0], resting]


Design = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _design(model: S2L, take: Take, portraits: Sequence[Points]) -> Design:
    """Per portrait what the last layers see (T, H + R), less the share of its mean that ``output.spoken`` takes off, and what is
    left to explain of mouth and jaw, (T, 3 M)."""
    rows: Design = []
    shares = _shares(model)
    for portrait in portraits:
        state = start(model, portrait, NEUTRAL, AS_AVERAGED, model.speech_input.statistics_of(_samples(take.speech)), NEUTRAL)
        hidden, patterns = hear(model, state, take.speech, NEUTRAL)
        constant_hidden, constant_patterns = model.constant_inputs(state.speaker.face)
        seen = np.concatenate([shares[0] * (hidden - CONSTANT_SHARE * constant_hidden),
                               shares[1] * (patterns - CONSTANT_SHARE * constant_patterns)], axis=1)  # fmt: skip
        said = predict(model, take.speech, portrait, NEUTRAL, NEUTRAL, AS_AVERAGED)
        left = (take.normalised - said)[:, CORRECTED].reshape(len(said), -1)
        rows.append((seen[take.found].astype(np.float64), left[take.found].astype(np.float64)))
    return rows


def _shares(model: S2L) -> tuple[float, float]:
    """1 for a branch that is mixed in, 0 for one that is not."""
    return float(model.config.linear_share < 1), float(model.config.linear_share > 0)


def _fitted(model: S2L, takes: Sequence[Take], designs: Sequence[Design], strength: float | None) -> tuple[Head, GapMap]:
    """Head and gap map from ``takes``; None: no head."""
    hidden, patterns = model.config.hidden, model.network.filter_proj.in_features
    weight, bias = np.zeros((N_OUT, hidden + patterns)), np.zeros(N_OUT)
    if strength is not None:
        rows = (CORRECTED[:, None] * 3 + np.arange(3)).ravel()
        seen, left = (np.concatenate([pair[k] for design in designs for pair in design]) for k in (0, 1))
        if np.isfinite(strength):
            centred = seen - seen.mean(axis=0)
            gram = centred.T @ centred + strength * np.eye(centred.shape[1])
            weight[rows] = np.linalg.solve(gram, centred.T @ (left - left.mean(axis=0))).T
        # ``spoken`` takes off CONSTANT_SHARE of a bias again.
        bias[rows] = (left.mean(axis=0) - weight[rows] @ seen.mean(axis=0)) / (1 - CONSTANT_SHARE)
    head = (weight[:, :hidden].astype(np.float32), weight[:, hidden:].astype(np.float32), bias.astype(np.float32))
    return head, _gap_map(_applied(model, head, model.gap_map), takes)


def _gap_map(model: S2L, takes: Sequence[Take]) -> GapMap:
    """Fitted on the frames of speech of ``takes``, in as many knots as they allow."""
    predicted, measured = [], []
    for take in takes:
        used = take.usable
        for portrait in _portraits(take, takes):
            predicted.append(lm.lip_gap(predict(model, take.speech, portrait, NEUTRAL, NEUTRAL, AS_AVERAGED))[used])
            measured.append(lm.lip_gap(take.normalised)[used])
    gaps, truth = np.concatenate(predicted), np.concatenate(measured)
    n_knots = int(np.clip(len(gaps) // (2 * FRAMES_PER_KNOT), FEWEST_KNOTS, N_QUANTILES))
    few = fit_gap_map(gaps, np.zeros_like(gaps), truth, n_knots)
    knots = np.interp(np.linspace(0, n_knots - 1, N_QUANTILES), np.arange(n_knots), few.predicted).astype(np.float32)
    return GapMap(knots, few(knots).astype(np.float32))


def _measure(figures: LipFigures, model: S2L, take: Take, others: Sequence[Take]) -> None:
    """Add the figures of a take spoken from the person's resting face in the other takes, and from its own first frame."""
    resting = neutral_of(np.concatenate([t.normalised[t.found] for t in others]))
    for portrait in (resting, take.normalised[0]):
        track = predict(model, take.speech, portrait, NEUTRAL, NEUTRAL, NATURAL)
        figures.add(track[take.found], take.normalised[take.found], take.speaking[take.found])


def _samples(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    return speech.reshape(-1, speech.shape[-1])


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Write a ``.safetensors`` file.

    Raises:
        SpaceError: it cannot be written.
    """
    arrays = {
        "hidden": calibration.hidden, "patterns": calibration.patterns, "bias": calibration.bias,
        "gap_predicted": calibration.gap_map.predicted, "gap_measured": calibration.gap_map.measured,
    }  # fmt: skip
    facts = {"version": VERSION, "model": calibration.weights_sha256, "figures": json.dumps(calibration.figures)}
    save_tensors(path, {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}, facts)


def load_calibration(path: Path) -> Calibration:
    """What ``save_calibration`` wrote.

    Raises:
        SpaceError: no such file, or not one of these.
    """
    if not path.is_file():
        raise SpaceError(f"{path}: no such file (make one with `space calibrate`)")
    try:
        with safe_open(path, "np") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError as error:
        raise SpaceError(f"{path}: not a calibration ({error})") from error
    if facts.get("version") != VERSION:
        found = facts.get("version")
        raise SpaceError(f"{path}: calibration version {found}, need {VERSION} (a model's weights, or of another release?)")
    gap_map = GapMap(tensors["gap_predicted"], tensors["gap_measured"])
    figures = json.loads(facts["figures"])
    return Calibration(facts["model"], tensors["hidden"], tensors["patterns"], tensors["bias"], gap_map, figures)
