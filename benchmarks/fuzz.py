"""Damaged files through curation: ``python -m benchmarks.fuzz CLIP... [--out FOLDER]``.

From every clip: truncated at each tenth of its length, bytes flipped at random (few, many, in the header only), and its content
under other suffixes; besides, pictures, sound, text and nothing at all named like videos. Then all stages up to the filter run on
them. Counted: that the job ends, that every file has a fate in the ledger, and which fates there are. With ``--packets`` instead:
``benchmarks.fuzz_packets``.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks import fuzz_packets
from pipelines.layout import Layout
from pipelines.stages import filter, ingest, measure, segment, sync
from space_data import progress
from space_data.params import load_params
from space_data.schema import KEPT, Decision, LedgerRow
from space_data.tables import read_table

TENTHS = range(1, 10)
FLIPS = {"few": 8, "some": 64, "many": 1024}
HEADER_BYTES = 4096
SWAPPED = (".mkv", ".avi", ".mov", ".ts")
TIME_LIMIT_S = 60.0


def damaged(content: bytes, rng: np.random.Generator) -> dict[str, bytes]:
    """Damaged copies of a file by the end of their name."""
    copies = {f"cut{tenth}0.mp4": content[: len(content) * tenth // 10] for tenth in TENTHS}
    for name, count in FLIPS.items():
        for copy in range(2):
            copies[f"flip-{name}{copy}.mp4"] = _flipped(content, count, len(content), rng)
    copies["flip-header.mp4"] = _flipped(content, 16, min(HEADER_BYTES, len(content)), rng)
    copies["zeroed.mp4"] = content[: len(content) // 3] + bytes(len(content) // 3) + content[2 * len(content) // 3 :]
    copies["shuffled.mp4"] = content[len(content) // 2 :] + content[: len(content) // 2]
    copies |= {f"as{suffix[1:]}{suffix}": content for suffix in SWAPPED}
    return copies


def _flipped(content: bytes, count: int, below: int, rng: np.random.Generator) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    changed[rng.integers(0, below, count)] ^= (1 << rng.integers(0, 8, count)).astype(np.uint8)
    return changed.tobytes()


def write_folder(clips: list[Path], folder: Path) -> int:
    """Write all damaged copies and the impostors; how many files."""
    rng = np.random.default_rng(1)
    for clip in clips:
        for name, content in damaged(clip.read_bytes(), rng).items():
            target = folder / clip.stem / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    impostors = {
        "empty.mp4": b"", "one_byte.mp4": b"\0", "text.mp4": b"not a video\n" * 99, "noise.mp4": rng.bytes(50_000),
        "zeros.mkv": bytes(50_000), "png.mp4": b"\x89PNG\r\n\x1a\n" + rng.bytes(2000),
        "jpeg.mov": b"\xff\xd8\xff\xe0" + rng.bytes(2000),
        "wav.avi": b"RIFF" + bytes(4) + b"WAVEfmt " + rng.bytes(2000), "html.webm": b"<!DOCTYPE html><p>404" * 50,
    }  # fmt: skip
    for name, content in impostors.items():
        (folder / name).write_bytes(content)
    os.symlink("nowhere.mp4", folder / "dangling.mp4")
    return sum(path.is_file() or path.is_symlink() for path in folder.rglob("*"))


def main() -> None:
    """Damage, curate, count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--out", type=Path, help="keep the files and tables here")
    parser.add_argument("--packets", action="store_true", help="flip bits inside packets, compare lengths with FFmpeg's")
    parser.add_argument("--files", type=int, default=1000, help="with --packets: how many")
    parser.add_argument("--only", type=int, metavar="N", help="with --packets: make file N again, in --out")
    arguments = parser.parse_args()
    progress.setup()
    if arguments.packets:
        sys.exit(fuzz_packets.run(arguments.clips, arguments.files, os.cpu_count() or 1, arguments.only, arguments.out))
    with tempfile.TemporaryDirectory() as temporary:
        out = arguments.out or Path(temporary)
        files = write_folder(arguments.clips, out / "in")
        params = load_params()
        params = params.model_copy(
            update={
                "data": params.data.model_copy(update={"reader": "folder", "raw": str(out / "in")}),
                "job": params.job.model_copy(
                    update={"timeout_s": TIME_LIMIT_S, "timeout_per_cost": 0.0, "max_failed_share": 1.0}
                ),
            }
        )
        layout = Layout.in_folder(out / "out")
        began_s = time.perf_counter()
        for stage in (ingest, measure, segment, sync, filter):
            stage.run(params, layout)
        took_s = time.perf_counter() - began_s
        fates: dict[str, Counter[str]] = {}
        for name in ("ingest", "measure"):
            rows = read_table(layout.ledger(name), LedgerRow)
            fates[name] = Counter(f"{row.status} {row.reason}".strip() for row in rows)
            for row in rows:
                if row.reason in ("exception", "worker_died", "timed_out"):
                    print(f"{name}: {row.clip_id}: {row.reason}: {row.detail[-300:]}")
        kept = {d.source_clip_id for d in read_table(layout.decisions, Decision) if d.status == KEPT}
    accounted = sum(fates["ingest"].values())
    print(f"{files} files, {accounted} accounted for, in {took_s:.0f} s; no unit may take more than {TIME_LIMIT_S:.0f} s")
    for name, counts in fates.items():
        print(f"{name}: " + ", ".join(f"{n} {fate}" for fate, n in counts.most_common()))
    print(f"files with a kept segment: {len(kept)}: " + ", ".join(sorted(Counter(i.rsplit('/', 1)[-1] for i in kept))))
    sys.exit(0 if accounted == files else 1)


if __name__ == "__main__":
    main()
