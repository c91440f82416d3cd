"""Fit the photo scorer, and score every face by a scorer that has not seen its source.

    python -m benchmarks.photo_fit faces.npz --scores scores.csv [--out space_data/assets/photo_scorer.npz] [--steps 2000]

``faces.npz`` comes from ``benchmarks.photo_faces``. The sources are dealt into folds; each fold is scored by a network fitted on
the others (``--scores``, which ``benchmarks.photo_roc`` evaluates), then the network that ships is fitted on everything. With
``--hold-kinds`` each kind of non-photo is scored by a network that has seen none of its kind instead.

The network must not learn how a data set was stored, so every training face is first spoilt at random: shrunk to 30-74 pixels,
compressed, blurred, made noisy, grey, dark, off-colour; then shifted, turned, scaled and mirrored.
"""

import argparse
import csv
import hashlib
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.photo_faces import WIDE_MARGIN, WIDE_PX, Faces
from space_data.photographed import FACE_MARGIN, INPUT_PX, Layer, PhotoScorer
from space_data.progress import track

FOLDS = 3
CONVOLUTIONS = ((3, 12, 2), (12, 24, 2), (24, 48, 2), (48, 64, 1), (64, 80, 2))
"""(in, out, stride), 3x3 each: 87,012 weights, 4 M multiplications a face."""
BATCH = 64
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 5e-3
LABEL_SMOOTHING = 0.02
DROPOUT = 0.3
SPOILT_PX = (30.0, 74.0)  # to what width of the face a training picture is shrunk
JPEG_QUALITY = (12, 95)


def network() -> nn.Sequential:
    """The network as torch has it while it is fitted: batch norm still apart."""
    blocks: list[nn.Module] = []
    for given, made, stride in CONVOLUTIONS:
        blocks += [nn.Conv2d(given, made, 3, stride, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU()]
    return nn.Sequential(*blocks, MeanAndMax(), nn.Dropout(DROPOUT), nn.Linear(2 * CONVOLUTIONS[-1][1], 1))


class MeanAndMax(nn.Module):
    """(batch, channels, H, W) -> (batch, 2 * channels)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Mean and maximum over the picture."""
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)


def spoil(wide: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """One training picture (INPUT_PX, INPUT_PX, 3) from a wide square: what cameras, codecs and crops do to a face."""
    face_px = rng.uniform(*SPOILT_PX)
    width = int(face_px * WIDE_MARGIN)
    image = cv2.resize(wide, (width, width), interpolation=cv2.INTER_AREA) if width < WIDE_PX else wide
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6) * width / 112)
    elif rng.random() < 0.15:
        image = _motion_blur(
            np.asarray(image, np.uint8), length_px=int(rng.uniform(3, 0.07 * width + 3.5)), angle=rng.uniform(0, np.pi)
        )
    tones = np.linspace(0, 1, 256) ** np.exp(rng.normal(0, 0.3))  # exposure, contrast, white balance: one table per channel
    tones = (tones - 0.5) * np.exp(rng.normal(0, 0.2)) + 0.5 + rng.normal(0, 0.08)
    tables = np.clip(tones[:, None] * np.exp(rng.normal(0, 0.08, 3)) * 255, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, tables[:, None, :].transpose(1, 0, 2)), np.uint8)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    colour = 0.0 if rng.random() < 0.12 else float(np.exp(rng.normal(0, 0.25)))
    image = np.asarray(cv2.addWeighted(image, colour, grey, 1 - colour, 0), np.uint8)
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(1, 12)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        _, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*JPEG_QUALITY))])
        image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)

    zoom = INPUT_PX / width * WIDE_MARGIN / FACE_MARGIN * np.exp(rng.normal(0, 0.06))
    turn = np.deg2rad(rng.normal(0, 6))
    matrix = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    shift = (INPUT_PX - 1) / 2 + rng.normal(0, 2.5, 2) - matrix @ np.full(2, (width - 1) / 2)
    warp = np.concatenate([matrix, shift[:, None]], axis=1)
    size = (INPUT_PX, INPUT_PX)
    return np.asarray(cv2.warpAffine(image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101), np.uint8)


def _motion_blur(image: NDArray[np.uint8], length_px: int, angle: float) -> NDArray[np.uint8]:
    kernel = np.zeros((length_px | 1, length_px | 1), np.uint8)
    half = len(kernel) // 2
    along, down = int(round(half * np.cos(angle))), int(round(half * np.sin(angle)))
    cv2.line(kernel, (half - along, half - down), (half + along, half + down), (1,))
    return np.asarray(cv2.filter2D(image, -1, kernel.astype(np.float32) / kernel.sum()), np.uint8)


def weights_of(faces: Faces) -> NDArray[np.float64]:
    """How often each face is drawn (N,), summing to 1: photos half the time, else non-photos; within each, sources and kinds by
    the square root of their size, so that the largest does not decide alone."""
    draw = np.zeros(len(faces))
    for label in (0, 1):
        cell = np.char.add(np.char.add(faces.kind, "|"), faces.source)
        for name in np.unique(cell[faces.label == label]):
            chosen = (cell == name) & (faces.label == label)
            draw[chosen] = 1 / np.sqrt(chosen.sum())
        of_label = faces.label == label
        draw[of_label] *= 0.5 / max(draw[of_label].sum(), 1e-9)
    return draw / draw.sum()


def fit(faces: Faces, steps: int, seed: int, name: str) -> PhotoScorer:
    """Fit one network on all of ``faces``, BATCH a step."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = network()
    draw = weights_of(faces)
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    net.train()
    for _ in track(range(steps), name):
        chosen = rng.choice(len(faces), BATCH, p=draw)
        batch = np.stack([spoil(faces.wide[i], rng) for i in chosen])
        pictures = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255.0 - 0.5
        wanted = torch.from_numpy(faces.label[chosen]).float() * (1 - 2 * LABEL_SMOOTHING) + LABEL_SMOOTHING
        loss = nn.functional.binary_cross_entropy_with_logits(net(pictures)[:, 0], wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return folded(net.eval())


def folded(net: nn.Sequential) -> PhotoScorer:
    """The network in numpy, batch norm folded into the convolutions; weights rounded to the 16 bits they are stored in."""
    layers = []
    for index, (_, _, stride) in enumerate(CONVOLUTIONS):
        convolution, norm = net[3 * index], net[3 * index + 1]
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = (convolution.weight * gain[:, None, None, None]).detach().numpy()
        bias = (norm.bias - norm.running_mean * gain).detach().numpy()
        layers.append(Layer(weight.astype(np.float16).astype(np.float32), bias.astype(np.float32), stride))
    unit = net[-1]
    assert isinstance(unit, nn.Linear)
    return PhotoScorer(tuple(layers), unit.weight[0].detach().numpy().astype(np.float32), unit.bias.item())


def save(scorer: PhotoScorer, path: Path) -> None:
    """Write what ``space_data.photographed.load_scorer`` reads."""
    arrays: dict[str, NDArray[np.floating]] = {
        f"weight_{i}": layer.weight.astype(np.float16) for i, layer in enumerate(scorer.layers)
    }
    arrays |= {f"bias_{i}": layer.bias for i, layer in enumerate(scorer.layers)}
    strides = np.array([layer.stride for layer in scorer.layers])
    np.savez_compressed(path, strides=strides, unit=scorer.unit, offset=np.float32(scorer.offset), **arrays)


def folds_by_source(faces: Faces, count: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each face (N,): sources are dealt largest first to the fold with the fewest faces of the same label so far."""
    fold = np.zeros(len(faces), np.int64)
    load = np.zeros((2, count))
    names, sizes = np.unique(faces.source, return_counts=True)
    for name in names[np.lexsort((names, -sizes))]:
        chosen = faces.source == name
        label = int(faces.label[chosen].mean() >= 0.5)
        at = int(np.argmin(load[label]))
        fold[chosen] = at
        load[label, at] += chosen.sum()
    return fold


def folds_by_kind(faces: Faces) -> NDArray[np.int64]:
    """Fold of each face (N,): one per kind of non-photo, the sources of photos dealt among them."""
    kinds = sorted(set(faces.kind[faces.label == 0].tolist()))
    fold = np.array([zlib.crc32(source.encode()) % len(kinds) for source in faces.source.tolist()])
    for index, kind in enumerate(kinds):
        fold[(faces.kind == kind) & (faces.label == 0)] = index
    return fold


def held_out_scores(faces: Faces, fold: NDArray[np.int64], steps: int) -> NDArray[np.float64]:
    """Score of each face (N,) by the network fitted without its fold."""
    scores = np.zeros(len(faces))
    for held in np.unique(fold):
        scorer = fit(faces.take(fold != held), steps, seed=int(held), name=f"fold {held + 1} of {fold.max() + 1}")
        for i in np.nonzero(fold == held)[0]:
            scores[i] = scorer.score(faces.tight[i])
    return scores


def write_scores(path: Path, faces: Faces, scores: NDArray[np.float64]) -> None:
    """CSV of path, label, kind, source, group, face_px, score."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "kind", "source", "group", "face_px", "score"))
        for i in range(len(faces)):
            texts = (faces.path[i], faces.label[i], faces.kind[i], faces.source[i], faces.group[i])
            writer.writerow((*texts, f"{faces.face_px[i]:.0f}", f"{scores[i]:.6f}"))


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--scores", type=Path, help="write held-out scores here")
    parser.add_argument("--hold-kinds", action="store_true", help="hold out kinds of non-photos instead of sources")
    parser.add_argument("--out", type=Path, help="fit on everything and write the scorer here, and its card beside it")
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    faces = Faces.load(args.faces)
    if args.scores is not None:
        fold = folds_by_kind(faces) if args.hold_kinds else folds_by_source(faces)
        write_scores(args.scores, faces, held_out_scores(faces, fold, args.steps))
    if args.out is not None:
        save(fit(faces, args.steps, seed=0, name="all"), args.out)
        card = _card(faces, args.steps)
        args.out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def _card(faces: Faces, steps: int) -> dict[str, object]:
    """What the weights were made of: settings, hash of the data, faces per kind, sources."""
    kinds, counts = np.unique(faces.kind, return_counts=True)
    return {
        "command": f"python -m benchmarks.photo_fit faces.npz --out space_data/assets/photo_scorer.npz --steps {steps}",
        "convolutions": CONVOLUTIONS,
        "steps": steps,
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "sha256_of_faces": hashlib.sha256(faces.wide.tobytes() + faces.label.tobytes()).hexdigest(),
        "faces": dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
        "sources": sorted(set(faces.source.tolist())),
    }


if __name__ == "__main__":
    main()
