"""Where a run's files lie: the same stage code serves the DVC pipeline (``data/``, ``reports/``) and ``space data curate``."""

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.stages import CURATION
from space_data.params import Job
from space_data.store import Place


@dataclass(frozen=True)
class Layout:
    """Places of one run. ``Layout()`` is the DVC pipeline's; ``Layout.in_folder(out)`` puts everything below one place."""

    data: Place = field(default_factory=lambda: Place.of("data"))
    reports: Place = field(default_factory=lambda: Place.of("reports"))
    cache: Place = field(default_factory=lambda: Place.of(".cache"))
    models: Place = field(default_factory=lambda: Place.of("models"))
    store: Place | None = None
    """where the tables and the cache of the curation lie instead, for workers on other machines; ``data`` keeps the manifests"""

    @staticmethod
    def of(job: Job) -> "Layout":
        """The DVC pipeline's, with what ``job.store`` moves to a bucket."""
        return Layout(store=Place.of(job.store) if job.store else None)

    @staticmethod
    def in_folder(out: Place | Path | str) -> "Layout":
        """Everything under ``out``: ``out/ingest/``, ``out/measure/``, ... ``out/audit/index.html``."""
        out = Place.of(out)
        return Layout(data=out, reports=out, cache=out / ".cache", models=out / "models")

    def root(self, stage: str) -> Place:
        """What the paths in a stage's tables are relative to."""
        return self.store / "data" if self.store and stage in CURATION else self.data

    def stage(self, name: str) -> Place:
        """Folder of a stage's tables, with their manifest."""
        return self.root(name) / name

    def cache_of(self, stage: str) -> Place:
        """Root of the cache that a stage uses."""
        return self.store / "cache" if self.store and stage in CURATION else self.cache

    @property
    def corpus(self) -> Path:
        """The default corpus (corpus)."""
        return self.data.local() / "raw" / "synthetic"

    @property
    def clips(self) -> Place:
        """``Clip`` rows of the readable clips (ingest)."""
        return self.stage("ingest") / "clips"

    @property
    def frames(self) -> Place:
        """``FrameRow`` rows (measure)."""
        return self.stage("measure") / "frames"

    @property
    def sound(self) -> Place:
        """``SoundRow`` rows (measure)."""
        return self.stage("measure") / "sound"

    @property
    def thumbnails(self) -> Place:
        """``Thumbnail`` rows (measure)."""
        return self.stage("measure") / "thumbnails"

    @property
    def clip_measures(self) -> Place:
        """``ClipMeasure`` rows (measure)."""
        return self.stage("measure") / "clips"

    @property
    def measures(self) -> Place:
        """``Measure`` rows, one per segment (segment)."""
        return self.stage("segment") / "segments"

    @property
    def sync(self) -> Place:
        """``SyncWindow`` rows, one per segment and window (sync)."""
        return self.stage("sync") / "windows"

    @property
    def sync_segments(self) -> Place:
        """``SegmentSync`` rows, one per segment (sync)."""
        return self.stage("sync") / "segments"

    @property
    def scorer(self) -> Place:
        """The audio-visual scorer that was used (sync)."""
        return self.stage("sync") / "scorer.npz"

    @property
    def syncnet(self) -> Place:
        """``SyncNetScore`` rows, one per segment; none without the published weights (syncnet)."""
        return self.stage("syncnet") / "scores"

    @property
    def decisions(self) -> Place:
        """``Decision`` rows, one per segment (filter)."""
        return self.stage("filter") / "decisions"

    @property
    def aligned(self) -> Place:
        """Folder of the stage align: its tables, and the video and sound of the segments in ``media/``."""
        return self.stage("align")

    @property
    def features(self) -> Place:
        """Folder of the stage features: ``FeatureFrame`` and ``FeatureClip`` rows."""
        return self.stage("features")

    @property
    def aligned_clips(self) -> Place:
        """``AlignedClip`` rows (align)."""
        return self.aligned / "clips"

    @property
    def feature_frames(self) -> Place:
        """Folder of ``FeatureFrame`` shards, in one folder per split (features)."""
        return self.features / "frames"

    def feature_split(self, split: str) -> Place:
        """The folder of one split, named as Hive does, so that other readers see a column ``split``."""
        return self.feature_frames / f"split={split}"

    @property
    def feature_clips(self) -> Place:
        """``FeatureClip`` rows (features)."""
        return self.features / "clips"

    @property
    def speech(self) -> Place:
        """Folder of the stage speech: ``SpeechFrame`` rows, a folder per split; ``space_data.speech_states`` reads them."""
        return self.stage("speech")

    @property
    def segment_crops(self) -> Place:
        """``SegmentCrop`` rows (features)."""
        return self.features / "crops"

    def latents(self, generator: str) -> Place:
        """``LatentFrame`` rows of one generator (latents)."""
        return self.stage("latents") / "frames" / f"generator={generator}"

    def latent_spec(self, generator: str) -> Path:
        """What its latents are: ``LatentSpec`` as JSON (latents)."""
        return self.stage("latents").local() / f"{generator}.json"

    def model(self, name: str) -> Path:
        """Folder of a model: ``weights.safetensors``, ``card.json``, ``metrics.json``, ``curves.csv``; trained here, so local."""
        return self.models.local() / name

    def training_state(self, name: str) -> Path:
        """Where a model's training keeps its state for resuming, outside what DVC deletes."""
        return self.cache.local() / "train" / f"{name}.safetensors"

    def live(self, name: str) -> Path:
        """Where a model's curves are written while it learns, as DVCLive does: ``plots/metrics/*.tsv``, ``metrics.json``."""
        return self.reports.local() / "dvclive" / name

    @property
    def synthesized(self) -> Path:
        """Folder of the systems' videos (synthesize): ``<system>/<clip>.mp4``."""
        return self.stage("synthesize").local()

    @property
    def synthesized_clips(self) -> Path:
        """``SynthesizedClip`` rows, one per system and test clip (synthesize)."""
        return self.synthesized / "clips.parquet"

    @property
    def external(self) -> Path:
        """Systems of others whose videos were added: ``<system>/{card.yaml,clips.parquet,videos/}`` (space benchmark)."""
        return self.stage("external").local()

    @property
    def synthesized_tracks(self) -> Path:
        """``SynthesizedFrame`` rows (synthesize)."""
        return self.synthesized / "tracks.parquet"

    @property
    def statistics(self) -> Place:
        """``ClipStatistic`` rows: the sums that all figures of the benchmark follow from."""
        return self.stage("evaluate") / "statistics"

    @property
    def scores(self) -> Place:
        """``Score`` rows: system x clip x metric (evaluate)."""
        return self.stage("evaluate") / "scores"

    @property
    def identity_means(self) -> Place:
        """``IdentityMean`` rows: system x identity x metric (evaluate)."""
        return self.stage("evaluate") / "identities"

    @property
    def aggregates(self) -> Place:
        """``Aggregate`` rows: system x metric with intervals and coverage (evaluate)."""
        return self.stage("evaluate") / "aggregates.parquet"

    @property
    def evaluation_scorer(self) -> Path:
        """The audio-visual scorer of the benchmark, fitted on speakers that are not scored (evaluate)."""
        return self.stage("evaluate").local() / "scorer.npz"

    @property
    def traces(self) -> Place:
        """``TraceFrame`` rows: what the detector saw in the videos (evaluate)."""
        return self.stage("evaluate") / "traces"

    @property
    def diversity_statistics(self) -> Place:
        """``ClipStatistic`` rows: how far seeds, and recordings, are apart (diversity)."""
        return self.stage("diversity") / "statistics.parquet"

    @property
    def diversity(self) -> Place:
        """``Aggregate`` rows of those (diversity)."""
        return self.stage("diversity") / "aggregates.parquet"

    @property
    def emotion_report(self) -> Path:
        """``EmotionReport`` as JSON: how much of each emotion shows (emotion)."""
        return self.stage("emotion").local() / "report.json"

    @property
    def emotion_strips(self) -> Path:
        """Folder of the strips of faces, a picture per emotion (emotion)."""
        return self.stage("emotion").local() / "strips"

    @property
    def emotion_metrics(self) -> Path:
        """The figures of all emotions for ``dvc metrics`` (emotion)."""
        return self.reports.local() / "emotion" / "metrics.json"

    @property
    def benchmark(self) -> Path:
        """Folder of the benchmark: ``metrics.json`` and ``plots/`` (evaluate), ``index.html`` and ``media/`` (report)."""
        return self.reports.local() / "benchmark"

    @property
    def l2l_ablations(self) -> Path:
        """Tables of ``benchmarks.l2l_ablations`` by generator, where it was run; the benchmark page shows them."""
        return self.reports.local() / "l2l"

    @property
    def audit(self) -> Place:
        """Folder of the audit page."""
        return self.reports / "audit"

    def ledger(self, stage: str) -> Place:
        """``LedgerRow`` rows of one stage."""
        return self.stage(stage) / "ledger"

    def timing(self, stage: str) -> Place:
        """How long the stage took on its last run."""
        return self.reports / "stages" / f"{stage}.json"
