"""What the benchmark page is made of, gathered by `pipelines.stages.report`, and how its tables find their way in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.ablations import Row
from evaluation.aggregate import Column, Contrast, columns_of, contrasts
from evaluation.emotion_figures import EmotionReport
from evaluation.metrics import HEADLINE, Metric
from evaluation.systems import ENTRIES, GROUND_TRUTH, Entry, Kind
from space_data.schema import Aggregate, Score, SynthesizedClip, TraceFrame


@dataclass(frozen=True)
class BenchmarkData:
    """All tables behind the page, plus the media that were put beside it.

    `meant_gaps` holds the lip openings (T,) that a system predicted, by (system, clip); `videos` the addresses of those that lie
    beside the page; `languages` what is spoken, by clip; `sheets` and `mouths` strips of frames by clip, each as (system's title,
    address);
    `curves` the training curves by model, a column of numbers per name; `ablations` of L2L by generator, where they were made;
    `emotion` how much of each emotion shows, `emotion_strips` (name, address) of faces at rising intensity.
    """

    clips: Sequence[SynthesizedClip]
    scores: Sequence[Score]
    traces: Sequence[TraceFrame]
    rows: Sequence[Aggregate]
    columns: Sequence[Metric]
    sets: Sequence[Metric]
    """of whole sets of frames, which have no value per clip"""
    draws: int
    seed: int
    added: Sequence[Entry] = ()
    """systems beside `ENTRIES` that are known by a card"""
    meant_gaps: Mapping[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)
    videos: Mapping[tuple[str, str], str] = field(default_factory=dict)
    languages: Mapping[str, str] = field(default_factory=dict)
    sheets: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    mouths: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Sequence[float | None]]] = field(default_factory=dict)
    stages: Sequence[Mapping[str, object]] = ()
    absences: Sequence[str] = ()
    not_measured: Sequence[str] = ()
    """a line per judge that was not there"""
    ablations: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    emotion: EmotionReport | None = None
    emotion_strips: Sequence[tuple[str, str]] = ()
    diversity: Sequence[Aggregate] = ()
    """between seeds, beside between recordings: no columns of the tables"""

    @cached_property
    def systems(self) -> list[Entry]:
        """Systems of the run, in the order of the tables; one that nobody declared is shown as somebody's videos.

        A card may have another system's title: the name then follows it, so that no row or line of a figure is of two systems.
        """
        present = {clip.system for clip in self.clips}
        known = [entry for entry in dict.fromkeys([*ENTRIES, *self.added]) if entry.name in present]
        strangers = sorted(present - {entry.name for entry in known})
        found = [*known, *(Entry(name, name, "videos without a card", Kind.videos) for name in strangers)]
        titles = Counter(entry.title for entry in found)
        return [replace(e, title=f"{e.title} ({e.name})") if titles[e.title] > 1 and e not in ENTRIES else e for e in found]

    @property
    def contestants(self) -> list[Entry]:
        """Systems that compete."""
        return [entry for entry in self.systems if not entry.is_control]

    @property
    def controls(self) -> list[Entry]:
        """Systems that anchor the scales."""
        return [entry for entry in self.systems if entry.is_control]

    def title(self, system: str) -> str:
        """For people."""
        return next((entry.title for entry in self.systems if entry.name == system), system)

    @cached_property
    def clip_ids(self) -> list[str]:
        """Test clips, sorted."""
        return sorted({clip.clip_id for clip in self.clips})

    @cached_property
    def playable(self) -> list[str]:
        """Clips of which there are videos beside the page, sorted."""
        return sorted({clip_id for _, clip_id in self.videos})

    @cached_property
    def by_column(self) -> dict[tuple[str, str], Column]:
        """Scores by (system, metric id)."""
        return columns_of(self.scores, self.columns)

    @cached_property
    def by_cell(self) -> dict[tuple[str, str], Aggregate]:
        """Aggregates by (system, metric id)."""
        return {(row.system, row.metric): row for row in self.rows}

    @cached_property
    def gaps(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """Measured lip opening (T,), NaN where no face was found, by (system, clip)."""
        found: dict[tuple[str, str], list[float]] = {}
        for trace in sorted(self.traces, key=lambda t: (t.system, t.clip_id, t.frame)):
            gap = float("nan") if trace.lip_gap is None else trace.lip_gap
            found.setdefault((trace.system, trace.clip_id), []).append(gap)
        return {key: np.array(values) for key, values in found.items()}

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Every contestant against every other and against every control, in the headline's metrics: one family."""
        names = [entry.name for entry in self.contestants]
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        pairs += [(a, control.name) for a in names for control in self.controls]
        return contrasts(self.scores, pairs, HEADLINE, self.draws, self.seed)

    @cached_property
    def validity(self) -> list[Contrast]:
        """The recording, encoded again, against every other control: a family for each metric of clips."""
        pairs = [(GROUND_TRUTH.name, control.name) for control in self.controls if control != GROUND_TRUTH]
        families = (contrasts(self.scores, pairs, [metric], self.draws, self.seed) for metric in self.columns)
        return [made for family in families for made in family]

    def mean(self, system: str, metric: Metric) -> float | None:
        """Mean over identities, None if nothing could be scored or the system did not run."""
        row = self.by_cell.get((system, metric.metric_id))
        return row.mean if row else None

    def loss(self, system: str, metric: Metric) -> float | None:
        """The mean such that less is better: a distance where near to the recording is wanted."""
        row = self.by_cell.get((system, metric.metric_id))
        if row is None or row.mean is None:
            return None
        return {"lower": row.mean, "higher": -row.mean, "recording": row.distance}[metric.better]

    def value(self, system: str, clip_id: str, metric: Metric) -> float | None:
        """One clip's value."""
        column = self.by_column.get((system, metric.metric_id))
        score = column.clips.get(clip_id) if column else None
        return score.value if score else None

    def samples(self, count: int) -> list[str]:
        """Clips to show: identities in turn, in the order of their ids; chosen by name, never by score."""
        by_subject: dict[str, list[str]] = {}
        for clip in sorted(self.clips, key=lambda c: c.clip_id):
            own = by_subject.setdefault(clip.subject, [])
            if clip.clip_id not in own:
                own.append(clip.clip_id)
        rounds = max((len(own) for own in by_subject.values()), default=0)
        return [own[i] for i in range(rounds) for _, own in sorted(by_subject.items()) if i < len(own)][:count]

    def worst(self, system: str, metric: Metric, count: int) -> list[str]:
        """Clips on which ``system`` scores worst in ``metric``, worst first; clips without a score come before all others."""
        column = self.by_column.get((system, metric.metric_id))

        def badness(clip_id: str) -> float:
            loss = column.loss(clip_id) if column else None
            return float("inf") if loss is None else loss

        return sorted(self.clip_ids, key=lambda clip_id: (-badness(clip_id), clip_id))[:count]
