"""``params.yaml``, the only configuration: loaded strictly, one section per stage.

The repository's own is part of the package (``defaults.yaml`` is a link to it, of which a build makes a copy): an installed
package runs in any folder, and another file need only name the keys that differ.

An unknown, missing or out-of-range key is an error that names it. Sections are frozen pydantic models; each stage reads only
its own (the same keys stand under ``params:`` in ``dvc.yaml``, so that DVC knows what a change affects).
"""

import copy
import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_serializer,
    field_validator,
    model_validator,
)  # fmt: skip

from space_data.errors import SpaceError
from space_data.yaml_files import parse_yaml, read_yaml

Fraction01 = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section of ``params.yaml``: no unknown keys, no changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    PLACES: ClassVar[tuple[str, ...]] = ()
    """fields that say where something lies whose content is in the keys of results by its hash"""


class Data(Section):
    """Where the raw video lies and which reader understands it."""

    reader: str
    raw: str
    audio_track: Annotated[int | None, Field(ge=0, description="number of the sound track, from 0; null: the default one")]
    verify: Annotated[bool, Field(description="read every file in every run, instead of going by sizes and times")]
    splits: Annotated[dict[str, Fraction01], Field(description="share of subjects per split; test gets the rest")]


def _workers(value: Any) -> Any:
    if value != "auto" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError("need a whole number from 1 on, or auto")
    return value


class Job(Section):
    """How stages run; none of it changes a result."""

    store: Annotated[str, Field(description="s3:// or gs:// address for tables and cache of the curation; empty: here")]
    workers: Annotated[Any, AfterValidator(_workers)]
    memory_gb: Positive
    shards: Count
    pack_units: Count
    timeout_s: Positive
    timeout_per_cost: Positive
    attempts: Count
    patience_s: Annotated[float, Field(ge=0)]
    max_failed_share: Share
    keep_every_s: Annotated[float, Field(ge=0)]
    cache_days: Positive
    beam: tuple[str, ...]

    @property
    def processes(self) -> int:
        """Number of processes; ``auto``: one for each core that this process may use."""
        return len(os.sched_getaffinity(0)) if self.workers == "auto" else self.workers


class Corpus(Section):
    """Size of the default corpus."""

    identities: Annotated[int, Field(ge=2)]
    clips_per_identity: Count
    test_identities: Annotated[int, Field(ge=0)]
    size_px: Annotated[int, Field(ge=64, multiple_of=2)]
    speech_only_identities: Count
    speech_only_minutes: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)]


class Screen(Section):
    """What is looked at before the frames of a clip are, and from where on they need not be."""

    enabled: bool
    picture_side_px: Positive
    peak_level_db: Annotated[float, Field(le=0)]
    speech_s: Annotated[float, Field(ge=0)]


class MeasureStage(Section):
    """What ``measure`` needs to know to measure; thresholds belong to ``filter``."""

    PLACES = ("weights",)

    landmarks: Literal["mediapipe", "face_alignment"]
    weights: str
    cut_threshold: Annotated[float, Field(gt=1)]
    face_count_hz: Positive
    picture_every_frames: Count
    thumbnail_every_s: Positive
    screen: Screen


class SegmentStage(Section):
    """Where clips are cut, and how per-frame scores become a segment's."""

    shortest_s: Positive
    longest_s: Positive
    lost_s: Positive
    track_jump: Positive
    silence_s: Positive
    margin_s: Annotated[float, Field(ge=0)]
    second_face_share: Fraction01
    duplicate_difference: Positive

    @model_validator(mode="after")
    def _in_order(self) -> "SegmentStage":
        if self.longest_s < 2 * self.shortest_s or self.silence_s < 2 * self.margin_s:
            raise ValueError("longest_s must be at least twice shortest_s, and silence_s twice margin_s")
        return self


class Bound(Section):
    """Two limits of one measure: beyond ``warn`` it is noted, beyond ``reject`` the segment is dropped; null = never."""

    warn: float | None
    reject: float | None


class SyncStage(Section):
    """How ``sync`` looks for audio-visual offsets, and which clips it may fit its scorer on."""

    window_s: Annotated[float, Field(ge=2)]
    hop_s: Positive
    least_speech: Fraction01
    folds: Annotated[int, Field(ge=2)]
    fit_speech_s: Positive
    fit_at_most_s: Positive
    fit_length_s: Positive
    fit_face_width_px: Positive
    fit_yaw_deg: Positive
    fit_lip_motion: Positive
    search_s: Annotated[float, Field(ge=0.6, le=5)]
    zero_frames: Annotated[float, Field(gt=-3, lt=3)]
    zero_frames_of: dict[str, Annotated[float, Field(gt=-3, lt=3)]]


class SyncNetStage(Section):
    """The published lip-sync scorer, used where its weights are present."""

    weights: str
    batch: Count


class FilterBounds(Section):
    """Bounds of the filter; ``pipelines.deciding.rules.RULES`` says which measure and which side each one limits."""

    length_s: Bound
    picture_side_px: Bound
    missing_share: Bound
    damaged_share: Bound
    length_difference_s: Bound
    irregular_share: Bound
    mean_rate_hz: Bound
    restarts: Bound
    jumped_s: Bound
    picture_sizes: Bound
    tracks: Bound
    is_mirrored: Bound
    interlaced_share: Bound
    colours_mapped: Bound
    unseen_share: Bound
    lost_share: Bound
    several_faces_share: Bound
    face_width_px: Bound
    outside_share: Bound
    track_jump: Bound
    detector_score: Bound
    landmark_jitter: Bound
    photo_score: Bound
    yaw_p95_deg: Bound
    yaw_median_deg: Bound
    pitch_p95_deg: Bound
    roll_p95_deg: Bound
    reblur_ratio: Bound
    reblur_coarse: Bound
    luma_mean_low: Bound
    luma_mean_high: Bound
    luma_sd: Bound
    frame_difference: Bound
    frozen_s: Bound
    duplicate_share: Bound
    border_share: Bound
    peak_level_db: Bound
    speech_share: Bound
    speech_over_noise_db: Bound
    clipped_share: Bound
    sound_gaps_s: Bound
    bad_sample_share: Bound
    sound_rescaled: Bound
    channels_cancel: Bound
    lip_motion: Bound
    sync_confidence: Bound
    notes: Bound
    max_offset_frames: Count
    tolerated_offset_frames: Annotated[int, Field(ge=0)]


FilterOverride = create_model(
    "FilterOverride",
    __base__=Section,
    **{name: (annotation, None) for name, annotation in FilterBounds.__annotations__.items()},  # type: ignore[call-overload]
)
"""The bounds of one data set that differ from the others': any of the keys of ``FilterBounds``, each one whole."""


class FilterStage(FilterBounds):
    """The filter: its bounds, and those that are others for some data sets."""

    overrides: dict[str, FilterOverride]  # type: ignore[valid-type]

    def for_dataset(self, dataset: str) -> FilterBounds:
        """The bounds that hold for the clips of ``dataset`` (``Measure.dataset``)."""
        own = self.overrides.get(dataset)
        changed: dict[str, Any] = {}
        if isinstance(own, Section):
            changed = {name: getattr(own, name) for name in own.model_fields_set}
        return FilterBounds(**{name: changed.get(name, getattr(self, name)) for name in FilterBounds.model_fields})

    def is_own(self, dataset: str, bound: str) -> bool:
        """Whether ``dataset`` has a value of its own for ``bound``."""
        own = self.overrides.get(dataset)
        return isinstance(own, Section) and bound in own.model_fields_set

    @field_serializer("overrides")
    def _as_written(self, overrides: dict[str, Section]) -> dict[str, Any]:
        return {name: own.model_dump(mode="json", exclude_unset=True) for name, own in overrides.items()}


class AlignStage(Section):
    """The videos that models learn from."""

    size_px: Annotated[int, Field(ge=64, multiple_of=2)]
    crf: Annotated[int, Field(ge=0, le=40)]
    splits: list[Literal["train", "val", "test"]]


class FeatureRules(Section):
    """What ``features`` accepts."""

    min_frames: Count
    max_lost_share: Annotated[float, Field(ge=0, lt=1)]


class FeaturesStage(FeatureRules):
    """What models see and hear: ``features`` accepts it, ``speech`` lets an encoder hear it."""

    speech_encoder: Literal["log-mel", "whisper-tiny.en"]
    speech_layers: tuple[int, ...]
    weights: str

    @property
    def rules(self) -> FeatureRules:
        """The part that ``features`` reads: its kept results depend on nothing else."""
        return FeatureRules(min_frames=self.min_frames, max_lost_share=self.max_lost_share)


class Warp(Section):
    """The training-free renderer."""

    sharpen: Annotated[float, Field(ge=0, le=1)]
    max_yaw_deg: Annotated[float, Field(gt=0, le=45)]
    max_pitch_deg: Annotated[float, Field(gt=0, le=30)]
    max_roll_deg: Annotated[float, Field(gt=0, le=45)]


class Training(Section):
    """How the models are trained; a model's own ``training`` may say otherwise, key by key."""

    device: Literal["auto", "cpu", "cuda"]
    devices: Count
    precision: Literal["32-true", "bf16-mixed", "16-mixed"]
    micro_batches: Count
    weight_decay: Annotated[float, Field(ge=0)]
    rise_share: Annotated[float, Field(gt=0, lt=1)]
    gradient_clip: Positive
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    keep: Literal["last", "best"]
    patience: Annotated[int, Field(ge=0)]
    curve_rows: Count
    validation_clips: Count
    held_out_clips: Count
    stream_groups: Count
    stream_draws: Count


TrainingOverride = create_model(
    "TrainingOverride",
    __base__=Section,
    **{name: (annotation, None) for name, annotation in Training.__annotations__.items()},  # type: ignore[call-overload]
)
"""What one model's training does differently: any of the keys of ``Training``."""


class TrainedStage(Section):
    """A model that is trained: the keys that every such section has."""

    steps: Count
    batch: Count
    learning_rate: Positive
    seed: int
    training: TrainingOverride  # type: ignore[valid-type]

    def trained_with(self, shared: Training) -> Training:
        """The shared settings with this model's own in their place."""
        return shared.model_copy(update=self._own())

    def _own(self) -> dict[str, Any]:
        return {name: getattr(self.training, name) for name in self.training.model_fields_set}  # type: ignore[attr-defined]

    @field_serializer("training")
    def _as_written(self, training: Section) -> dict[str, Any]:
        return training.model_dump(mode="json", exclude_unset=True)


class CompactLoss(Section):
    """Weights of the loss of the `compact` generator."""

    detail: Annotated[float, Field(ge=0)]
    warped: Annotated[float, Field(ge=0)]
    painted: Annotated[float, Field(ge=0)]
    hidden: Annotated[float, Field(ge=0)]
    landmarks: Annotated[float, Field(ge=0)]
    absolute: Annotated[float, Field(ge=0)]
    landmarks_until: Annotated[float, Field(gt=0, le=1)]
    lips: Annotated[float, Field(ge=0)]
    rigid: Annotated[float, Field(ge=0)]
    delta: Annotated[float, Field(ge=0)]


class CompactSampling(Section):
    """Which pairs of frames the `compact` generator learns from, and how they are changed."""

    lips: Annotated[float, Field(ge=0)]
    blinks: Annotated[float, Field(ge=0)]
    turned: Share
    gain: tuple[Positive, Positive]
    tint: Annotated[float, Field(ge=0)]
    view_tint: Annotated[float, Field(ge=0)]
    view_turn_deg: Annotated[float, Field(ge=0)]
    view_zoom: Annotated[float, Field(ge=0)]
    view_shift: Annotated[float, Field(ge=0)]


class CompactStage(TrainedStage):
    """The `compact` generator: which weights, and how new ones are trained."""

    source: Literal["shipped", "train"]
    start: Annotated[str | None, Field(description="folder of weights that training starts from; null: none")]
    latent_size: Annotated[int, Field(ge=2)]
    width: Annotated[int, Field(ge=8, multiple_of=8)]
    clips: Count
    frames_per_clip: Annotated[int, Field(ge=2)]
    loss: CompactLoss
    sampling: CompactSampling


class LatentsStage(Section):
    """Which keypoint generators L2L is trained for, and where their networks run."""

    generators: list[str]
    device: str
    pose_frames: Annotated[int, Field(ge=100)]


class LivePortraitSettings(Section):
    """Where the `liveportrait` generator's weights are, and how it runs."""

    weights: str
    batch: Count
    precision: Literal["fp32", "bf16", "fp16"]
    compile: bool
    stitching: bool


class S2LLoss(Section):
    """Weights of the parts of S2L's loss."""

    mouth: Weight
    velocity: Weight
    lips: Weight
    lids: Weight
    irises: Weight
    contact: Weight
    contact_gap_iod: Positive


class S2LStage(TrainedStage):
    """Speech2Landmarks."""

    speech_components: Count
    channels: Count
    hidden: Count
    lookahead_frames: Annotated[int, Field(ge=0, le=10)]
    linear_share: Fraction01
    dropout: Annotated[float, Field(ge=0, lt=1)]
    filmed_share: Annotated[float, Field(ge=0, le=1)]
    frames: Annotated[int, Field(ge=25)]
    noise_below_peak_db: tuple[float, float]
    component_noise: Weight
    component_dropout: Annotated[float, Field(ge=0, lt=1)]
    loss: S2LLoss
    seed: int


class PoseGenStage(Section):
    """Head pose from speech."""

    lookahead_frames: Annotated[int, Field(ge=0, le=10)]
    memory_frames: Annotated[int, Field(ge=2, le=50)]
    fit_lag_s: Annotated[float, Field(ge=0.4, le=5)]
    independent_s: Annotated[float, Field(ge=1, le=10)]
    max_pole: Annotated[float, Field(gt=0, lt=1)]
    ridge: Positive
    seed: int


class Animate(Section):
    """Defaults of ``space animate`` that are chosen rather than learnt."""

    speech_encoder: Literal["auto", "log-mel", "whisper-tiny.en"]
    articulation: Annotated[float, Field(ge=0, le=1.5)]
    fade_s: Annotated[float, Field(ge=0, le=2)]
    blinks_per_min: Annotated[float, Field(ge=0, le=60)]
    at_camera_share: Fraction01
    pose_strength: Annotated[float, Field(ge=0, le=1.5)]


class L2LStage(TrainedStage):
    """Landmarks to latents; the first three switches are the paper's ablations."""

    use_audio: bool
    use_landmarks: bool
    normalise: bool
    use_emotion: bool
    s2l_share: Annotated[float, Field(ge=0, lt=1)]
    other_take_share: Share
    ridge_portraits: Count
    hidden: Count
    frames: Annotated[int, Field(ge=2)]
    speech_decay: Annotated[float, Field(ge=0)]
    emotion_decay: Annotated[float, Field(ge=0)]


class Synthesize(Section):
    """Which test clips every system renders."""

    test_list: str
    max_clips: Count
    max_frames: Annotated[int, Field(ge=25)]
    seed: int


class Evaluate(Section):
    """How videos are scored."""

    PLACES = ("weights",)

    ssim_every_frames: Count
    frechet_every_frames: Count
    min_found_share: Annotated[float, Field(gt=0, le=1)]
    weights: str
    syncnet_protocol: Literal["direct", "legacy-avi"]
    second_detector: Literal["none", "face_api", "face_alignment"]
    sign_flip_draws: Count
    seed: int


class EmotionStage(Section):
    """How emotions are measured on our own output."""

    people: Count
    filmed_people: Annotated[int, Field(ge=0)]
    speech_s: Annotated[float, Field(ge=1.0)]
    intensities: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)]
    mixtures: list[str]
    filmed_every_frames: Count
    seed: int

    @field_validator("intensities")
    @classmethod
    def _rising(cls, value: list[float]) -> list[float]:
        if any(a >= b for a, b in zip(value, value[1:], strict=False)) or value[-1] != 1:
            raise ValueError(f"{value}, need rising intensities up to 1")
        return value


class DiversityStage(Section):
    """How much seeds differ."""

    seeds: Annotated[int, Field(ge=2)]


class Report(Section):
    """What the benchmark page shows."""

    sample_clips: Count
    player_clips: Count
    worst_clips: Count


class Params(Section):
    """The whole of ``params.yaml``."""

    data: Data
    job: Job
    corpus: Corpus
    measure: MeasureStage
    segment: SegmentStage
    sync: SyncStage
    syncnet: SyncNetStage
    filter: FilterStage
    align: AlignStage
    features: FeaturesStage
    warp: Warp
    training: Training
    s2l: S2LStage
    posegen: PoseGenStage
    animate: Animate
    generator: CompactStage
    latents: LatentsStage
    liveportrait: LivePortraitSettings
    l2l: L2LStage
    synthesize: Synthesize
    evaluate: Evaluate
    emotion: EmotionStage
    diversity: DiversityStage
    report: Report


DEFAULTS = Path(__file__).resolve().parent / "defaults.yaml"
IN_FOLDER = Path("params.yaml")
"""Read from the working folder where no other file is named."""
FILTER, OVERRIDES = "filter", "overrides"
LIKE = 0.8  # least likeness (difflib) of a key to what was meant by it
SUGGESTED_KEYS = 3


def load_params(path: Path | str | None = None, changes: Sequence[str] = ()) -> Params:
    """The defaults, key by key replaced by those of a file, then by ``changes``.

    Args:
        path: the file; None: ``params.yaml`` of the working folder, or the defaults alone where there is none.
        changes: ``job.workers=4``, as ``with_changes`` takes them.

    Raises:
        SpaceError: the file is missing or not YAML, or a key is unknown, missing or out of range; all such keys are named.
    """
    defaults = _mapping(DEFAULTS)
    params = check_params(defaults, str(DEFAULTS.resolve()))
    if path is not None or IN_FOLDER.is_file():
        path = Path(path or IN_FOLDER)
        params = check_params(merged(defaults, _mapping(path)), str(path))
    return with_changes(params, changes)


def _mapping(path: Path) -> dict[str, Any]:
    """The keys of a YAML file; none if it holds only comments."""
    found = read_yaml(path, "the keys that differ from the defaults") or {}
    if not isinstance(found, dict):
        raise SpaceError(f"{path}: holds a {type(found).__name__}, need sections with keys, as in the defaults")
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``below`` with the keys of ``above``, at every depth; neither is changed."""
    result = dict(below)
    for key, value in above.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result


def with_changes(params: Params, changes: Sequence[str]) -> Params:
    """``params`` with some keys set anew.

    Args:
        params: as loaded.
        changes: ``filter.face_width_px.reject=128``; values as in YAML. Below ``filter.overrides.<data set>`` a bound that is not
            there yet starts as the common one.

    Raises:
        SpaceError: not of that form, or a key or value that ``params.yaml`` could not hold.
    """
    if not changes:
        return params
    raw = params.model_dump(mode="json")
    for change in changes:
        dotted, equals, text = change.partition("=")
        parts = dotted.strip().split(".")
        if not equals or not all(parts):
            raise SpaceError(f"--set {change}: need SECTION.KEY=VALUE, such as filter.face_width_px.reject=128")
        value = parse_yaml(text, f"--set {change}")
        if parts[:2] == [FILTER, OVERRIDES] and len(parts) == 5 and parts[3] in raw[FILTER]:
            own = raw[FILTER][OVERRIDES].setdefault(parts[2], {})
            own.setdefault(parts[3], copy.deepcopy(raw[FILTER][parts[3]]))
        for part in reversed(parts):
            value = {part: value}
        raw = merged(raw, value)
    return check_params(raw, "--set " + " ".join(changes))


def check_params(raw: Any, source: str) -> Params:
    """Params from plain data; ``source`` names it in errors.

    Raises:
        SpaceError: a key is unknown, missing or out of range; all such keys are named.
    """
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        problems = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"]) or "the file"
            match item["type"]:
                case "extra_forbidden":
                    problems.append(f"{key}: unknown key ({_near_miss(key)})")
                case "missing":
                    problems.append(f"{key}: missing key")
                case _:
                    problems.append(f"{key} = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}")
        raise SpaceError(f"{source}: " + "; ".join(problems)) from error


def _near_miss(key: str) -> str:
    """Which known keys an unknown one may mean, in words: one misspelt beside it, or one of its name in another place."""
    parent, _, name = key.rpartition(".")
    known = [dotted.rpartition(".") for dotted in _dotted(Params)]
    close = difflib.get_close_matches(name, [last for above, _, last in known if above == parent], 1, LIKE)
    meant = [f"{parent}.{last}".lstrip(".") for last in close]
    if not meant:
        elsewhere = difflib.get_close_matches(name, sorted({last for _, _, last in known}), 1, LIKE)
        meant = [f"{above}.{last}".lstrip(".") for above, _, last in known if last in elsewhere]
    return f"is {' or '.join(meant[:SUGGESTED_KEYS])} meant?" if meant else "misspelt?"


def _dotted(section: type[Section], prefix: str = "") -> Iterator[str]:
    """The full names of all keys, sections included."""
    for name, info in section.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
            yield from _dotted(info.annotation, f"{prefix}{name}.")
