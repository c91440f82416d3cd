"""Pages that are made from the code say what the code says."""

from docs import make_tables


def test_every_table_and_column_is_documented() -> None:
    assert make_tables.PAGE.read_text() == make_tables.page(), "run `python -m docs.make_tables`"
