"""The benchmark page, assembled from `BenchmarkData`: pure, so that equal tables give equal bytes."""

from evaluation import metrics
from evaluation.ablations import ablation_table
from evaluation.blocks import Figures, Gallery, Media, MediaGrid, MediaRow, Note, Stat, Strips, Tone
from evaluation.html import Page, Provenance
from evaluation.report_data import BenchmarkData
from evaluation.report_emotion import emotion_blocks
from evaluation.report_plots import against, lip_traces, strips, training_curves
from evaluation.report_tables import (
    HEADLINE,
    MAIN,
    SHUFFLED,
    STILL,
    TRUTH,
    clip_table,
    comparison_table,
    emotion_label,
    expectations,
    expectations_table,
    failure_table,
    number,
    protocol_table,
    published_table,
    results_table,
    stage_bars,
    stage_table,
)
from space_data.params import Report
from space_data.timebase import frame_start_s

SHEET_CLIPS = 3
SHORT_DIGITS = 3


def benchmark_page(data: BenchmarkData, settings: Report, provenance: Provenance) -> Page:
    """The whole page."""
    page = Page(
        "Benchmark", "Speech-driven portraits against their recordings, on identities that no model saw", stats=_stats(data)
    )
    samples = data.samples(settings.sample_clips)
    _results(page, data)
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
    ours, still = data.mean(MAIN, metrics.LMD_MOUTH), data.mean(STILL, metrics.LMD_MOUTH)
    if ours is not None and still:
        gain = 1 - ours / still
        stats.append(
            Stat(
                "mouth distance against still", f"{-gain:+.0%}".replace("-", "−"), "ours; lower is better", _tone(gain > 0)
            )
        )
    correlation, wrong = data.mean(MAIN, metrics.LIP_CORRELATION), data.mean(SHUFFLED, metrics.LIP_CORRELATION)
    if correlation is not None:
        stats.append(
            Stat(
                "lip-gap correlation",
                number(correlation, 2),
                f"mismatched audio: {number(wrong, 2)}",
                _tone(correlation > (wrong or 0)),
            )
        )
    sync, truth = data.mean(MAIN, metrics.AV_AT_ZERO), data.mean(TRUTH, metrics.AV_AT_ZERO)
    if sync is not None:
        stats.append(Stat("A/V score at lag 0", number(sync, 2), f"ground truth: {number(truth, 2)}"))
    held = [ok for _, ok, _ in expectations(data)]
    stats.append(
        Stat("orders that must hold", f"{sum(ok is True for ok in held)} of {len(held)}", "see Results", _tone(all(held)))
    )
    return stats


def _tone(good: bool) -> Tone:
    return "good" if good else "bad"


def _results(page: Page, data: BenchmarkData) -> None:
    section = page.section(
        "Results",
        "Every system gets the first frame, the speech, the emotion and the same seed, and is encoded with the identical sound.",
    )
    section.add(results_table(data))
    if not data.frechet.metric_id.startswith("fid/"):
        section.add(Note(" ".join(["The Fréchet column is a stand-in, not FID.", *data.absences]), "warn"))
    floor = number(data.mean(TRUTH, metrics.LMD_MOUTH), metrics.LMD_MOUTH.digits)
    section.add(
        Note(
            f"The ground truth is the recording encoded again: the {floor} IOD of its mouth distance are what coding and the "
            "detector's jitter make of identical lips, a floor that no system can be expected to pass. Pixel "
            "columns and the pose column compare with one particular recording: a system with head motion of its own cannot be "
            "near it, and the still portrait looks better in them than it is."
        ),
        expectations_table(data), comparison_table(data), published_table(),
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
    section.add(
        Figures(
            [
                against(data, metrics.LMD_MOUTH, STILL),
                against(data, metrics.LIP_CORRELATION, SHUFFLED),
                strips(data, metrics.AV_AT_ZERO),
                strips(data, metrics.AV_OFFSET),
                strips(data, metrics.LIP_AMPLITUDE),
                strips(data, metrics.HEAD_MOTION),
            ]
        )
    )


def _clips(page: Page, data: BenchmarkData, settings: Report) -> None:
    section = page.section("Clips", "Every clip of every system; nothing is left out of a mean without a row under failures.")
    section.add(clip_table(data))
    worst = data.worst(MAIN, metrics.LMD_MOUTH, settings.worst_clips)
    media = [
        Media(
            data.posters.get((MAIN, clip_id), ""), clip_id,
            [f"mouth distance {number(data.value(MAIN, clip_id, metrics.LMD_MOUTH), metrics.LMD_MOUTH.digits)}",
             f"lip-gap correlation {number(data.value(MAIN, clip_id, metrics.LIP_CORRELATION), 2)}"],
            f"#{rank}", "warn",
        )
        for rank, clip_id in enumerate(worst, start=1) if (MAIN, clip_id) in data.posters
    ]  # fmt: skip
    if media:
        section.add(Gallery(media, title="Furthest from the recording (ours; mouth distance)"))
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
            "frame are not scored. Intervals are percentile bootstraps that resample identities with all their clips; the "
            "Fréchet interval is a jackknife over clips. Orders and intervals describe this set of clips: figures of other "
            "papers, made with other detectors and crops, are not comparable, and none is quoted."
        ),
    )  # fmt: skip
