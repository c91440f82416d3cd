"""The reader of CTranslate2's format: what is asked for, nothing else, and no hostile file does more than raise a SpaceError."""

import struct

import numpy as np
import pytest
from whisper_files import model_bytes, string, tensor_bytes

from space_data.ctranslate2 import read_tensors
from space_data.errors import SpaceError

HALF, WHOLE = np.arange(6, dtype="<f2").reshape(2, 3), np.array([1.5, -2.0], "<f4")
TENSORS = [tensor_bytes("a/half", HALF, 4), tensor_bytes("b/skipped", np.ones(5, "i1"), 1), tensor_bytes("c/whole", WHOLE, 0)]


def test_tensors_by_name(tmp_path):
    (tmp_path / "model.bin").write_bytes(model_bytes(TENSORS))
    found = read_tensors(tmp_path / "model.bin", "WhisperSpec", {"a/half", "c/whole"})
    assert sorted(found) == ["a/half", "c/whole"]
    assert found["a/half"].dtype == np.float16 and (found["a/half"] == HALF).all() and (found["c/whole"] == WHOLE).all()


def refused(tmp_path, content, match, names=("a/half", "c/whole")):
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(SpaceError, match=match) as caught:
        read_tensors(path, "WhisperSpec", names)
    assert str(path) in str(caught.value)


def test_every_cut_is_noticed(tmp_path):
    whole = model_bytes(TENSORS)
    end = whole.index(WHOLE.tobytes()) + WHOLE.nbytes
    for length in range(end):
        refused(tmp_path, whole[:length], "too early|need 6|missing|name should be")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (model_bytes(TENSORS, spec="TransformerSpec"), "'TransformerSpec'; need 6 and 'WhisperSpec'"),
        (model_bytes(TENSORS, version=7), "version 7"),
        (b"PK\x03\x04" + bytes(200), "version 67324752|name should be|too early"),
        (model_bytes([tensor_bytes("a/half", np.ones((2, 2), "i1"), 1), *TENSORS[1:]]), "int8, need float32 or float16"),
        (model_bytes(TENSORS[:1]), "1 tensors missing: c/whole"),
        (struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<II", 3, 2**32 - 1), "promises 4,294,967,295 tensors"),
        (model_bytes([string("a") + b"\xff" + bytes(40)]), "255 dimensions"),
        (model_bytes([string("a") + struct.pack("<B4IBI", 4, *[2**32 - 1] * 4, 0, 2**32 - 1)]), "bytes for shape"),
        (model_bytes([string("a") + struct.pack("<BIBI", 1, 2, 0, 7)]), "7 bytes for shape"),
        (model_bytes([string("a") + struct.pack("<BIBI", 1, 2, 9, 8)]), "of type 9"),
        (model_bytes([struct.pack("<H", 3) + b"\xff\xfe\0"]), "where a name should be"),
        (model_bytes([string("b") + struct.pack("<BIBI", 1, 2**28, 0, 2**30)]), "1,073,741,824 bytes to come"),
    ],
)  # fmt: skip
def test_hostile_files_are_refused_in_words(tmp_path, content, match):
    refused(tmp_path, content, match)
