"""What the stage ``speech`` computes: a module of its own, because it needs PyTorch and the stage, with log-mel, does not."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from space_data.clip_media import sound
from space_data.errors import SpaceError
from space_data.media.encode import as_16_bit
from space_data.media.sound import decode_audio
from space_data.schema import SpeechFrame
from space_data.segments import Piece, piece_sound
from space_data.speech_encoder import SpeechEncoder
from space_data.speech_states import states_columns
from space_data.store import local_file
from space_data.tables import columns_to_arrow, write_arrow
from space_data.timebase import fit_samples
from space_models.speech_encoders import WhisperStates
from space_models.whisper_weights import load_encoder_file

if TYPE_CHECKING:
    from pipelines.stages.speech import Encoder, Filmed, Spoken


@lru_cache(maxsize=1)
def _loaded(encoder: "Encoder") -> SpeechEncoder:
    """The encoder, once per process."""
    loaded = WhisperStates(load_encoder_file(Path(encoder.file)), encoder.layers)
    if loaded.spec.weights_sha256 != encoder.weights_sha256:
        raise SpaceError(f"{encoder.file}: the weights of {encoder.name} have changed since the stage began")
    return loaded


def write_states(value: Any, folder: Path) -> None:
    """Write ``states.arrow`` of a filmed clip's segments or of an utterance.

    Raises:
        MediaError: the sound does not decode.
    """
    encoder = _loaded(value.encoder)
    pieces = _segments(value) if hasattr(value, "crops") else _utterance(value)
    tables = [columns_to_arrow(states_columns(clip_id, encoder.encode(audio)), SpeechFrame) for clip_id, audio in pieces]
    write_arrow(folder / "states.arrow", pa.concat_tables(tables))


def _segments(value: "Filmed") -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Id and sound of every segment, as ``features`` hears it, in the order of its table: both have the same row groups."""
    audio = sound(value.clip).samples
    for row in sorted(value.crops, key=lambda row: row.clip_id):
        yield row.clip_id, as_16_bit(piece_sound(audio, Piece(row.clip_id, row.start_s, row.n_frames), row.offset_frames))


def _utterance(value: "Spoken") -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield value.utterance.clip_id, fit_samples(decode_audio(local_file(value.utterance.audio)), value.n_frames)
