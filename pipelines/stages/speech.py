"""Stage ``speech``: the states of a speech encoder for every frame of ``features``, where ``features.speech_encoder`` names one.

    python -m pipelines.stages speech       # crops, utterances, raw sound -> data/speech

``log-mel`` is in the tables of ``features`` already: then the table here is empty, and nothing else changes. States are kept
under a key that holds the hash of the encoder's weights and the layers that they are of (``features.speech_layers``). The encoder
hears what ``features`` made its log-mel of, to the sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.job.run import run_stage
from pipelines.job.stage import Context, Stage
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from pipelines.stages.crops import cropped
from pipelines.stages.ingest import inputs_of
from space_data.params import Params
from space_data.schema import SPLITS, Clip, FeatureClip, SegmentCrop, SpeechFrame, Utterance
from space_data.speech_encoder import LOG_MEL, spec_of
from space_data.speech_states import encoder_facts, spec_of_facts
from space_data.store import located
from space_data.tables import read_table

NAME = "speech"
FILE_FACT = "weights_file"
START_S, STATES_PER_S = 0.05, 0.05
"""Seconds that a clip takes, and each second of it: decoding is half of it."""


@dataclass(frozen=True)
class Encoder:
    """Which encoder, and where a worker finds its weights."""

    name: str
    file: str
    """verified when the stage began"""
    weights_sha256: str
    """over its tensors"""
    layers: tuple[int, ...]
    """whose states are kept"""


@dataclass(frozen=True)
class Filmed:
    """A source clip and its segments in order of time: a unit of work."""

    clip: Clip
    crops: tuple[SegmentCrop, ...]
    encoder: Encoder


@dataclass(frozen=True)
class Spoken:
    """An utterance, of which ``features`` has ``n_frames``: a unit of work."""

    utterance: Utterance
    n_frames: int
    encoder: Encoder


def encode_unit(value: Filmed | Spoken, settings: None, folder: Path) -> None:
    """Unit function: write ``states.arrow``."""
    from pipelines.stages.speech_encode import write_states

    write_states(value, folder)


def prepare(context: Context) -> dict[str, str]:
    """Load the encoder once, to know the hash of its weights.

    Raises:
        SpaceError: its weights are not there; the message names the command that gets them.
    """
    name = context.params.features.speech_encoder
    if name == LOG_MEL:
        return {**encoder_facts(spec_of(name)), FILE_FACT: ""}
    from space_models.speech_encoders import WhisperStates, weights_file
    from space_models.whisper_weights import load_encoder_file

    file = weights_file(name, Path(context.params.features.weights))
    spec = WhisperStates(load_encoder_file(file), context.params.features.speech_layers).spec
    return {**encoder_facts(spec), FILE_FACT: str(file)}


def items(context: Context, part: int) -> Iterator[Unit]:
    """The clips and utterances of one shard that have features; none for log-mel.

    Raises:
        SpaceError: the clip of a segment is not in the table of clips.
    """
    spec = spec_of_facts(context.extra)
    if spec.name == LOG_MEL:
        return
    encoder = Encoder(spec.name, context.extra[FILE_FACT], spec.weights_sha256, spec.layers)
    for source in cropped(context, part):
        clip = source.clip
        heard = [(row.clip_id, row.start_s, row.n_frames, row.offset_frames) for row in source.crops]
        content = content_hash(
            clip.sha256, clip.part_start_s, clip.part_end_s, clip.audio_track, heard, encoder.weights_sha256, encoder.layers
        )
        value, cost_s = Filmed(clip, source.crops, encoder), START_S + STATES_PER_S * clip.duration_s
        yield Unit(clip.clip_id, content, value, inputs_of(clip), cost_s, source.members, partition=f"split={clip.split}")
    yield from _utterances(context, part, encoder)


def _utterances(context: Context, part: int, encoder: Encoder) -> Iterator[Unit]:
    known = {row.clip_id: row for row in read_table(context.shard("features", "clips", part), FeatureClip)}
    for utterance in read_table(context.shard("ingest", "utterances", part), Utterance):
        row = known.get(utterance.clip_id)
        if row is not None:
            content = content_hash(utterance.audio_sha256, row.n_frames, encoder.weights_sha256, encoder.layers)
            utterance = located(utterance, context.raw, "audio")
            value = Spoken(utterance, row.n_frames, encoder)
            inputs = ((utterance.audio, utterance.audio_sha256),)
            yield Unit(utterance.clip_id, content, value, inputs, START_S, partition=f"split={row.split}")


STAGE = Stage(
    NAME, encode_unit, {"states": SpeechFrame}, items, ("features", "ingest"), lambda params: params.features.speech_encoder,
    prepare, partitions={"states": tuple(f"split={split}" for split in SPLITS)},
)  # fmt: skip


def run(params: Params, layout: Layout) -> None:
    """Write the table ``states`` (a folder per split) and the stage's ledger; both empty with log-mel."""
    run_stage(STAGE, params, layout)
