"""Pages that are made from the code say what the code says."""

import re
import tomllib
from pathlib import Path

import yaml

from docs import make_schema, make_tables

ROOT = Path(__file__).resolve().parents[1]


def test_every_table_and_column_is_documented() -> None:
    assert make_tables.PAGE.read_text() == make_tables.page(), "run `python -m docs.make_tables`"


def test_the_schema_of_the_results_is_the_types() -> None:
    assert make_schema.SCHEMA.read_text() == make_schema.text(), "run `python -m docs.make_schema`"


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert {"cff-version", "message", "title", "authors"} <= set(cited), "keys that the format asks for"


def test_the_index_names_every_page() -> None:
    index = ROOT / "docs/README.md"
    linked = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", index.read_text())}
    assert linked == {*(path.resolve() for path in index.parent.glob("*.md") if path != index), ROOT / "CONTRIBUTING.md"}
