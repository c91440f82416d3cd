"""The benchmark page, assembled from `BenchmarkData`: pure, so that equal tables give equal bytes."""

from evaluation.ablations import ablation_table
from evaluation.blocks import Figures, Gallery, Media, MediaGrid, MediaRow, Note, Stat, Strips, Tone
from evaluation.html import Page, Provenance
from evaluation.metrics import HEADLINE
from evaluation.metrics.head import HEAD_MOTION
from evaluation.metrics.landmarks import LD_MOUTH
from evaluation.metrics.lips import CLOSURE_F1, LIP_AMPLITUDE, LIP_LAG, LIP_VELOCITY_R
from evaluation.metrics.sync import AV_AT_ZERO
from evaluation.report_data import BenchmarkData
from evaluation.report_emotion import emotion_blocks
from evaluation.report_plots import forest, lip_traces, strips, training_curves
from evaluation.report_results import (
    MAIN,
    contestants_table,
    contrast_table,
    controls_table,
    expectations,
    expectations_table,
    number,
    published_table,
    strata_table,
    validity_table,
)
from evaluation.report_tables import clip_table, emotion_label, failure_table, protocol_table, stage_bars, stage_table
from evaluation.systems import GROUND_TRUTH, MISMATCHED_AUDIO
from space_data.params import Report
from space_data.timebase import frame_start_s

SHEET_CLIPS = 3
SHORT_DIGITS = 3
WORST_BY = (LIP_VELOCITY_R, LD_MOUTH)
"""Metrics whose worst clips are shown."""


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


def _tone(good: bool) -> Tone:
    return "good" if good else "bad"


def _results(page: Page, data: BenchmarkData) -> None:
    section = page.section(
        "Results",
        "Every system gets the first frame, the speech, the emotion and the same seed, and is encoded with the identical sound.",
    )
    section.add(contestants_table(data))
    if not any(metric.name == "fid" for metric in data.sets):
        section.add(Note(" ".join(["Distances between sets are stand-ins, not FID or KID.", *data.absences]), "warn"))
    figures = forest(data)
    section.add(*([Figures(figures)] if figures else []), contrast_table(data), strata_table(data), published_table(data))


def _checks(page: Page, data: BenchmarkData) -> None:
    section = page.section("Checks", "What must come out if metrics, models and pipeline are sound; what fails comes first.")
    floor = number(data.mean(GROUND_TRUTH.name, LD_MOUTH), LD_MOUTH.digits)
    section.add(
        expectations_table(data), controls_table(data),
        Note(
            f"The ground truth is the recording encoded again: the {floor} IOD of its mouth distance are what coding and the "
            "detector's jitter make of identical lips, a floor that no system can be expected to pass. Pixels and poses compare "
            "with one particular recording: a system with head motion of its own cannot be near it."
        ),
        validity_table(data),
    )  # fmt: skip


def _side_by_side(page: Page, data: BenchmarkData, samples: list[str]) -> None:
    section = page.section(
        "Side by side", "Chosen by name, identities in turn, not by score. Play a row to start all its videos together."
    )
    facts = {clip.clip_id: clip for clip in data.clips}
    rows = []
    for clip_id in samples:
        media: list[Media | None] = []
        for entry in data.systems:
            source = data.videos.get((entry.name, clip_id))
            if source is None:
                media.append(None)
                continue
            lines = [f"{m.title} {number(data.value(entry.name, clip_id, m), SHORT_DIGITS)}" for m in HEADLINE]
            media.append(Media(source, entry.title, lines, poster=data.posters.get((entry.name, clip_id), "")))
        clip = facts[clip_id]
        rows.append(MediaRow(clip_id, media, f"{emotion_label(clip)}, {frame_start_s(clip.n_frames):.1f} s"))
    section.add(MediaGrid([entry.title for entry in data.systems], rows))
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
    shown = (LIP_VELOCITY_R, LIP_LAG, LIP_AMPLITUDE, CLOSURE_F1, AV_AT_ZERO, HEAD_MOTION)
    section.add(Figures([strips(data, metric) for metric in shown]))


def _clips(page: Page, data: BenchmarkData, settings: Report) -> None:
    section = page.section("Clips", "Every clip of every system; nothing is left out of a mean without a row under failures.")
    section.add(clip_table(data))
    for entry in data.contestants:
        for metric in WORST_BY:
            media = [
                Media(
                    data.videos.get((entry.name, clip_id), data.posters[entry.name, clip_id]),
                    clip_id,
                    [f"{m.title} {number(data.value(entry.name, clip_id, m), m.digits)}" for m in WORST_BY],
                    f"#{rank}", "warn", poster=data.posters[entry.name, clip_id],
                )
                for rank, clip_id in enumerate(data.worst(entry.name, metric, settings.worst_clips), start=1)
                if (entry.name, clip_id) in data.posters
            ]  # fmt: skip
            if media:
                section.add(Gallery(media, title=f"Worst clips of {entry.title} by {metric.title}"))
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
    )  # fmt: skip
