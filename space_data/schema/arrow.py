"""The one derivation of Arrow schemas from row classes."""

import dataclasses
import typing
from functools import cache
from typing import Annotated, Any

import pyarrow as pa

from space_data.schema.columns import FixedSize

FIRST_VERSION = 4
"""Of tables that do not name one of their own."""
_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def _arrow_type(annotation: Any) -> tuple[pa.DataType, bool]:
    """Arrow type and nullability of a field's annotation."""
    arguments = typing.get_args(annotation)
    if type(None) in arguments:
        inner = next(a for a in arguments if a is not type(None))
        return _arrow_type(inner)[0], True
    if typing.get_origin(annotation) is Annotated:
        size = arguments[1]
        return pa.list_(pa.float32(), size.size if isinstance(size, FixedSize) else -1), False
    return _ARROW[annotation], False


def version_of(row: type) -> int:
    """Version of a table's schema: the ``VERSION`` of its row class, which moves when a column comes, goes or means another."""
    return getattr(row, "VERSION", FIRST_VERSION)


@cache
def arrow_schema(row: type) -> pa.Schema:
    """Arrow schema of the row dataclass ``row``: its fields in order, with the table's name and version as metadata."""
    hints = typing.get_type_hints(row, include_extras=True)
    fields = []
    for field in dataclasses.fields(row):
        arrow, nullable = _arrow_type(hints[field.name])
        fields.append(pa.field(field.name, arrow, nullable=nullable))
    return pa.schema(fields, metadata={"space.table": row.__name__, "space.version": str(version_of(row))})
