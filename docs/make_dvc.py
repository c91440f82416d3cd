"""Writes ``dvc.yaml``: ``python -m docs.make_dvc``. A test compares the file with what this gives.

A stage depends on just those source files that its code reaches, by the same closure that keys kept results
(``pipelines.job.keys``): a comment in the audit page re-runs no training. What the engine itself is made of changes no result
and is no dependency.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from pipelines.job.keys import ROOT, closure, files_of
from pipelines.stages import STAGES
from pipelines.stages.evaluate import PLOTTED, plot_name
from space_data.params import load_params
from space_models.generators import GENERATORS

PAGE = ROOT / "dvc.yaml"
HEAD = """# The pipeline in reading order: `dvc repro` runs what changed. Docs: docs/reproduce.md. Configuration: params.yaml.
# Made by `python -m docs.make_dvc` (which knows what code each stage reaches); a test keeps it true.
"""


@dataclass(frozen=True)
class Plot:
    """A small CSV that ``dvc plots diff`` draws, one colour per revision."""

    path: str
    x: str
    y: str
    template: str = "linear"


@dataclass(frozen=True)
class DvcStage:
    """What DVC needs to know of a stage beside its code."""

    desc: str
    deps: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    outs: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    plots: tuple["Plot", ...] = ()
    assets: tuple[str, ...] = ()
    """files that its code opens under names that are made at run time"""


def _model(name: str, desc: str, *deps: str, params: tuple[str, ...] = ()) -> DvcStage:
    folder = f"models/{name}"
    return DvcStage(
        desc, deps, (name, "training", *params), (f"{folder}/weights.safetensors", f"{folder}/card.json"),
        (f"{folder}/metrics.json",), (Plot(f"{folder}/curves.csv", "step", "loss"),),
    )  # fmt: skip


WEIGHTS = "models/weights"
PARAMS = load_params(ROOT / "params.yaml")
IN_USE = PARAMS.latents.generators
WEIGHTS_OF_GENERATORS = tuple(str(GENERATORS[name].folder(name, Path("models"), PARAMS)) for name in IN_USE)
SECTIONS_OF_GENERATORS = tuple(section for name in IN_USE if (section := GENERATORS[name].section) is not None)
L2L = tuple(f"models/l2l/{name}" for name in IN_USE)
AUDIT_PLOTS = (
    Plot("reports/audit/plots/reasons.csv", "units", "reason", "bar_horizontal_sorted"),
    Plot("reports/audit/plots/offsets.csv", "offset_frames", "segments"),
)
BENCHMARK_PLOTS = tuple(
    Plot(f"reports/benchmark/plots/{plot_name(metric)}.csv", metric.metric_id, "system", "bar_horizontal") for metric in PLOTTED
)
DVC = {
    "corpus": DvcStage(
        "the default corpus of synthetic talking heads, with truth and planted defects", params=("corpus",),
        outs=("data/raw/synthetic", "data/corpus"),
    ),
    "ingest": DvcStage("list, hash and probe every file", ("${data.raw}",), ("data", "job.shards"), ("data/ingest",)),
    "measure": DvcStage(
        "one decode pass; every score is stored, nothing is decided", ("data/ingest", WEIGHTS), ("measure",), ("data/measure",),
    ),
    "segment": DvcStage(
        "cut clips at shots, face loss and silence; every score per segment", ("data/ingest", "data/measure"), ("segment",),
        ("data/segment",),
    ),
    "syncnet": DvcStage(
        "the published lip-sync scorer, where its weights are present", ("data/ingest", "data/measure", "data/segment", WEIGHTS),
        ("syncnet",), ("data/syncnet",),
    ),
    "sync": DvcStage("how far sound and lips are apart", ("data/measure", "data/segment"), ("sync",), ("data/sync",)),
    "filter": DvcStage(
        "compare scores with thresholds; the audit page",
        ("data/ingest", "data/measure", "data/segment", "data/sync", "data/syncnet"), ("filter",),
        ("data/filter", "reports/audit/index.html", "reports/audit/keep.csv", "reports/audit/keep.parquet"),
        ("reports/audit/metrics.json",), AUDIT_PLOTS,
        assets=("evaluation/templates", "pipelines/audit/templates"),
    ),
    "features": DvcStage(
        "normalised landmarks, pose, gaze, speech features, from stored tracks and sound",
        ("data/ingest", "data/measure", "data/filter"), ("align.size_px", "features.min_frames", "features.max_lost_share"),
        ("data/features",),
    ),
    "speech": DvcStage(
        "states of the speech encoder, where one is chosen", ("data/ingest", "data/features", WEIGHTS),
        ("features.speech_encoder", "features.speech_layers", "features.weights"), ("data/speech",),
    ),
    "align": DvcStage(
        "segments as square 25 fps video and 16 kHz sound, of the splits whose pixels are used", ("data/ingest", "data/features"),
        ("align",), ("data/align",),
    ),
    "generator": DvcStage(
        "the face generator, shipped and verified or newly trained", ("data/features", "data/ingest"),
        ("data.raw", "generator", "training"), ("models/compact",), assets=("space_models/assets/compact",),
    ),
    "latents": DvcStage(
        "the latents of every aligned frame, of each generator", ("data/align", "data/features", *WEIGHTS_OF_GENERATORS),
        ("job.shards", "latents", *SECTIONS_OF_GENERATORS), ("data/latents",),
    ),
    "train_s2l": _model(
        "s2l", "speech to landmarks", "data/features", "data/speech",
        params=("data.raw", "features.speech_encoder", "animate.articulation", "animate.fade_s"),
    ),
    "train_posegen": replace(  # fitted at once: no trainer, no curves
        _model("posegen", "head pose from speech", "data/features"), params=("posegen",), plots=(),
    ),
    "train_l2l": DvcStage(
        "landmarks to the latents of each generator",
        ("data/align", "data/features", "data/speech", "data/latents", "models/s2l"),
        ("l2l", "latents.generators", "training", "features.speech_encoder", "animate.articulation", "animate.fade_s"),
        tuple(f"{folder}/{file}" for folder in L2L for file in ("weights.safetensors", "card.json")),
        tuple(f"{folder}/metrics.json" for folder in L2L),
        tuple(Plot(f"{folder}/curves.csv", "step", "loss") for folder in L2L),
    ),
    "emotion": DvcStage(
        "how much of each emotion shows, on landmarks and rendered",
        ("data/features", "data/align", "models/s2l", "models/posegen", WEIGHTS),
        ("emotion", "animate", "warp", "evaluate.weights", "features.weights", "training.held_out_clips"),
        ("data/emotion",), ("reports/emotion/metrics.json",),
    ),
    "diversity": DvcStage(
        "how much our motion differs from seed to seed",
        ("data/ingest", "data/segment", "data/features", "data/align", "models/s2l", "models/posegen"),
        ("diversity", "synthesize", "animate", "warp", "features.weights"), ("data/diversity",),
        assets=("evaluation/lists/assets",),
    ),
    "synthesize": DvcStage(
        "every system renders the test clips",
        ("data/ingest", "data/segment", "data/features", "data/align", "models/s2l", "models/posegen",
         *WEIGHTS_OF_GENERATORS, *L2L),
        ("synthesize", "animate", "warp", "latents", *SECTIONS_OF_GENERATORS), ("data/synthesize",),
        assets=("evaluation/lists/assets",),
    ),
    "evaluate": DvcStage(
        "score every video against its recording",
        ("data/align", "data/features", "data/synthesize", "data/external", WEIGHTS), ("evaluate", "job.shards"),
        ("data/evaluate",), ("reports/benchmark/metrics.json",), BENCHMARK_PLOTS,
    ),
    "report": DvcStage(
        "the benchmark page",
        ("data/align", "data/evaluate", "data/emotion", "data/diversity", "data/synthesize", "data/external", "models/s2l",
         "models/posegen", *L2L),
        ("report", "evaluate", "data"),
        ("reports/benchmark/index.html", "reports/benchmark/media", "reports/benchmark/results.json",
         "reports/benchmark/results.csv", "reports/benchmark/results.tex", "reports/benchmark/cite.bib"),
        assets=("evaluation/external/assets", "evaluation/templates"),
    ),
}


def code_of(stage: str) -> list[str]:
    """Source files and assets that a stage's results can depend on, relative to the root."""
    module = f"pipelines.stages.{stage}"
    names = [name for name in ("run", "STAGE") if closure(module, name)[0]]
    return sorted(str(path.relative_to(ROOT)) for path in files_of(module, *names))


def pipeline() -> dict[str, dict[str, object]]:
    """The content of ``dvc.yaml``."""
    stages: dict[str, dict[str, object]] = {}
    for name in STAGES:
        stage = DVC[name]
        facts: dict[str, object] = {"desc": stage.desc, "cmd": f"python -m pipelines.stages {name}"}
        facts["deps"] = [*code_of(name), *stage.assets, *stage.deps]
        if stage.params:
            facts["params"] = list(stage.params)
        # A stage replaces its outputs itself, in one step: DVC must not delete them before it runs. What is compared is small
        # and belongs to git (``cache: false``), so that any two commits can be compared without data.
        facts["outs"] = [{out: {"persist": True}} for out in stage.outs]
        in_git = {"cache": False, "persist": True}
        if stage.metrics:
            facts["metrics"] = [{metric: in_git.copy()} for metric in stage.metrics]
        if stage.plots:
            facts["plots"] = [{p.path: in_git | {"x": p.x, "y": p.y, "template": p.template}} for p in stage.plots]
        stages[name] = facts
    return stages


def page() -> str:
    """The whole file."""
    return HEAD + yaml.safe_dump({"stages": pipeline()}, sort_keys=False, width=130, default_flow_style=False)


if __name__ == "__main__":
    Path(PAGE).write_text(page())
