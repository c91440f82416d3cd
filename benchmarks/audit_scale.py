"""How long filter and audit page take, how much memory and how large the page is, from made-up tables of any size.

    python -m benchmarks.audit_scale --segments 1000000 --out OUT

Values are drawn so that about a third is dropped, for all reasons; subjects, emotions, languages and sexes are made up, and one
language is noisier than the others, which the page must notice.
"""

import argparse
import resource
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.audit.data import Audit
from pipelines.audit.pictures import sheets_of
from pipelines.audit.whatif import nearness
from pipelines.audit.write import write_audit
from pipelines.job.ledger import check_conservation
from pipelines.layout import Layout
from pipelines.stages import CURATION
from pipelines.stages.filter import NAME as FILTER
from pipelines.stages.filter import decide, rules_version
from space_data.params import Params, load_params
from space_data.schema import (
    EMOTIONS,
    KEPT,
    Clip,
    Decision,
    LedgerRow,
    Measure,
    SegmentSync,
    SyncNetScore,
    Thumbnail,
    arrow_schema,
)
from space_data.store import Place
from space_data.tables import has_table, in_order, merge_shards, read_arrow, write_table

SHARD_ROWS = 2200
SEGMENTS_PER_CLIP, CLIPS_PER_SUBJECT = 2, 50
LANGUAGES, NOISY = ("en", "fr", "hi", "zh"), 2
DEFAULTS = {"string": "", "int64": 0, "double": 0.0, "bool": False}


def full_table(row_class: type, n: int, columns: dict[str, object]) -> pa.Table:
    """A table of ``n`` rows: the given columns (arrays, or one value for all), and 0 or empty for the rest."""
    arrays = []
    for field in arrow_schema(row_class):
        value = columns.get(field.name, DEFAULTS.get(str(field.type)))
        if pa.types.is_fixed_size_list(field.type):
            flat = pa.repeat(pa.scalar(0.0, pa.float32()), n * field.type.list_size)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, type=field.type))
        elif isinstance(value, np.ndarray | pa.Array | list):
            arrays.append(pa.array(value, field.type, from_pandas=True))
        else:
            arrays.append(pa.repeat(pa.scalar(value, field.type), n))
    return pa.Table.from_arrays(arrays, schema=arrow_schema(row_class))


def made_up_measures(n: int, rng: np.random.Generator, ids: pa.Array, clips: pa.Array, noisy: np.ndarray) -> pa.Table:
    """``Measure`` rows of ``n`` segments: mostly good clips, with tails beyond every bound, some values missing."""

    def some(good: np.ndarray, bad: np.ndarray, share: float) -> np.ndarray:
        return np.where(rng.random(n) < share, bad, good)

    def holes(values: np.ndarray) -> np.ndarray:
        return np.where(rng.random(n) < 0.01, np.nan, values)

    length = rng.uniform(1.9, 10, n)
    has_audio = rng.random(n) > 0.01
    screened = np.where(rng.random(n) < 0.005, "small_face", "")
    return full_table(
        Measure, n,
        {
            "clip_id": ids, "source_clip_id": clips, "segment": np.arange(n) % SEGMENTS_PER_CLIP, "screened": screened.tolist(),
            "dataset": np.where(np.arange(n) % 4 == 0, "mead", "vox2").tolist(), "subject": "s",
            "end_frame": (length * 25).astype(int), "end_s": length, "length_s": length, "frame_rate_hz": 25.0,
            "irregular_share": some(np.zeros(n), rng.random(n), 0.02),
            "mean_rate_hz": some(np.full(n, 25.0), np.full(n, 15.0), 0.01),
            "missing_share": some(np.zeros(n), rng.uniform(0, 0.4, n), 0.01), "picture_sizes": 1, "tracks": 1,
            "damaged_share": some(np.zeros(n), rng.exponential(0.01, n), 0.01), "has_audio": has_audio,
            "audio_s": length + rng.exponential(0.05, n), "video_s": length,
            "width_px": some(np.full(n, 640), np.full(n, 128), 0.01),
            "height_px": np.where(np.arange(n) % 4 == 0, 480, 224), "lost_share": some(np.zeros(n), rng.uniform(0, 0.2, n), 0.03),
            "track_jump": holes(rng.exponential(0.05, n)), "face_width_px": holes(rng.normal(115, 18, n)),
            "outside_share": some(np.zeros(n), rng.random(n), 0.03), "detector_score": holes(rng.beta(20, 3, n)),
            "landmark_jitter": holes(rng.lognormal(-6.9, 0.4, n)), "photo_score": holes(rng.beta(12, 2, n)),
            "several_faces_share": some(np.zeros(n), rng.random(n), 0.02), "unseen_share": rng.beta(1, 12, n),
            "yaw_p95_deg": holes(rng.gamma(4, 4, n)), "yaw_median_deg": holes(rng.gamma(3, 2.5, n)),
            "pitch_p95_deg": holes(rng.gamma(4, 3, n)), "roll_p95_deg": holes(rng.gamma(3, 2.5, n)),
            "reblur_ratio": holes(rng.normal(0.19, 0.05, n)), "reblur_coarse": holes(rng.normal(0.12, 0.03, n)),
            "luma_mean": holes(rng.normal(115, 28, n)), "luma_sd": holes(rng.normal(38, 8, n)),
            "frame_difference": rng.lognormal(0, 0.7, n), "duplicate_share": some(np.zeros(n), rng.random(n), 0.04),
            "frozen_s": some(rng.exponential(0.05, n), rng.uniform(0, 8, n), 0.01), "border_share": rng.beta(1, 60, n),
            "lip_motion": holes(rng.normal(0.05, 0.013, n)), "speech_share": rng.beta(9, 1.5, n), "speech_s": length * 0.9,
            "speech_over_noise_db": holes(np.where(noisy, rng.normal(16, 8, n), rng.normal(23, 7, n))),
            "peak_level_db": rng.normal(-12, 8, n), "clipped_share": some(np.zeros(n), rng.exponential(0.004, n), 0.05),
            "speech_level_db": rng.normal(-20, 5, n),
        },
    )  # fmt: skip


def put(folder: Place, table: pa.Table, row_class: type, shard: np.ndarray | None = None) -> None:
    """Write ``table`` in shards, as a stage leaves it: sorted in each, not across them.

    Args:
        folder: of the table.
        table: its rows.
        row_class: what they are.
        shard: number of each row's shard, ascending; default: so many rows each.
    """
    shard = np.arange(table.num_rows) // SHARD_ROWS if shard is None else shard
    first = np.searchsorted(shard, np.arange(int(shard.max()) + 2))
    slices = [partial(table.slice, a, b - a) for a, b in zip(first[:-1].tolist(), first[1:].tolist(), strict=True)]
    merge_shards(folder, {f"{number:09d}": slice for number, slice in enumerate(slices)}, row_class, len(slices))


def made_up_run(layout: Layout, n: int, seed: int = 1) -> None:
    """Write the tables that ``filter`` and the audit read, for ``n`` segments, without pictures."""
    rng = np.random.default_rng(seed)
    n_clips = -(-n // SEGMENTS_PER_CLIP)
    of_clip = np.arange(n) // SEGMENTS_PER_CLIP
    person = np.arange(n_clips) // CLIPS_PER_SUBJECT
    language = rng.integers(0, len(LANGUAGES), person.max() + 1)
    clip_ids = pa.array([f"vox2/dev/id{p:05d}/recording{i:07d}/00001" for i, p in enumerate(person)])
    source = clip_ids.take(pa.array(of_clip))
    ids = pa.array([f"{clip}#{i % SEGMENTS_PER_CLIP}" for i, clip in enumerate(source.to_pylist())])
    measures = made_up_measures(n, rng, ids, source, language[person[of_clip]] == NOISY)
    put(layout.measures, measures, Measure)
    annotated = np.where(rng.random(n_clips) < 0.5, rng.normal(1, 1.5, n_clips).round(), np.nan)
    columns = {
        "clip_id": clip_ids, "dataset": np.where(np.arange(n_clips) % 2, "vox2", "mead").tolist(),
        "subject": [f"id{p:05d}" for p in person],
        "emotion": pa.array(EMOTIONS).take(pa.array(rng.integers(0, len(EMOTIONS), n_clips))), "split": "train",
        "language": pa.array(LANGUAGES).take(pa.array(language[person])), "duration_s": rng.uniform(4, 20, n_clips),
        "sex": pa.array(["f", "m"]).take(pa.array(person % 2)), "annotated_offset_frames": annotated,
    }  # fmt: skip
    put(layout.clips, full_table(Clip, n_clips, columns), Clip)
    truth = np.append(annotated, np.nan)[of_clip]
    offset = np.where(np.isnan(truth), rng.normal(1, 3, n), truth + rng.normal(0, 0.5, n)).round().clip(-15, 15).astype(int)
    heard = np.flatnonzero(np.asarray(measures.column("has_audio")) & (rng.random(n) > 0.02))
    sync = {
        "clip_id": ids, "scorer": "own set, fold 1", "windows": 2, "agreeing": 2, "offset_frames": offset,
        "confidence": rng.normal(0.5, 0.13, n), "threshold": np.full(n, 0.3), "at_zero": 0.2,
    }  # fmt: skip
    put(layout.sync_segments, full_table(SegmentSync, n, sync).take(pa.array(heard)), SegmentSync, heard // SHARD_ROWS)
    scored = {
        "clip_id": ids,
        "windows": 1,
        "offset_frames": (offset + rng.normal(0, 0.7, n)).round().astype(int),
        "confidence": 5.0,
    }
    put(layout.syncnet, full_table(SyncNetScore, n, scored).slice(0, n // 10), SyncNetScore)
    for stage, of_stage in (("ingest", clip_ids), ("measure", clip_ids), ("segment", clip_ids), ("sync", ids)):
        kept = {"clip_id": of_stage, "stage": stage, "status": KEPT}
        put(layout.ledger(stage), full_table(LedgerRow, len(of_stage), kept), LedgerRow)


def made_up_pictures(layout: Layout, params: Params) -> None:
    """Noisy little portraits for the clips that the page will show."""
    audit = Audit.read(params, layout, ())
    shown = sorted({row for sheet in sheets_of(audit, nearness(audit.judgement, params.filter)) for row in sheet.rows})
    rng, rows = np.random.default_rng(2), []
    for clip_id in sorted(set(audit.segments.column("source_clip_id").take(pa.array(shown)).to_pylist())):
        picture = np.full((256, 256, 3), rng.integers(60, 200, 3), np.uint8)
        cv2.ellipse(picture, (128, 140), (60, 85), 0, 0, 360, rng.integers(90, 230, 3).tolist(), -1, cv2.LINE_AA)
        picture = np.clip(picture + rng.normal(0, 9, picture.shape), 0, 255).astype(np.uint8)
        jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
        rows += [Thumbnail(clip_id, frame, jpeg) for frame in (10, 60)]
    write_table(layout.thumbnails, rows, Thumbnail)


def peak_gb() -> float:
    """Most memory this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def stamp() -> np.ndarray:
    """Time on the wall and on all cores, seconds; the second is what counts on a busy machine."""
    return np.array([time.perf_counter(), time.process_time()])


def spent(seconds: np.ndarray) -> str:
    """E.g. ``3.2 s (2.9 s of a core)``."""
    return f"{seconds[0]:.1f} s ({seconds[1]:.1f} s of a core)"


def decide_all(params: Params, layout: Layout) -> None:
    """What the filter's workers do, in one process: the decisions on all segments, and the pictures that the page will show."""
    began = stamp()
    measures = in_order(read_arrow(layout.measures, Measure), "clip_id")
    sync = read_arrow(layout.sync_segments, SegmentSync)
    decisions, ledger = decide(measures, sync, params.filter, rules_version())
    judged = stamp()
    put(layout.decisions, decisions, Decision)
    counts = check_conservation(FILTER, measures.column("clip_id"), ledger)
    first = np.append(True, np.asarray(pc.not_equal(ledger["clip_id"][1:], ledger["clip_id"][:-1])))
    put(layout.ledger(FILTER), ledger, LedgerRow, (np.cumsum(first) - 1) // SHARD_ROWS)
    written = stamp()
    print(
        f"filter: {len(decisions):,} segments, {dict(counts)}: "
        f"judged in {spent(judged - began)}, written in {spent(written - judged)}"
    )
    print(f"  peak {peak_gb():.2f} GB")
    del measures, sync, decisions, ledger
    if not has_table(layout.thumbnails):
        made_up_pictures(layout, params)


def main() -> None:
    """Make the tables, then time the stage's two parts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--segments", type=int, default=1_000_000)
    parser.add_argument("--page-only", action="store_true", help="of tables that are there: what the stage's driver holds")
    parser.add_argument("--out", type=Path, required=True, help="empty folder for the tables and the page")
    arguments = parser.parse_args()
    params, layout = load_params(), Layout.in_folder(arguments.out)
    if not has_table(layout.measures):
        made_up_run(layout, arguments.segments)
        print(f"tables made; peak {peak_gb():.2f} GB so far (run again for the memory of filter and audit alone)")
    if not arguments.page_only:
        decide_all(params, layout)
    began = stamp()
    write_audit(params, layout, CURATION[: CURATION.index(FILTER) + 1])
    size = (layout.audit / "index.html").size()
    print(f"audit page: {size / 1e6:.2f} MB in {spent(stamp() - began)}, peak {peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
