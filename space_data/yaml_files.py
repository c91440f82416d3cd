"""YAML that people write: settings, cards, lists, timelines."""

from pathlib import Path
from typing import Any

import yaml

from space_data.errors import SpaceError

MOST_CHARACTERS = 200
"""Of the parser's complaint, which quotes what it could not read."""


def parse_yaml(text: str, source: str) -> Any:
    """What ``text`` says in YAML or JSON; None if nothing.

    Raises:
        SpaceError: it is neither; ``source`` says whose text it is.
    """
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-13-01
        raise SpaceError(f"{source}: not YAML ({' '.join(str(error).split())[:MOST_CHARACTERS]})") from error


def read_yaml(path: Path, need: str) -> Any:
    """What a YAML or JSON file says.

    Raises:
        SpaceError: there is no such file (``need`` says what it should hold), it cannot be read, or it is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SpaceError(f"{path}: no such file, need {need}") from error
    except OSError as error:
        raise SpaceError(f"{path}: cannot be read ({error.strerror}), need {need}") from error
    except UnicodeDecodeError as error:
        raise SpaceError(f"{path}: not YAML (byte {error.start} is no UTF-8), need {need}") from error
    return parse_yaml(text, str(path))
