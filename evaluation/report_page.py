"""The benchmark page, assembled from `BenchmarkData`: pure, so that equal tables give equal bytes."""

from evaluation.ablations import ablation_table
from evaluation.blocks import Figures, Fold, Media, Note, Stat, Strips, Tone
from evaluation.html import Page, Provenance
from evaluation.metrics import HEADLINE, Metric
from evaluation.metrics.head import HEAD_MOTION
from evaluation.metrics.landmarks import LD_MOTION_MOUTH, LD_MOUTH
from evaluation.metrics.lips import CLOSURE_F1, LIP_AMPLITUDE, LIP_LAG, LIP_VELOCITY_R
from evaluation.metrics.sync import AV_AT_ZERO, AV_OFFSET, SYNCNET_OFFSET_NAME, WHISPER_OFFSET_NAME
from evaluation.report_data import BenchmarkData
from evaluation.report_diversity import SAID as DIVERSITY
from evaluation.report_diversity import diversity_blocks
from evaluation.report_emotion import emotion_blocks
from evaluation.report_player import player
from evaluation.report_plots import forest, lip_traces, offsets, strips, training_curves
from evaluation.report_results import (
    MAIN,
    contestants_table,
    contrast_table,
    controls_table,
    expectations,
    expectations_table,
    number,
    published_table,
    too_many_contrasts,
    validity_table,
)
from evaluation.report_strata import strata_table
from evaluation.report_tables import clip_table, failure_table, protocol_table, stage_bars, stage_table, worst_table
from evaluation.systems import GROUND_TRUTH, MISMATCHED_AUDIO
from space_data.params import Report
from space_data.timebase import frame_start_s

SHEET_CLIPS = 3
EVERY_METRIC = "All metrics"
MAIN_METRICS = (*HEADLINE, LD_MOTION_MOUTH, AV_AT_ZERO)
"""Columns of single clips that stand in the short tables; all are in the long ones."""


def benchmark_page(data: BenchmarkData, settings: Report, provenance: Provenance) -> Page:
    """The whole page."""
    page = Page(
        "Benchmark", "Speech-driven portraits against their recordings, on identities that no model saw", stats=_stats(data)
    )
    samples = data.samples(settings.sample_clips)
    _results(page, data)
    _checks(page, data)
    _side_by_side(page, data, samples)
    _lips(page, data, samples)
    _clips(page, data, settings)
    if data.emotion:
        said = (
            "Test identities say a neutral clip's words with each emotion; the head is still, all but the emotion is the same. "
            "Response 1 is as strong as the training people's mean face of that emotion, 0 a neutral face (docs/emotion.md)."
        )
        page.section("Emotion", said).add(*emotion_blocks(data.emotion, data.emotion_strips))
    if data.diversity:
        page.section("Diversity", DIVERSITY).add(*diversity_blocks(data.diversity))
    if data.ablations:
        said = "What Landmarks2Latents owes to each of its inputs (`python -m benchmarks.l2l_ablations`)."
        page.section("Ablations", said).add(*(ablation_table(name, rows) for name, rows in data.ablations.items()))
    curves = training_curves(data)
    if curves:
        page.section("Training", "Losses of the models that made these videos.").add(Figures(curves))
    if data.stages:
        page.section(
            "Pipeline", "Time of each stage on its last run; work that was kept from earlier runs is not counted twice."
        ).add(stage_bars(data), stage_table(data))
    _protocol(page, data)
    page.provenance = provenance
    return page


def _stats(data: BenchmarkData) -> list[Stat]:
    clips = {clip.clip_id: clip for clip in data.clips}
    seconds = frame_start_s(sum(clip.n_frames for clip in clips.values()))
    stats = [Stat("test clips", str(len(clips)), f"{seconds:.0f} s, {len({c.subject for c in clips.values()})} identities")]
    for metric in (LIP_VELOCITY_R, CLOSURE_F1):
        ours, chance = data.mean(MAIN, metric), data.mean(MISMATCHED_AUDIO.name, metric)
        if ours is not None:
            beside = f"{MISMATCHED_AUDIO.title.lower()}: {number(chance, metric.digits)}"
            stats.append(Stat(metric.title, number(ours, metric.digits), beside, _tone(ours > (chance or 0))))
    amplitude = data.mean(MAIN, LIP_AMPLITUDE)
    if amplitude is not None:
        stats.append(Stat(LIP_AMPLITUDE.title, number(amplitude, LIP_AMPLITUDE.digits, True), "0 is as far as the recording"))
    held = [ok for _, ok, _ in expectations(data)]
    stats.append(
        Stat("orders that must hold", f"{sum(ok is True for ok in held)} of {len(held)}", "see Checks", _tone(all(held)))
    )
    return stats


def every(data: BenchmarkData) -> list[Metric]:
    """All columns that were measured."""
    return [*data.columns, *data.sets]


def _tone(good: bool) -> Tone:
    return "good" if good else "bad"


def _results(page: Page, data: BenchmarkData) -> None:
    section = page.section(
        "Results",
        "Every system gets the first frame, the speech and the emotion; what is rendered here takes the same seed and sound.",
    )
    section.add(contestants_table(data, [*MAIN_METRICS, *data.sets]), Fold(EVERY_METRIC, [contestants_table(data, every(data))]))
    if not any(metric.name == "fid" for metric in data.sets):
        section.add(Note(" ".join(["Distances between sets are stand-ins, not FID or KID.", *data.absences]), "warn"))
    if said := too_many_contrasts(data):
        section.add(Note(said, "warn"))
    figures = forest(data)
    section.add(*([Figures(figures)] if figures else []), contrast_table(data), strata_table(data), published_table(data))


def _checks(page: Page, data: BenchmarkData) -> None:
    section = page.section("Checks", "What must come out if metrics, models and pipeline are sound; what fails comes first.")
    floor = number(data.mean(GROUND_TRUTH.name, LD_MOUTH), LD_MOUTH.digits)
    section.add(
        expectations_table(data), controls_table(data, [*MAIN_METRICS, *data.sets]),
        Fold(EVERY_METRIC, [controls_table(data, every(data))]),
        Note(
            f"The ground truth is the recording encoded again: the {floor} IOD of its mouth distance are what coding and the "
            "detector's jitter make of identical lips, a floor that no system can be expected to pass. Pixels and poses compare "
            "with one particular recording: a system with head motion of its own cannot be near it."
        ),
        validity_table(data),
    )  # fmt: skip


def _side_by_side(page: Page, data: BenchmarkData, samples: list[str]) -> None:
    section = page.section(
        "Side by side",
        "All systems of a clip in step. The strips below are of clips chosen by name, identities in turn, not by score.",
    )
    section.add(player(data, data.playable) if data.playable else Note("There are no videos beside this page.", "warn"))
    for clip_id in samples[:SHEET_CLIPS]:
        for title, found in (("equal times", data.sheets), ("mouths, every 80 ms, while the recording's move most", data.mouths)):
            if clip_id in found:
                section.add(Strips([Media(source, label) for label, source in found[clip_id]], f"{clip_id}: {title}"))


def _lips(page: Page, data: BenchmarkData, samples: list[str]) -> None:
    section = page.section(
        "Lips",
        "The inner-lip opening, in inter-ocular distances: what the recording does, what our model meant, what our video shows.",
    )
    section.add(Figures(lip_traces(data, samples)))
    wanted = (LIP_LAG.name, AV_OFFSET.name, WHISPER_OFFSET_NAME, SYNCNET_OFFSET_NAME)
    section.add(Figures([offsets(data, metric) for metric in data.columns if metric.name in wanted]))
    shown = (LIP_VELOCITY_R, LIP_AMPLITUDE, CLOSURE_F1, AV_AT_ZERO, HEAD_MOTION)
    section.add(Figures([strips(data, metric) for metric in shown]))


def _clips(page: Page, data: BenchmarkData, settings: Report) -> None:
    section = page.section("Clips", "Every clip of every system; nothing is left out of a mean without a row under failures.")
    section.add(clip_table(data))
    if data.contestants:
        section.add(worst_table(data, settings.worst_clips))
    failures = failure_table(data)
    section.add(failures if failures else Note("No failures: every system has a value for every clip and metric.", "good"))


def _protocol(page: Page, data: BenchmarkData) -> None:
    section = page.section(
        "Protocol", "What each column is. The id carries the protocol: another crop, detector or sampling is another id."
    )
    section.add(
        protocol_table(data),
        Note(
            "Frames are paired by index and never stretched in time; videos that differ from the recording by more than one "
            "frame are not scored. An identity counts once: figures are means over identities of the mean over each one's clips, "
            "intervals Student's t over identities, of sets a jackknife over identities. Orders and intervals describe this set "
            "of clips: figures of other papers, made with other detectors and crops, are not comparable, and none is quoted."
        ),
        *(Note(f"Not measured: {line}.") for line in data.not_measured),
    )  # fmt: skip
