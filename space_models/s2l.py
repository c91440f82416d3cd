"""Speech2Landmarks: speech and emotion to the landmarks of a given face in normalised space (paper, section 3.1).

As far as the paper's design is known: short unidirectional temporal convolutions, an LSTM, FiLM conditioning on the emotion.
Our choices (docs/departures.md): the network predicts the *displacement* from the portrait's own resting face, sees that face,
and may look ``lookahead_frames`` ahead. It is causal otherwise and can run as a stream.

Beside the deep network stands a linear filter, trained on the same windows; what is predicted is a mixture of both. Trained on
espeak-ng, the deep one knows its voices too well: on real speakers the filter follows the lips better than the network, on
espeak-ng much worse, and a mixture has most of either's strength (docs/LOG.md).
"""

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter
from torch import Tensor, nn
from torch.nn import functional as F

from space_data import landmarks as lm
from space_data.schema import EMOTIONS
from space_data.speech import MEL_BANDS, PEAK_PERCENTILE, mean_normalise
from space_data.timebase import FEATURE_HZ, FEATURES_PER_FRAME
from space_models.checkpoints import load_card, load_weights
from space_models.dataset import TrackClip, by_frame, by_subject, resting_faces
from space_models.film import FiLM, condition_of, learnt_emotion
from space_models.retarget import close_smile

N_OUT = lm.N_LANDMARKS * 3
NEUTRAL = EMOTIONS.index("neutral")
FACE_CODE = 32
NEPERS_PER_DB = np.log(10) / 10
BANDS_PER_GROUP = 3
HEARD_BANDS = MEL_BANDS // BANDS_PER_GROUP
"""Mel bands are heard in groups: espeak-ng's formants are narrower than any throat's."""
LEAST_BAND_SD = 0.3
"""Each group is scaled to unit s.d., but not by more than 1 / this: espeak-ng's voices are cleaner than any room (s.d. 3.5-4.0
nepers against 1.5-3.4)."""
FILTER_FRAMES, FILTER_RANK = 8, 32
"""Video frames that the linear filter spans, look-ahead included, and of how many temporal patterns it is made."""
FILTER_SHARE = 0.4
"""Of the linear filter in what is predicted."""
LIPS_WEIGHT = 3.0
MOUTH_WEIGHT, OTHER_WEIGHT = 6.0, 1.0
LIDS = np.array([37, 38, 40, 41, 43, 44, 46, 47])
CLOSED_GAP_IOD = 0.012
UPPER_INNER, LOWER_INNER = (np.array(side) for side in zip(*lm.INNER_LIP_PAIRS, strict=True))
REST_GAP_IOD, REST_WIDTH_IOD = 0.01, 0.58
"""Mouth of a resting face, to which a portrait's open mouth is brought before it speaks."""


@dataclass(frozen=True)
class S2LConfig:
    """Size of the network."""

    channels: int
    hidden: int
    lookahead_frames: int
    dropout: float
    labelled: bool = True
    """some training clips have an emotion"""
    unlabelled: bool = False
    """some have none: these make the null condition, never neutral. Older cards say neither: all of theirs had one"""


class CausalConv(nn.Module):
    """Convolution over time that sees no later than its own last sample: (batch, in, time) -> (batch, out, time / stride)."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.left = kernel - stride
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Pad on the left so that output k covers input up to (k + 1) * stride."""
        return self.conv(F.pad(x, (self.left, 0)))


class S2L(nn.Module):
    """Displacement of normalised landmarks from a resting face.

    Shapes: log_mel (batch, 4 T, 13), ``standardised``; face (batch, 78 * 3); emotion (batch, 9), all NaN where it is unknown; out
    (batch, T, 78, 3), in IOD.
    """

    def __init__(self, config: S2LConfig) -> None:
        super().__init__()
        self.config = config
        c, n_condition = config.channels, len(EMOTIONS) + config.unlabelled
        self.convs = nn.ModuleList([CausalConv(HEARD_BANDS, c, 5, 2), CausalConv(c, c, 5, 2), CausalConv(c, c, 3)])
        self.films = nn.ModuleList([FiLM(n_condition, c) for _ in self.convs])
        self.face = nn.Sequential(nn.Linear(N_OUT, FACE_CODE), nn.GELU())
        self.drop = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(c + FACE_CODE, config.hidden, batch_first=True)
        self.film_out = FiLM(n_condition, config.hidden)
        self.out = nn.Linear(config.hidden, N_OUT)
        self.lasting = nn.Linear(n_condition + FACE_CODE, N_OUT, bias=False)
        nn.init.zeros_(self.lasting.weight)
        self.patterns = CausalConv(HEARD_BANDS, FILTER_RANK, FILTER_FRAMES * FEATURES_PER_FRAME, FEATURES_PER_FRAME)
        self.filtered = nn.Linear(FILTER_RANK, N_OUT)
        for last in (self.out, self.filtered):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)

    def forward(self, log_mel: Tensor, face: Tensor, emotion: Tensor) -> tuple[Tensor, Tensor]:
        """What the deep network and what the linear filter say; see the class."""
        # "Neutral" is the absence of emotion: a mixture that leaves it out means the same.
        mixture = condition_of(emotion, self.config.unlabelled).clone()
        mixture[:, NEUTRAL] = 0.0
        ahead = self.config.lookahead_frames * FEATURES_PER_FRAME
        heard = F.pad(log_mel, (0, 0, 0, ahead), mode="replicate" if ahead else "constant").transpose(1, 2)
        x = heard
        for conv, film in zip(self.convs, self.films, strict=True):
            x = self.drop(F.gelu(film(conv(x), mixture)))
        x = x.transpose(1, 2)
        code = self.face(face)
        hidden, _ = self.lstm(torch.cat([x, code[:, None].expand(-1, x.shape[1], -1)], -1))
        hidden = self.film_out(hidden.transpose(1, 2), mixture).transpose(1, 2)
        # What lasts: an emotion's brows, lids and corners, less what the portrait wears already. FiLM then only has to change how
        # speech looks with it.
        lasting = self.lasting(torch.cat([mixture, code], -1))[:, None]
        deep = self.out(self.drop(hidden)) + lasting
        linear = self.filtered(self.patterns(heard).transpose(1, 2)) + lasting
        first = self.config.lookahead_frames
        return tuple(out[:, first:].unflatten(-1, (lm.N_LANDMARKS, 3)) for out in (deep, linear))  # type: ignore[return-value]

    @torch.no_grad()
    def predict(
        self, features: NDArray[np.float32], face: NDArray[np.float32], emotion: NDArray[np.floating]
    ) -> NDArray[np.float32]:
        """Normalised landmarks (T, 78, 3) of ``face`` (78, 3) saying ``features`` (T, 160) with ``emotion`` (9,)."""
        emotion = learnt_emotion(emotion, self.config.labelled, self.config.unlabelled, "s2l")
        arrays = (standardised(features.reshape(-1, MEL_BANDS)), face.ravel(), emotion.astype(np.float32))
        device = self.out.weight.device
        deep, linear = self(*(torch.from_numpy(array[None]).to(device) for array in arrays))
        return face[None] + torch.lerp(deep, linear, FILTER_SHARE)[0].float().cpu().numpy()


def load_s2l(folder: Path) -> S2L:
    """The trained model in ``folder``, ready to predict."""
    card = load_card(folder, "s2l")
    model = S2L(S2LConfig(**card.config))
    load_weights(folder, card, model)
    return model.eval()


def relaxed(face: NDArray[np.float32]) -> NDArray[np.float32]:
    """A portrait's normalised face (78, 3) with an open mouth brought to rest."""
    return close_smile(face, REST_GAP_IOD, REST_WIDTH_IOD)


def standardised(log_mel: NDArray[np.floating]) -> NDArray[np.float32]:
    """Log-mel of an utterance (F, 40) as the network hears it, (F, 13): groups of bands of zero mean and unit s.d."""
    groups = log_mel[:, : HEARD_BANDS * BANDS_PER_GROUP].reshape(len(log_mel), HEARD_BANDS, BANDS_PER_GROUP).mean(axis=2)
    centred = groups - groups.mean(axis=0)
    return (centred / np.maximum(centred.std(axis=0), LEAST_BAND_SD)).astype(np.float32)


def reverberant(log_mel: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Features (F, 40) with the exponential tail of a room of 0.2-0.6 s reverberation time, in the power domain."""
    decay = 10.0 ** (-6.0 / (FEATURE_HZ * rng.uniform(0.2, 0.6)))  # 60 dB per reverberation time
    peak = log_mel.max()
    power = np.exp(log_mel - peak)
    tail = lfilter([0.0, 1.0], [1.0, -decay], power, axis=0)
    return np.log(power + rng.uniform(0, 0.25) * np.asarray(tail) + 1e-9) + peak


def augmented(log_mel: NDArray[np.float32], rng: np.random.Generator, noise_db: tuple[float, float]) -> NDArray[np.float32]:
    """Features (F, 40) as another room and voice would give them, standardised (F, 13).

    Steady coloured noise at a random level below the peak (half of the time), a reverberant tail (likewise), a shift of up to
    1.5 bands (vocal tract), and masked bands and one masked stretch (SpecAugment, Park et al. 2019).
    """
    out = log_mel.astype(np.float64)
    shift = rng.uniform(-1.5, 1.5)
    bands = np.arange(MEL_BANDS)
    low = np.clip(np.floor(bands + shift), 0, MEL_BANDS - 1).astype(int)
    part = (bands + shift) - np.floor(bands + shift)
    out = out[:, low] * (1 - part) + out[:, np.minimum(low + 1, MEL_BANDS - 1)] * part
    peak = np.percentile(out, PEAK_PERCENTILE)
    if rng.random() < 0.5:
        level = peak - rng.uniform(*noise_db) * NEPERS_PER_DB
        colour = np.interp(bands, [0, 13, 26, 39], rng.normal(0, 1.0, 4))
        out = np.logaddexp(out, level + colour + rng.normal(0, 0.4, out.shape))
    if rng.random() < 0.5:
        out = reverberant(out, rng)
    masked = standardised(out)
    stretch = int(rng.integers(0, max(1, len(out) - 12)))
    for most in (2, 3):
        band = int(rng.integers(0, HEARD_BANDS - most))
        masked[:, band : band + int(rng.integers(0, most + 1))] = 0.0
    masked[stretch : stretch + int(rng.integers(0, 13))] = 0.0
    return masked


class S2LTask:
    """Windows of speech with the landmarks that go with them (``trainer.Task``)."""

    criterion = "lmd_mouth"

    def __init__(
        self,
        train: list[TrackClip],
        held_out: list[TrackClip],
        batch: int,
        frames: int,
        noise_db: tuple[float, float],
        filmed_share: float,
    ) -> None:
        kinds = {kind: [c for c in train if c.clip.kind == kind] for kind in ("video", "speech_only")}
        self._kinds = [clips for clips in kinds.values() if clips]
        self._filmed_share = filmed_share if len(self._kinds) == 2 else 1.0
        self._of_subject = by_subject(train)
        self.held_out = list(by_subject(held_out).values())
        self._batch, self._frames, self._noise_db = batch, frames, noise_db

    def batch(self, rng: np.random.Generator, draw: int) -> dict[str, NDArray[np.float32]]:
        """One batch: ``log_mel``, ``face``, ``emotion``, ``target`` (batch, T, 78, 3) displacement, ``mask`` (batch, T).

        The face shown is what ``animate`` would show, given any frame of the subject as portrait. It may wear an emotion already,
        which must be taken off; were it often the one to be put on, the label would count for less.
        """
        rows = []
        for filmed in rng.random(self._batch) < self._filmed_share:
            clips = self._kinds[0 if filmed else -1]
            rows.append(self._window(clips[int(rng.integers(len(clips)))], rng))
        return {name: np.stack([row[name] for row in rows]).astype(np.float32) for name in rows[0]}

    def _window(self, clip: TrackClip, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        n = self._frames
        begin = int(rng.integers(0, max(1, len(clip) - n + 1)))
        points = clip.normalised[begin : begin + n]
        sound = by_frame(augmented(clip.log_mel, rng, self._noise_db))[begin : begin + n]
        short = n - len(points)
        takes = self._of_subject[clip.clip.subject]
        seen = takes[int(rng.integers(len(takes)))]
        face = relaxed(seen.normalised[int(rng.integers(len(seen)))])
        return {
            "log_mel": np.pad(sound, ((0, short), (0, 0))).reshape(-1, HEARD_BANDS),
            "face": face.ravel(),
            "emotion": clip.clip.emotion,
            "target": np.pad(points - face, ((0, short), (0, 0), (0, 0))),
            "mask": np.pad(~clip.interpolated[begin : begin + n], (0, short)).astype(np.float32),
        }

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """``displacement_loss`` of the deep network and of the linear filter, which learn side by side; parts of the former."""
        deep, linear = model(batch["log_mel"], batch["face"], batch["emotion"])
        total, parts = displacement_loss(deep, batch["target"], batch["mask"])
        beside, _ = displacement_loss(linear, batch["target"], batch["mask"])
        return total + beside, {**parts, "linear": beside}

    def validate(self, model: nn.Module, unit: list[TrackClip]) -> dict[str, float]:
        """Mouth distance and lip-gap correlation on the clips of one held-out identity."""
        figures = evaluate(model, unit)  # type: ignore[arg-type]
        return {name: figures[name] for name in ("lmd_mouth", "lip_gap_r")}


def displacement_loss(out: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of displacements (batch, T, 78, 3) where ``mask`` (batch, T) is 1, and its parts.

    Squared error of positions and of velocities, mouth first; the lip gap and its velocity; lips that should meet. The lids by
    absolute error, which makes them follow their median: blinks cannot be heard, and their mean would leave the eyes half shut.
    """
    weight = torch.full((lm.N_LANDMARKS, 1), OTHER_WEIGHT, device=out.device)
    weight[lm.MOUTH], weight[LIDS], weight[lm.IRISES] = MOUTH_WEIGHT, 0.0, 0.0
    error = (out - target) * mask[..., None, None]
    moved = (error[:, 1:] - error[:, :-1]) * mask[:, 1:, None, None]
    count = mask.sum() * lm.N_LANDMARKS
    position = (weight * error**2).sum() / count
    velocity = (weight * moved**2).sum() / count
    lids = error[:, :, LIDS].abs().sum() / count
    irises = (out[:, :, lm.IRISES] ** 2).sum() / count
    gap = out[..., LOWER_INNER, 1].mean(-1) - out[..., UPPER_INNER, 1].mean(-1)
    true_gap = target[..., LOWER_INNER, 1].mean(-1) - target[..., UPPER_INNER, 1].mean(-1)
    closed = (true_gap < CLOSED_GAP_IOD).float() * mask
    contact = (F.relu(gap - true_gap) ** 2 * closed).sum() / mask.sum()
    gap_error = (gap - true_gap) * mask
    gap_moved = (gap_error[:, 1:] - gap_error[:, :-1]) * mask[:, 1:]
    lips = ((gap_error**2).sum() + (gap_moved**2).sum()) / mask.sum()
    parts = {"position": position, "velocity": velocity, "lips": lips, "lids": lids, "contact": contact}
    return position + 2.0 * velocity + LIPS_WEIGHT * lips + 0.02 * lids + irises + contact, parts


def mouth_distance(predicted: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Mean distance of the mouth's landmarks, IOD, (T, 78, 3) each."""
    return float(np.linalg.norm(predicted[:, lm.MOUTH, :2] - truth[:, lm.MOUTH, :2], axis=-1).mean())


def correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Pearson's r; 0 where one of them does not move (by more than float32 does)."""
    moves = min(a.std(dtype=np.float64), b.std(dtype=np.float64)) > 1e-6
    return float(np.corrcoef(a, b)[0, 1]) if moves else 0.0


@dataclass(frozen=True)
class Means:
    """What a model that hears nothing would predict: mean ``displacement`` from a resting face, or the mean ``face``, (78, 3)."""

    displacement: NDArray[np.float32]
    face: NDArray[np.float32]

    @staticmethod
    def of(clips: list[TrackClip]) -> "Means":
        """Over ``clips``, each counted once."""
        faces = resting_faces(clips)
        moved = [c.normalised.mean(0) - relaxed(faces[c.clip.subject]) for c in clips]
        return Means(np.mean(moved, axis=0), np.mean([c.normalised.mean(0) for c in clips], axis=0))


def evaluate(model: S2L, clips: list[TrackClip], means: Means | None = None) -> dict[str, float]:
    """Normalised mouth landmark distance, IOD, and correlations of the lips; means over clips.

    The portrait is the subject's resting face (``resting_faces``), or, as in the benchmark's videos, the clip's first frame, open
    mouth, grimace and all (``first_``, and the correlations). ``_still`` repeats the portrait, ``_mean`` is the portrait brought
    to rest + the training set's mean displacement, ``_mean_face`` the training set's mean face.
    """
    rows: dict[str, list[float]] = defaultdict(list)
    resting = resting_faces(clips)
    for clip in clips:
        truth, features = clip.normalised, by_frame(mean_normalise(clip.log_mel))

        def distance(face: NDArray[np.float32], truth: NDArray[np.float32] = truth) -> float:
            return mouth_distance(np.broadcast_to(face, truth.shape), truth)

        for name, portrait in (("", resting[clip.clip.subject]), ("first_", truth[0])):
            rest = relaxed(portrait)
            predicted = model.predict(features, rest, clip.clip.emotion)
            rows[f"{name}lmd_mouth"].append(distance(predicted))
            rows[f"{name}lmd_mouth_still"].append(distance(portrait))
            if means is not None:
                rows[f"{name}lmd_mouth_mean"].append(distance(rest + means.displacement))
        if means is not None:
            rows["lmd_mouth_mean_face"].append(distance(means.face))
        rows["lip_gap_r"].append(correlation(lm.lip_gap(predicted), lm.lip_gap(truth)))
        rows["lip_width_r"].append(correlation(lm.lip_width(predicted), lm.lip_width(truth)))
        rows["lip_gap_sd_ratio"].append(float(lm.lip_gap(predicted).std() / max(lm.lip_gap(truth).std(), 1e-6)))
    return {name: float(np.mean(values)) for name, values in rows.items()}


def config_of(model: S2L) -> dict[str, int]:
    """Constructor arguments for the card."""
    return asdict(model.config)
