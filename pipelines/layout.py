"""Where a run's files lie: the same stage code serves the DVC pipeline (``data/``, ``reports/``) and ``space data curate``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths of one run. ``Layout()`` is the DVC pipeline's; ``Layout.in_folder(out)`` puts everything into one folder."""

    data: Path = Path("data")
    reports: Path = Path("reports")
    cache: Path = Path(".cache")

    @staticmethod
    def in_folder(out: Path) -> "Layout":
        """Everything under ``out``: ``out/clips.parquet``, ``out/aligned/``, ``out/audit/index.html`` ..."""
        return Layout(data=out, reports=out, cache=out / ".cache")

    @property
    def clips(self) -> Path:
        """``Clip`` rows of the readable clips (ingest)."""
        return self.data / "clips.parquet"

    @property
    def frames(self) -> Path:
        """Folder of ``FrameRow`` shards (measure)."""
        return self.data / "measure" / "frames"

    @property
    def sound(self) -> Path:
        """Folder of ``SoundRow`` shards (measure)."""
        return self.data / "measure" / "sound"

    @property
    def measures(self) -> Path:
        """``Measure`` rows, one per segment (measure)."""
        return self.data / "measure" / "measures.parquet"

    @property
    def sync(self) -> Path:
        """``SyncRow`` rows, one per segment and window (sync)."""
        return self.data / "sync" / "sync.parquet"

    @property
    def sync_segments(self) -> Path:
        """``SegmentSync`` rows, one per segment (sync)."""
        return self.data / "sync" / "segments.parquet"

    @property
    def scorer(self) -> Path:
        """The audio-visual scorer that was used (sync)."""
        return self.data / "sync" / "scorer.npz"

    @property
    def decisions(self) -> Path:
        """``Decision`` rows, one per segment (filter)."""
        return self.data / "decisions.parquet"

    @property
    def aligned(self) -> Path:
        """Folder of aligned video and sound, with ``clips.parquet`` of ``AlignedClip`` rows (align)."""
        return self.data / "aligned"

    @property
    def features(self) -> Path:
        """Folder of ``FeatureFrame`` shards and ``FeatureClip`` rows (features)."""
        return self.data / "features"

    @property
    def audit(self) -> Path:
        """Folder of the audit page."""
        return self.reports / "audit"

    def ledger(self, stage: str) -> Path:
        """``LedgerRow`` rows of one stage."""
        return self.data / "ledger" / f"{stage}.parquet"

    def timing(self, stage: str) -> Path:
        """How long the stage took on its last run."""
        return self.reports / "stages" / f"{stage}.json"
