"""Write the benchmark page: tables, a player of the videos, contact sheets, plots, provenance."""

import csv
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.ablations import read_rows
from evaluation.distributions import face_set_metric, set_metrics
from evaluation.emotion_figures import read_report
from evaluation.exports import BIBTEX, results_csv, results_json, results_latex
from evaluation.external.card import registry
from evaluation.frame_features import INCEPTION_NAMES, DctColour
from evaluation.html import provenance, thumbnail
from evaluation.judges import Judges
from evaluation.metrics import Metric, catalogue
from evaluation.report_data import BenchmarkData
from evaluation.report_page import benchmark_page
from evaluation.score_clip import REFERENCE
from pipelines.benchmark.clips import synthesized_clips
from pipelines.benchmark.provenance import facts_of
from pipelines.benchmark.rows import copied
from pipelines.job.clock import stage_clock
from pipelines.layout import Layout
from pipelines.stages import STAGES
from space_data import progress, weights
from space_data.crop import CropBox
from space_data.errors import SpaceError
from space_data.files import atomic_file, make_folder, maker_of_part
from space_data.landmarks import lip_gap
from space_data.media.encode import write_video
from space_data.media.images import read_image
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Evaluate, Params
from space_data.schema import KEPT, Aggregate, AlignedClip, Score, SynthesizedClip, SynthesizedFrame, TraceFrame
from space_data.tables import by_clip, has_table, read_arrow, read_table, vectors
from space_data.timebase import fit_samples
from space_models.animate import PICTURE_CRF

STAGE = "report"
SHEET_FRAMES = 9
SHEET_FRAME_PX = 160
MOUTH_FRAMES, MOUTH_STEP = 14, 2
MOUTH_PX = 104
MOUTH_SIDE_IOD = 1.0
MEDIA = "media"
MEDIA_PATTERN = r"\d{2,}-[a-z0-9_-]+\.mp4"
"""Names of the videos beside the page: the clip's number and the system."""


def run(params: Params, layout: Layout) -> None:
    """The stage: tables of ``evaluate`` and videos of ``synthesize`` -> ``reports/benchmark/index.html``."""
    with stage_clock(layout, STAGE) as clock:
        clock.clips = write_report(layout.benchmark, params, layout)


def write_report(folder: Path, params: Params, layout: Layout, command: str = "dvc repro") -> int:
    """Write page, media and exports to ``folder``, which say that they come of ``command``; returns the number of clips."""
    data = gather(folder, params, layout)
    shown = provenance(facts_of(data, params, layout, command), params.model_dump(mode="json"))
    facts = dict(shown.facts)
    page = benchmark_page(data, params.report, shown)
    make_folder(folder)
    page.write(folder / "index.html")
    exported = {
        "results.json": results_json(data, facts), "results.csv": results_csv(data), "results.tex": results_latex(data),
        "cite.bib": BIBTEX % facts["test list"],
    }  # fmt: skip
    for name, text in exported.items():
        with atomic_file(folder / name) as part:
            part.write_text(text)
    return len(data.clip_ids)


def gather(folder: Path, params: Params, layout: Layout) -> BenchmarkData:
    """Read all tables and put the videos that the page shows beside it, in ``folder``."""
    clips = synthesized_clips(layout)
    if not clips:
        raise SpaceError(f"{layout.synthesized_clips}: no clips to report (run `dvc repro evaluate`)")
    rows = read_table(layout.aggregates, Aggregate)
    tables = BenchmarkData(
        clips=clips,
        scores=read_table(layout.scores, Score),
        traces=read_table(layout.traces, TraceFrame),
        rows=rows,
        columns=present(catalogue(clips[0].size_px, params.evaluate), rows),
        sets=set_columns(rows, params.evaluate),
        draws=params.evaluate.sign_flip_draws,
        seed=params.evaluate.seed,
        added=registry(layout.external),
    )
    samples = tables.samples(params.report.sample_clips)
    shown = {*tables.samples(params.report.player_clips), *worst_of(tables, params.report.worst_clips)}
    seen = [clip for clip in clips if clip.status == KEPT and clip.clip_id in shown]
    return replace(
        tables,
        meant_gaps=meant_gaps(layout.synthesized_tracks),
        videos=place_videos(seen, folder / MEDIA),
        languages=languages(layout, tables.clip_ids),
        sheets={clip_id: strips(tables, clip_id, equal_times, SHEET_FRAME_PX) for clip_id in samples},
        mouths={clip_id: strips(tables, clip_id, mouth_looker(tables, clip_id), MOUTH_PX) for clip_id in samples},
        curves=training_curves(layout),
        stages=stage_facts(layout),
        absences=absences(params.evaluate),
        not_measured=not_measured(params.evaluate),
        emotion=read_report(layout.emotion_report) if layout.emotion_report.is_file() else None,
        emotion_strips=emotion_strips(layout.emotion_strips),
        diversity=read_table(layout.diversity, Aggregate) if has_table(layout.diversity) else (),
        ablations={path.stem: read_rows(path) for path in sorted(layout.l2l_ablations.glob("*.json"))},
    )


def present(columns: Sequence[Metric], rows: Sequence[Aggregate]) -> list[Metric]:
    """Those columns that were measured."""
    known = {row.metric for row in rows}
    return [column for column in columns if column.metric_id in known]


def set_columns(rows: Sequence[Aggregate], settings: Evaluate) -> list[Metric]:
    """Distances between sets that the aggregates hold: on Inception's features, or on the stand-in's; on faces' descriptors."""
    names = [*((name, True) for name in INCEPTION_NAMES.values()), (DctColour.name, False)]
    known = (set_metrics(name, is_fid, settings.frechet_every_frames) for name, is_fid in names)
    faces = face_set_metric(settings.frechet_every_frames)
    return present([*(metric.column for metrics in known for metric in metrics), faces.column], rows)


def worst_of(data: BenchmarkData, count: int) -> set[str]:
    """Clips that the page shows as somebody's worst."""
    names = [entry.name for entry in data.contestants]
    return {clip_id for name in names for metric in data.columns for clip_id in data.worst(name, metric, count)}


def languages(layout: Layout, clip_ids: Sequence[str]) -> dict[str, str]:
    """What is spoken in each clip, by its id."""
    rows = read_arrow(layout.aligned_clips, AlignedClip, ["clip_id", "language"], clip_ids)
    return dict(zip(rows["clip_id"].to_pylist(), rows["language"].to_pylist(), strict=True))


def absences(settings: Evaluate) -> list[str]:
    """What is not measured because published weights are absent, and what to do about it."""
    folder = Path(settings.weights)
    if weights.find(weights.INCEPTION, folder) is None:
        line = weights.absence(weights.INCEPTION, folder)
        return [f"{line[0].upper()}{line[1:]}."]
    return []


def not_measured(settings: Evaluate) -> list[str]:
    """A line per judge that is not here."""
    folder = Path(settings.weights)
    return Judges.here(folder, settings.second_detector).absences(folder)


def meant_gaps(path: Path) -> dict[tuple[str, str], NDArray[np.float32]]:
    """Lip opening (T,) that each system meant to show, by (system, clip)."""
    table = read_arrow(path, SynthesizedFrame)
    found = {}
    for system in sorted(set(table.column("system").to_pylist())):
        own = table.filter(np.array([s == system for s in table.column("system").to_pylist()]))
        for clip_id, frames in by_clip(own):
            found[system, clip_id] = lip_gap(vectors(frames, "normalised").reshape(len(frames), -1, 3))
    return found


def place_videos(clips: Sequence[SynthesizedClip], folder: Path) -> dict[tuple[str, str], str]:
    """Copy videos to ``folder`` (emptied first); their paths relative to the page, by (system, clip).

    Raises:
        SpaceError: `check_media`.
    """
    check_media(folder)
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder)
    numbers = {clip_id: number for number, clip_id in enumerate(sorted({clip.clip_id for clip in clips}), start=1)}
    placed = {}
    for clip in progress.track(clips, "videos of the page", len(clips)):
        name = f"{numbers[clip.clip_id]:02d}-{clip.system}.mp4"
        place_playable(clip, folder / name)
        placed[clip.system, clip.clip_id] = f"{folder.name}/{name}"
    return placed


def check_media(folder: Path) -> None:
    """Raise SpaceError unless ``folder`` may be emptied: it is absent, or holds nothing but an earlier page's videos."""
    if folder.parent.exists() and not folder.parent.is_dir():
        raise SpaceError(f"{folder.parent}: no folder, need one to write the report to")
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    if strange := [file for file in found if not (re.fullmatch(MEDIA_PATTERN, file.name) or maker_of_part(file))]:
        raise SpaceError(f"{strange[0]}: no video of an earlier report, and {folder} is to be emptied: need another OUT")


def place_playable(clip: SynthesizedClip, target: Path) -> None:
    """Copy a clip's scored video; one that browsers do not play (lossless, other containers) is coded, with the clip's sound."""
    if Path(clip.video).suffix == target.suffix:
        copied(Path(clip.video), target)
        return
    sound = fit_samples(decode_audio(clip.audio), clip.n_frames)
    write_video(target, (frame.rgb for frame in decode_video(clip.video)), crf=PICTURE_CRF, audio=sound)


Look = Callable[[SynthesizedClip], dict[int, CropBox | None]]
"""Which frames of a video to show, and which part of each (None: all of it)."""


def strips(data: BenchmarkData, clip_id: str, look: Look, frame_px: int) -> list[tuple[str, str]]:
    """(title of the system, address of a strip of its frames) for one clip, in the order of the tables."""
    by_system = {clip.system: clip for clip in data.clips if clip.status == KEPT and clip.clip_id == clip_id}
    found = []
    for entry in data.systems:
        clip = by_system.get(entry.name)
        shown = look(clip) if clip else {}
        if clip and shown:
            whole = CropBox(0, 0, clip.size_px)
            pictures = [
                (shown[index] or whole).apply(frame.rgb, frame_px)
                for index, frame in enumerate(islice(decode_video(clip.video), max(shown) + 1))
                if index in shown
            ]
            found.append((entry.title, thumbnail(np.hstack(pictures), len(pictures) * frame_px)))
    return found


def equal_times(clip: SynthesizedClip) -> dict[int, CropBox | None]:
    """Whole frames from the first to the last."""
    return dict.fromkeys(np.linspace(0, clip.n_frames - 1, SHEET_FRAMES).round().astype(int).tolist())


def mouth_looker(data: BenchmarkData, clip_id: str) -> Look:
    """Close-ups of the mouth, in each system's own place, over the time in which the recording's lips move most."""
    truth = data.gaps.get((REFERENCE, clip_id), np.zeros(0))
    begin = busiest(truth, MOUTH_FRAMES * MOUTH_STEP)
    wanted = range(begin, begin + MOUTH_FRAMES * MOUTH_STEP, MOUTH_STEP)

    def look(clip: SynthesizedClip) -> dict[int, CropBox | None]:
        seen = {t.frame: t for t in data.traces if t.system == clip.system and t.clip_id == clip_id and t.found}
        return {frame: mouth_box(seen[frame]) for frame in wanted if frame in seen}

    return look


def mouth_box(seen: TraceFrame) -> CropBox:
    """A square around the mouth."""
    assert seen.mouth_x_px is not None and seen.mouth_y_px is not None and seen.iod_px is not None
    side = round(seen.iod_px * MOUTH_SIDE_IOD)
    return CropBox(round(seen.mouth_x_px - side / 2), round(seen.mouth_y_px - side / 2), side)


def busiest(gap: NDArray[np.float64], frames: int) -> int:
    """First of the ``frames`` consecutive frames over which ``gap`` (T,) varies most; 0 when there are not that many."""
    starts = range(max(1, len(gap) - frames + 1))
    spread = [float(np.nan_to_num(gap[s : s + frames]).std()) if len(gap) else 0.0 for s in starts]
    return int(np.argmax(spread))


def emotion_strips(folder: Path) -> list[tuple[str, str]]:
    """(name, address) of each strip of faces, in the order of their files: ``<number>-<name>.jpg``."""
    found = []
    for path in sorted(folder.glob("*.jpg")):
        picture = read_image(path)
        found.append((path.stem.partition("-")[2], thumbnail(picture, picture.shape[1])))
    return found


def training_curves(layout: Layout) -> dict[str, dict[str, list[float | None]]]:
    """Columns of every ``curves.csv`` under the models' folder, by model."""
    found = {}
    models = layout.models.local()
    for path in sorted(models.rglob("curves.csv")):
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
        names = lines[0].keys() if lines else ()
        model = path.parent.relative_to(models).as_posix()
        found[model] = {name: [float(line[name]) if line[name] else None for line in lines] for name in names}
    return found


def stage_facts(layout: Layout) -> list[Mapping[str, object]]:
    """What the stages said of themselves, in the order of the pipeline."""
    folder = layout.timing(STAGE).parent
    facts = [json.loads(file.read()) for file in folder.files(".json") if file.name != f"{STAGE}.json"]
    order = {name: index for index, name in enumerate(STAGES)}
    return sorted(facts, key=lambda f: (order.get(f["stage"], len(order)), f["stage"]))
