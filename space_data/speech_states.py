"""What models hear of the clips in the tables: log-mel from ``features`` or an encoder's states from ``speech``, by one function.

Which encoder the table of states is of stands in its stage's manifest.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from space_data.errors import SpaceError
from space_data.manifest import committed
from space_data.schema import FeatureFrame, SpeechFrame
from space_data.speech_encoder import LOG_MEL, SpeechSpec, spec_of
from space_data.store import Place
from space_data.tables import stream_clips, vectors

HALF = np.dtype("<f2")
LOG_MEL_COLUMNS = ["clip_id", "log_mel"]
ENCODER_FACT, WEIGHTS_FACT, LAYERS_FACT = "speech_encoder", "weights_sha256", "speech_layers"
"""In the manifest's ``made_with``; the layers only where the encoder has some and not its output alone was kept."""


def encoder_facts(spec: SpeechSpec) -> dict[str, str]:
    """What the manifest says of the encoder; ``spec_of_facts`` reads it."""
    layers = {LAYERS_FACT: " ".join(map(str, spec.layers))} if spec.layers else {}
    return {ENCODER_FACT: spec.name, WEIGHTS_FACT: spec.weights_sha256, **layers}


def spec_of_facts(facts: Mapping[str, str]) -> SpeechSpec:
    """The encoder of these facts."""
    layers = [int(layer) for layer in facts.get(LAYERS_FACT, "").split()]
    return spec_of(facts[ENCODER_FACT], facts[WEIGHTS_FACT], layers)


def states_columns(clip_id: str, states: NDArray[np.float32]) -> dict[str, object]:
    """Columns of ``SpeechFrame`` rows of one clip with ``states`` (T, per_frame, width)."""
    half = np.ascontiguousarray(states, HALF).reshape(len(states), -1)
    return {"clip_id": clip_id, "frame": np.arange(len(half)), "states": [row.tobytes() for row in half]}


def cached_spec(stage: Place) -> SpeechSpec:
    """Which encoder the tables of stage ``speech`` are of.

    Raises:
        SpaceError: the stage has not run.
    """
    return spec_of_facts(committed(stage, "speech").made_with)


def stream_speech(
    name: str, feature_frames: Place, stage: Place, split: str | None = None, clip_ids: Iterable[str] | None = None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """(clip id, vectors (T, per_frame, width)) of every clip, by speech encoder ``name``; one row group in memory at a time.

    Args:
        name: ``log-mel`` or the encoder that stage ``speech`` ran with.
        feature_frames: folder of the ``FeatureFrame`` shards.
        stage: folder of stage ``speech``.
        split: only of this one.
        clip_ids: row groups without any of these are not read; others of their clips come along.

    Raises:
        SpaceError: the states are not there, or are of another encoder.
    """
    if name == LOG_MEL:
        spec = spec_of(name)
        for clip_id, rows in stream_clips(_of_split(feature_frames, split), FeatureFrame, LOG_MEL_COLUMNS, clip_ids):
            yield clip_id, vectors(rows, "log_mel").reshape(-1, spec.per_frame, spec.width)
        return
    spec = cached_spec(stage)
    if spec.name != name:
        remedy = f"set features.speech_encoder: {name}, and run stage `speech`"
        raise SpaceError(f"{stage}: holds states of {spec.name}, need {name} ({remedy})")
    for clip_id, rows in stream_clips(_of_split(stage / "states", split), SpeechFrame, None, clip_ids):
        yield clip_id, states_of(rows, spec)


def _of_split(table: Place, split: str | None) -> Place:
    return table if split is None else table / f"split={split}"


def states_of(rows: pa.Table, spec: SpeechSpec) -> NDArray[np.float32]:
    """The states of one clip's ``SpeechFrame`` rows: (T, per_frame, width).

    Raises:
        SpaceError: they are not of that size.
    """
    content = b"".join(rows.column("states").to_pylist())
    wanted = len(rows) * spec.per_frame * spec.width * HALF.itemsize
    if len(content) != wanted:
        found = f"{len(content):,} bytes in {len(rows)} frames"
        raise SpaceError(f"speech states: {found}, {spec.name} has {wanted:,} (stale? `dvc repro`)")
    return np.frombuffer(content, HALF).astype(np.float32).reshape(len(rows), spec.per_frame, spec.width)
