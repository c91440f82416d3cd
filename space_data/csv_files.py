"""Tables for spreadsheets, as CSV."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from space_data.store import Place, written

FORMULA = r"^([=+\-@\t\r])"
"""A text that begins so is run by spreadsheets instead of shown, and ids come from the names of files."""
ROWS_AT_ONCE = 50_000


def write_csv(path: Place | Path, table: pa.Table) -> None:
    """Write ``table`` with a header, atomically; texts that spreadsheets would take for formulas get an apostrophe in front.

    Raises:
        SpaceError: ``path`` is too long or cannot be written.
    """
    schema, options = _safe(table.slice(0, 0)).schema, pa_csv.WriteOptions(quoting_style="needed")
    with written(path) as part, pa_csv.CSVWriter(part, schema, write_options=options) as writer:
        for first in range(0, table.num_rows, ROWS_AT_ONCE):
            writer.write_table(_safe(table.slice(first, ROWS_AT_ONCE)))


def _safe(table: pa.Table) -> pa.Table:
    """The rows as they are written."""
    for number, field in enumerate(table.schema):
        column = table.column(number)
        if pa.types.is_dictionary(field.type):
            column = column.cast(field.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            table = table.set_column(number, field.name, pc.replace_substring_regex(column, FORMULA, r"'\1"))
    return table
