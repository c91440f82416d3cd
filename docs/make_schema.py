"""Write docs/results.schema.json, the JSON Schema of the benchmark's results.json: ``python -m docs.make_schema``."""

import json
from pathlib import Path

from evaluation.results import Results

SCHEMA = Path(__file__).with_name("results.schema.json")


def text() -> str:
    """The schema, draft 2020-12."""
    tree = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Results.model_json_schema()}
    return json.dumps(tree, indent=1) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text())
