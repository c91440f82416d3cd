"""Small corpora in the layout of the real ones: tiny playable clips, each with content of its own."""

import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from pipelines.checking.headers import Probed, probe_clip
from pipelines.readers.listing import Listing, Source, suffix_of
from space_data.media.encode import write_video, write_wav
from space_data.store import Place

FPS = 25


def clip(path: Path, n_frames: int = 10, sound_s: float | None = None, side_px: int = 32, fps: int = FPS) -> Path:
    """A playable noisy video; the noise depends on the path, so that no two are alike. With ``sound_s`` it has sound."""
    rng = np.random.default_rng(zlib.crc32(str(path).encode()))
    audio = None if sound_s is None else rng.normal(0, 0.1, round(sound_s * 16_000)).astype(np.float32)
    write_video(path, rng.integers(0, 255, (n_frames, side_px, side_px, 3), dtype=np.uint8), fps=fps, audio=audio)
    return path


def sound(path: Path, seconds: float = 0.4) -> Path:
    """A playable sound of noise: 16-bit PCM for ``.wav``, AAC in an MP4 container for ``.m4a``."""
    rng = np.random.default_rng(zlib.crc32(str(path).encode()))
    samples = rng.normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)
    if path.suffix == ".wav":
        write_wav(path, samples)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def touch(root: Path, *names: str) -> Path:
    """Files that are only names, each with content of its own."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def assert_accounted(listing: Listing, root: Path) -> None:
    """Every file below ``root`` is a clip's, a companion, or counted as ignored; counted here without the reader's help."""
    files = [p for p in root.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.relative_to(root).parts)]
    of_clips = {path for source in listing.sources for path in source.files}
    assert of_clips <= {path.relative_to(root).as_posix() for path in files}
    assert len(files) == listing.files == len(of_clips) + listing.companions + sum(listing.ignored.values())
    assert listing.unaccounted() == 0
    found = {finding.path for finding in listing.findings}
    for path in files:
        name = path.relative_to(root).as_posix()
        if suffix_of(name) in (".mp4", ".m4a", ".wav") and name not in of_clips and not listing.companions:
            assert name in found, f"{path} is lost in silence"
    assert len({source.clip_id for source in listing.sources}) == len(listing.sources)


def probed(reader: str, root: Path, source: Source) -> Probed:
    """What the headers of one clip's files say, of a corpus in the folder ``root``."""
    return probe_clip(reader, Place.of(root), source)


def kinds(listing: Listing) -> dict[str, list[str]]:
    """Paths of the findings by kind."""
    result: dict[str, list[str]] = {}
    for finding in listing.findings:
        result.setdefault(finding.kind, []).append(finding.path)
    return result
