"""A made-up benchmark for the report's tests: twelve identities, all systems, figures in the order in which they must come."""

import numpy as np

from evaluation.aggregate import aggregates, identity_means
from evaluation.distributions import set_metrics
from evaluation.metrics import Metric, catalogue
from evaluation.metrics.lips import LIP_LAG
from evaluation.report_data import BenchmarkData
from evaluation.score_clip import NO_FACE, OK, REFERENCE
from evaluation.systems import OURS, SHIFT_FRAMES, SYSTEM_NAMES
from space_data.params import load_params
from space_data.schema import KEPT, Aggregate, Score, SynthesizedClip, TraceFrame

PEOPLE = ("ada", "bob", "eve", "fay", "gus", "hal", "ida", "joe", "kim", "lee", "max", "ned")
CLIPS = {f"set/{person}/{i:02d}": person for i in range(2) for person in PEOPLE if i == 0 or person in PEOPLE[:3]}
N_FRAMES = 50
COLUMNS: tuple[Metric, ...] = catalogue(512, load_params().evaluate, judges=())
RANK = {system: rank for rank, system in enumerate(("ground_truth", *OURS, "mismatched_audio", "still"))}
RANK |= {system: len(RANK) + more for more, system in enumerate(name for name in SYSTEM_NAMES if name not in RANK)}
FAILED_CELL = (OURS[1], "set/bob/00")


def score(system: str, clip_id: str, metric: Metric, rng: np.random.Generator) -> Score:
    """A value that follows the system's rank; one cell has no face."""
    recorded = 0.0 if metric.better == "recording" else None
    if (system, clip_id) == FAILED_CELL:
        why = "candidate: a face in 20% of 50 frames"
        return Score(system, clip_id, CLIPS[clip_id], metric.metric_id, None, recorded, NO_FACE, why)
    level = 1 - 0.1 * RANK[system] if metric.better == "higher" else 0.02 * (1 + RANK[system])
    if metric is LIP_LAG and system == "shifted_audio":
        level = float(SHIFT_FRAMES)
    return Score(system, clip_id, CLIPS[clip_id], metric.metric_id, float(level + rng.normal(0, 0.002)), recorded, OK, "")


def benchmark(rng: np.random.Generator) -> BenchmarkData:
    """The whole of it, without media."""
    clips = [
        SynthesizedClip(
            system, clip_id, person, "happy", 0.8, "a.wav", "truth.mp4", "a.wav", f"{system}.mp4", N_FRAMES, 512, KEPT, ""
        )
        for system in SYSTEM_NAMES
        for clip_id, person in CLIPS.items()
    ]
    scores = [score(system, clip_id, metric, rng) for system in SYSTEM_NAMES for clip_id in CLIPS for metric in COLUMNS]
    sets = [metric.column for metric in set_metrics("dct8", False, 5)]
    rows = aggregates(identity_means(scores, COLUMNS), SYSTEM_NAMES, COLUMNS)
    rows += [
        Aggregate(s, m.metric_id, float(RANK[s]), RANK[s] * 0.9, RANK[s] * 1.1, None, None, None, 15, 15, 12, 0)
        for s in SYSTEM_NAMES
        for m in sets
    ]
    opening = 0.05 * (1 + np.sin(np.arange(N_FRAMES) * 0.5))
    traces = [
        TraceFrame(
            system,
            clip_id,
            i,
            i != 7,
            None if i == 7 else float(opening[i] / (1 + RANK.get(system, 0))),
            0.3,
            1.0,
            2.0,
            0.0,
            256.0,
            330.0,
            90.0,
        )
        for system in (REFERENCE, *SYSTEM_NAMES)
        for clip_id in CLIPS
        for i in range(N_FRAMES)
    ]
    stages = [
        {
            "stage": "measure",
            "clips": 40,
            "computed": 40,
            "seconds": 31.5,
            "clips_per_s": 1.27,
            "kept": 38,
            "rejected": 2,
            "failed": 0,
        },
        {"stage": "synthesize", "clips": 30, "computed": 30, "seconds": 60.0, "clips_per_s": 0.5, "frames_per_s": "ours_warp 45"},
    ]
    steps = [float(i) for i in range(0, 500, 50)]
    return BenchmarkData(
        clips, scores, traces, rows, COLUMNS, sets, 200, 0,
        meant_gaps={("ours_warp", clip_id): opening.astype(np.float32) for clip_id in CLIPS},
        curves={"s2l": {"step": steps, "loss": [1 / (1 + s) for s in steps], "val_loss": [1.2 / (1 + s) for s in steps]}},
        stages=stages, absences=["Weights inception are not in models/weights."],
        not_measured=["weights lpips-alex (LPIPS) are not in models/weights"],
    )  # fmt: skip
