"""SyncNet: whether lips and voice belong together, and how far apart they are, by the published network and protocol.

Source: Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV-W 2016, and the release that every published
LSE-C and LSE-D comes from (joonson/syncnet_python, MIT). The network here takes that release's checkpoint as it is, and gives the
release's numbers for seeded weights (``tests/space_models/test_syncnet.py``).

Kept, though odd, because scores are only comparable with it: the last possible window is left out; sound beyond the ends counts
as a zero embedding, which lowers the confidence of short clips (5.8 at 20 windows where long clips of the same content have 7.5).
Departures: the face box (``FACE_BOX_SCALE``); pictures and sound are not compressed again on the way (the release writes MPEG-4
and JPEG, and its AVI delays the sound by up to 1.7 frames); offsets have our sign, + = audio late, the opposite of theirs.
"""

import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct, rfft
from scipy.signal import medfilt
from torch import Tensor, nn
from torch.nn import functional

from space_data.errors import SpaceError
from space_data.timebase import AUDIO_HZ, FEATURES_PER_FRAME, SAMPLES_PER_FEATURE

CROP_PX = 224
WINDOW_FRAMES = 5
WINDOW_MFCCS = WINDOW_FRAMES * FEATURES_PER_FRAME
EMBEDDING = 1024
SHIFTS = 15
"""Lags are looked for within so many frames to either side."""
LEAST_WINDOWS = 2 * SHIFTS + 1
"""With fewer, most of the sound at the far lags would be padding."""

FACE_BOX_SCALE, FACE_BOX_LIFT = 1.1, 0.12
"""The release's detector (S3FD) gives another box than ours around the face mesh: its larger side is so many times ours, its
centre so many of our half sides higher. Measured on 13 clips and portraits with MTCNN, which learnt the same WIDER FACE boxes
(1.10, s.d. 0.04; 0.13, s.d. 0.03), as S3FD's weights were not at hand; the size of the one S3FD box that follows from
face-alignment's published test answer agrees."""
CROP_MARGIN = 0.4
PADDING_GREY = 110
SMOOTHING_FRAMES = 13

MFCC_WINDOW_SAMPLES = AUDIO_HZ // 40
FFT_SIZE = 512
MEL_BANDS = 26
CEPSTRA = 13
PRE_EMPHASIS = 0.97
LIFTER = 22
INT16 = 1 << 15
_FFT_BATCH = 4096


def _sound_block(before: int, after: int, kernel: tuple[int, int], padding: int = 0) -> list[nn.Module]:
    return [nn.Conv2d(before, after, kernel, padding=padding), nn.BatchNorm2d(after), nn.ReLU()]


def _lip_block(before: int, after: int, frames: int, side: int, stride: int = 1, padding: int = 0) -> list[nn.Module]:
    """A square kernel over ``frames`` frames; stride and padding leave time alone."""
    conv = nn.Conv3d(before, after, (frames, side, side), (1, stride, stride), (0, padding, padding))
    return [conv, nn.BatchNorm3d(after), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))


class SyncNet(nn.Module):
    """Two towers into one 1024-dimensional space. State-dict keys and shapes are those of ``syncnet_v2.model``."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_sound_block(1, 64, (3, 3), padding=1),
            nn.Identity(),  # a pooling of 1 x 1 in the release; it only holds the index
            *_sound_block(64, 192, (3, 3), padding=1),
            nn.MaxPool2d(3, (1, 2)),
            *_sound_block(192, 384, (3, 3), padding=1),
            *_sound_block(384, 256, (3, 3), padding=1),
            *_sound_block(256, 256, (3, 3), padding=1),
            nn.MaxPool2d(3, 2),
            *_sound_block(256, 512, (5, 4)),
        )
        self.netcnnlip = nn.Sequential(
            *_lip_block(3, 96, WINDOW_FRAMES, 7, stride=2),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_block(96, 256, 1, 5, stride=2, padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_lip_block(256, 256, 1, 3, padding=1),
            *_lip_block(256, 256, 1, 3, padding=1),
            *_lip_block(256, 256, 1, 3, padding=1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_lip_block(256, 512, 1, 6),
        )
        self.netfcaud, self.netfclip = _head(), _head()

    def lips(self, frames: Tensor) -> Tensor:
        """Embeddings of all windows of consecutive frames (T, 3, 224, 224), BGR 0-255: (T - 4, 1024).

        Only the first layer looks along time, so one pass over the run of frames equals the release's pass per window.
        """
        if frames.ndim != 4 or frames.shape[1:] != (3, CROP_PX, CROP_PX) or len(frames) < WINDOW_FRAMES:
            raise SpaceError(f"SyncNet: frames of shape {tuple(frames.shape)}, needs (at least 5, 3, {CROP_PX}, {CROP_PX})")
        features = self.netcnnlip(frames.transpose(0, 1)[None])
        return self.netfclip(features[0, :, :, 0, 0].T)

    def sound(self, windows: Tensor) -> Tensor:
        """Embeddings of windows of cepstra (N, 1, 13, 20): (N, 1024)."""
        return self.netfcaud(self.netcnnaud(windows).flatten(1))


def load_syncnet(path: Path) -> SyncNet:
    """The network with the weights in ``path``, ready to score. Verify the file first (``space_data.weights``).

    Raises:
        SpaceError: the file holds anything but tensors, or the tensors of another network.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise SpaceError(f"{path}: not a file of tensors ({str(error).splitlines()[0]})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise SpaceError(f"{path}: holds a {type(state).__name__} with more than tensors, need SyncNet's state dict")
    net = SyncNet()
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise SpaceError(f"{path}: not SyncNet's weights ({' '.join(str(error).split())[:300]})") from error
    return net.eval().requires_grad_(False)


def _mel_filters() -> NDArray[np.float64]:
    """Triangles between FFT bins that are equally spaced in mel from 0 to 8000 Hz, (26, 257)."""
    highest_mel = 2595.0 * np.log10(1.0 + AUDIO_HZ / 2 / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, highest_mel, MEL_BANDS + 2) / 2595.0) - 1.0)
    edges = np.floor((FFT_SIZE + 1) * edges_hz / AUDIO_HZ)
    bins = np.arange(FFT_SIZE // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = np.where((bins >= low) & (bins < middle), (bins - low) / (middle - low), 0.0)
    falling = np.where((bins >= middle) & (bins < high), (high - bins) / (high - middle), 0.0)
    return rising + falling


def mfcc(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Cepstra as python_speech_features 0.6 makes them by default: 16 kHz int16 (n,) -> (1 + ceil((n - 400) / 160), 13).

    Rectangular windows of 25 ms every 10 ms, pre-emphasis, 26 bands, orthonormal DCT, lifter 22; coefficient 0 is the log of the
    window's energy. Not ``space_data.speech.mfcc``, which differs in every one of these.
    """
    if samples.dtype != np.int16 or samples.ndim != 1 or not len(samples):
        raise SpaceError(f"SyncNet: sound of type {samples.dtype} and shape {samples.shape}, needs int16 (samples,)")
    signal = samples.astype(np.float64)
    signal[1:] -= PRE_EMPHASIS * samples[:-1]
    count = 1 + max(0, -(-(len(signal) - MFCC_WINDOW_SAMPLES) // SAMPLES_PER_FEATURE))
    signal = np.pad(signal, (0, max(0, (count - 1) * SAMPLES_PER_FEATURE + MFCC_WINDOW_SAMPLES - len(signal))))
    windows = np.lib.stride_tricks.sliding_window_view(signal, MFCC_WINDOW_SAMPLES)[::SAMPLES_PER_FEATURE][:count]
    filters = _mel_filters().T
    lifter = 1.0 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    cepstra = np.empty((count, CEPSTRA), np.float32)
    for begin in range(0, count, _FFT_BATCH):
        spectrum = rfft(windows[begin : begin + _FFT_BATCH], FFT_SIZE, axis=1)
        power = (spectrum.real**2 + spectrum.imag**2) / FFT_SIZE
        bands, energy = power @ filters, power.sum(axis=1)
        smallest = np.finfo(np.float64).eps
        logs = np.log(np.where(bands == 0, smallest, bands))
        part = dct(logs, norm="ortho", axis=1)[:, :CEPSTRA] * lifter
        part[:, 0] = np.log(np.where(energy == 0, smallest, energy))
        cepstra[begin : begin + len(part)] = part
    return cepstra


def as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Sound in [-1, 1] as 16-bit samples, which the network was trained on."""
    return np.clip(np.rint(samples * INT16), -INT16, INT16 - 1).astype(np.int16)


@dataclass(frozen=True)
class SyncNetResult:
    """What SyncNet says of a run of windows."""

    windows: int
    offset_frames: int
    """+ = audio late"""
    confidence: float
    """median over the lags of the mean distance - least mean distance (published as LSE-C)"""
    distance: float
    """least mean distance (published as LSE-D)"""


@torch.inference_mode()
def lip_embeddings(net: SyncNet, crops: Iterable[NDArray[np.uint8]], batch: int) -> Tensor:
    """Embeddings of all windows of a stream of RGB crops (224, 224, 3): (T - 4, 1024) on the CPU; ``batch`` windows in memory."""
    device = next(net.parameters()).device
    stream = iter(crops)
    frames = list(islice(stream, WINDOW_FRAMES - 1))
    embeddings = []
    while new := list(islice(stream, batch)):
        frames = frames[1 - WINDOW_FRAMES :] + new
        bgr = torch.from_numpy(np.stack(frames)[..., ::-1].copy()).to(device)
        embeddings.append(net.lips(bgr.permute(0, 3, 1, 2).float()).cpu())
    return torch.cat(embeddings) if embeddings else torch.zeros(0, EMBEDDING)


@torch.inference_mode()
def sound_embeddings(net: SyncNet, samples: NDArray[np.int16], windows: int, batch: int) -> Tensor:
    """Embeddings of the first ``windows`` 200 ms windows of sound, one per video frame: (windows, 1024) on the CPU."""
    device = next(net.parameters()).device
    cepstra = torch.from_numpy(mfcc(samples).T.copy())
    sliding = cepstra.unfold(1, WINDOW_MFCCS, FEATURES_PER_FRAME).permute(1, 0, 2)[:windows, None]
    if len(sliding) < windows:
        raise SpaceError(f"SyncNet: sound for {len(sliding)} windows, need {windows} (shorter than the picture?)")
    return torch.cat([net.sound(part.to(device)).cpu() for part in sliding.split(batch)])


def distances(lips: Tensor, sound: Tensor) -> NDArray[np.float64]:
    """Distance between each window's lips and the sound ``-15 ... 15`` frames later, zeros beyond the ends: (windows, 31)."""
    padded = functional.pad(sound, (0, 0, SHIFTS, SHIFTS))
    columns = [functional.pairwise_distance(lips, padded[i : i + len(lips)]) for i in range(2 * SHIFTS + 1)]
    return torch.stack(columns, 1).double().numpy()


def score(lips: Tensor, sound: Tensor) -> SyncNetResult:
    """Offset, confidence and distance from the embeddings (windows, 1024) of lips and sound."""
    curve = distances(lips, sound).mean(axis=0)
    best = int(curve.argmin())
    return SyncNetResult(len(lips), best - SHIFTS, float(np.median(curve) - curve[best]), float(curve[best]))


def windows_of(frames: int) -> int:
    """Number of windows that the protocol scores in so many frames (one less than there are)."""
    return max(0, frames - WINDOW_FRAMES)


def crop_track(boxes: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Centre and half side of the detector's box, (T, 3) px: x, y, half side; smoothed as published. None without any face.

    Args:
        boxes: around the face mesh, (T, 4) px, at 25 per second; NaN rows (no face) are interpolated.
    """
    boxes = np.asarray(boxes, np.float64)
    seen = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    if not len(seen):
        return None
    x0, y0, x1, y1 = (np.interp(np.arange(len(boxes)), seen, boxes[seen, i]) for i in range(4))
    half = np.maximum(x1 - x0, y1 - y0) / 2
    tracks = ((x0 + x1) / 2, (y0 + y1) / 2 - FACE_BOX_LIFT * half, FACE_BOX_SCALE * half)
    return np.stack([medfilt(track, SMOOTHING_FRAMES) for track in tracks], axis=1)


def face_crop(rgb: NDArray[np.uint8], centre_and_half: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The published crop of one frame (H, W, 3) -> (224, 224, 3): 1.4 half sides left and right, 1 up, 1.8 down, grey outside."""
    x, y, half = (float(v) for v in centre_and_half)
    wide = half * (1 + CROP_MARGIN)
    left, right = int(np.floor(x - wide)), int(np.floor(x + wide))
    top, bottom = int(np.floor(y - half)), int(np.floor(y + half * (1 + 2 * CROP_MARGIN)))
    height, width = rgb.shape[:2]
    inside = np.asarray(rgb[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)])
    if inside.size == 0:
        return np.full((CROP_PX, CROP_PX, 3), PADDING_GREY, np.uint8)
    missing = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(missing):
        inside = np.asarray(cv2.copyMakeBorder(inside, *missing, cv2.BORDER_CONSTANT, value=(PADDING_GREY,) * 3), np.uint8)
    return np.asarray(cv2.resize(inside, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR), np.uint8)
