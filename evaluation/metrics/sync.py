"""Lips against sound. A judge that hears prefers the average of what a sound looks like to life: nearest to the recording's own
score is best (a ridge regression outscores recorded lips in 38 of 38 clips; Wav2Lip beats recordings on SyncNet in its paper)."""

from collections.abc import Sequence

from evaluation.metrics.entry import MeanStatistics, Measure, Metric, Pair, mean_of

CCA = "space_data.avsync: canonical correlations between lip tracks and mel bands; fitted on speakers that are not scored"
PUBLISHED = "Chung and Zisserman 2016, the release's weights and protocol (docs/syncnet.md)"
NEAREST = "Nearest to the recording: lips predicted from sound outscore recorded ones."


SYNCNET_OFFSET_NAME = "syncnet_offset_frames"
CCA_NAMES = ("av_offset", "av_confidence", "av_at_zero")
WHISPER_NAMES = ("whisper_offset", "whisper_confidence", "whisper_at_zero")
SYNCNET_NAMES = ("syncnet_offset", "syncnet_confidence", "syncnet_distance")


def cca(pair: Pair) -> dict[str, MeanStatistics]:
    """Offset, confidence and score in place of the candidate's lips; nothing where the clip is too short."""
    found = pair.sync
    return single(CCA_NAMES, (found.offset_frames, found.confidence, found.at_zero) if found else None)


def whisper(pair: Pair) -> dict[str, MeanStatistics]:
    """The same on Whisper's states."""
    found = pair.whisper
    return single(WHISPER_NAMES, (found.offset_frames, found.confidence, found.at_zero) if found else None)


def syncnet(pair: Pair) -> dict[str, MeanStatistics]:
    """The network's offset, confidence and distance; nothing where the clip is too short."""
    found = pair.syncnet
    return single(SYNCNET_NAMES, (found.offset_frames, found.confidence, found.distance) if found else None)


def single(names: Sequence[str], values: Sequence[float] | None) -> dict[str, MeanStatistics]:
    """One value each; None: nothing of any."""
    return {name: MeanStatistics(float(values[i]), 1) if values else MeanStatistics() for i, name in enumerate(names)}


MEASURES = (
    Measure(CCA_NAMES, cca),
    Measure(WHISPER_NAMES, whisper, "whisper"),
    Measure(SYNCNET_NAMES, syncnet, "syncnet"),
)
AV_AT_ZERO = Metric(
    "av_at_zero/cca-landmarks/v1", "A/V score at lag 0", "", "recording", ("av_at_zero",), mean_of("av_at_zero"),
    "Best score at the lags -1, 0 and +1, where a correct video has its peak.", CCA,
    f"{NEAREST} Blind to lip amplitude.", 3,
)  # fmt: skip
AV_CONFIDENCE = Metric(
    "av_confidence/cca-landmarks/v1", "A/V confidence", "", "recording", ("av_confidence",), mean_of("av_confidence"),
    "Peak minus median of the lag curve (the form of SyncNet's LSE-C).", CCA,
    f"{NEAREST} Not comparable with LSE-C: no SyncNet weights are involved.", 3,
)  # fmt: skip
AV_OFFSET = Metric(
    "av_offset_frames/cca-landmarks/v2", "A/V offset", "frames", "recording", ("av_offset",), mean_of("av_offset"),
    "Lag at which lips and sound agree best, within +-15 frames; + = audio late.", CCA,
    "The opposite of SyncNet's sign.", 1,
)  # fmt: skip
METRICS = (AV_AT_ZERO, AV_CONFIDENCE, AV_OFFSET)
STATES = "evaluation.whisper_sync: canonical correlations between lip tracks and Whisper tiny.en; fitted like the log-mel one"
WHISPER_OFFSET_NAME = "whisper_offset_frames"
WHISPER_METRICS = (
    Metric(
        "whisper_at_zero/cca-whisper-tiny.en/v1", "A/V score at lag 0, Whisper", "", "recording", ("whisper_at_zero",),
        mean_of("whisper_at_zero"), AV_AT_ZERO.definition, STATES, AV_AT_ZERO.departures, 3,
    ),
    Metric(
        "whisper_confidence/cca-whisper-tiny.en/v1", "A/V confidence, Whisper", "", "recording", ("whisper_confidence",),
        mean_of("whisper_confidence"), AV_CONFIDENCE.definition, STATES, AV_CONFIDENCE.departures, 3,
    ),
    Metric(
        f"{WHISPER_OFFSET_NAME}/cca-whisper-tiny.en/v1", "A/V offset, Whisper", "frames", "recording", ("whisper_offset",),
        mean_of("whisper_offset"), AV_OFFSET.definition, STATES, AV_OFFSET.departures, 1,
    ),
)  # fmt: skip
"""Only where the weights are."""
BOXES = "Face boxes are FaceMesh's, scaled to S3FD's."
PATHS = {
    "direct": f"{NEAREST} Frames are not compressed again on the way. {BOXES}",
    "legacy-avi": f"{NEAREST} By the release's AVI, JPEG and XVID, its sound 69 ms late: for comparison with old tables. {BOXES}",
}
"""By protocol, departures."""


def syncnet_metrics(protocol: str, s3fd: bool = False) -> tuple[Metric, ...]:
    """Of the published network, by one of `PATHS`, in FaceMesh's boxes or ``s3fd``'s. Only where the weights are."""
    end, departures = f"syncnet-v2-{protocol}{'-s3fd' if s3fd else ''}/v1", PATHS[protocol]
    departures = departures.removesuffix(f" {BOXES}") if s3fd else departures
    distance = Metric(
        f"lse_d/{end}", "LSE-D", "", "recording", ("syncnet_distance",), mean_of("syncnet_distance"),
        "Least mean distance between SyncNet's embeddings of lips and sound over the lags.", PUBLISHED, departures, 2,
    )  # fmt: skip
    confidence = Metric(
        f"lse_c/{end}", "LSE-C", "", "recording", ("syncnet_confidence",), mean_of("syncnet_confidence"),
        "Median over the lags of that distance minus its least.", PUBLISHED, departures, 2,
    )  # fmt: skip
    offset = Metric(
        f"{SYNCNET_OFFSET_NAME}/{end}", "SyncNet offset", "frames", "recording", ("syncnet_offset",), mean_of("syncnet_offset"),
        "Lag of the least distance; + = audio late.", PUBLISHED, "Our sign, the opposite of theirs.", 1,
    )  # fmt: skip
    return distance, confidence, offset
