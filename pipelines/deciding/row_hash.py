"""A 64-bit hash of every row of a table, column by column: what a decision rests on, without a Python object per row.

Numbers enter by their bits, texts by the SHA-256 of each distinct value. A row's hash changes if any of its values does; ids are
left out, since rows are compared under their ids.
"""

import hashlib
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

IDS = ("clip_id", "source_clip_id")
NULL = np.uint64(0x9E3779B97F4A7C15)
HEX_DIGITS = 16
TEXTS_AT_ONCE = 50_000


def row_hashes(table: pa.Table, extra: pa.Table) -> pa.Array:
    """Hashes of the rows of ``table``, each with the row of ``extra`` under the same ``clip_id``, as 16 hexadecimal digits."""
    ids = table.column("clip_id").combine_chunks()
    hashes = np.zeros(table.num_rows, np.uint64)
    with np.errstate(over="ignore"):
        for name in table.schema.names:
            if name not in IDS:
                hashes = _mixed(hashes ^ _bits(name, table.column(name)))
        if extra.num_rows:
            matched = extra.take(pc.index_in(ids, extra.column("clip_id").combine_chunks()))
            for name in extra.schema.names:
                if name not in IDS:
                    hashes = _mixed(hashes ^ _bits(name, matched.column(name)))
    return _hexadecimal(hashes)


def text_hashes(texts: pa.Array) -> NDArray[np.uint64]:
    """A quick hash of each text, the same on every machine: for samples that stay the same when a set grows."""
    blocks = (texts[first : first + TEXTS_AT_ONCE].to_pylist() for first in range(0, len(texts), TEXTS_AT_ONCE))
    sums = np.fromiter((zlib.crc32(text.encode()) for block in blocks for text in block), np.uint64, len(texts))
    with np.errstate(over="ignore"):
        return _mixed(sums)


def _bits(name: str, column: pa.ChunkedArray) -> NDArray[np.uint64]:
    """64 bits per value, salted with the column's name: two columns that swap their values are another row."""
    salt = _text_bits(name)
    if pa.types.is_string(column.type):
        words = column.combine_chunks().dictionary_encode()
        table = np.array([_text_bits(word) for word in words.dictionary.to_pylist()] + [NULL], np.uint64)
        values = table[np.asarray(words.indices.fill_null(len(words.dictionary)), np.int64)]
    else:
        numbers = np.asarray(column.cast(pa.float64()).fill_null(0.0), np.float64) + 0.0  # -0.0 and 0.0 are one value
        values = np.where(np.asarray(column.is_null()), NULL, numbers.view(np.uint64))
    return _mixed(values ^ salt)


def _text_bits(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014): each bit of the input moves half the bits of the output."""
    x = x + NULL
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hexadecimal(hashes: NDArray[np.uint64]) -> pa.Array:
    """Each hash as a text of fixed length, made as one buffer."""
    text = hashes.astype(">u8").tobytes().hex().encode()
    edges = np.arange(len(hashes) + 1, dtype=np.int32) * HEX_DIGITS
    return pa.StringArray.from_buffers(len(hashes), pa.py_buffer(edges), pa.py_buffer(text))
