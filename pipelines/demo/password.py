"""The page's password: where it is kept, and who may come in. It is never an argument, which others on the machine can read."""

import hmac
import os
import time
from collections.abc import Callable
from pathlib import Path

from space_data.errors import SpaceError

FROM_VARIABLE = "env:"
LEAST_CHARACTERS = 8
WRONG_S = 1.0
"""A wrong one waits so long: nobody tries thousands."""


def read_password(source: str) -> str:
    """The password of a source: a file's first line, or ``env:NAME``, a variable of the environment.

    Raises:
        SpaceError: no such file or variable, or it is too short. The message does not repeat what may be a password itself.
    """
    if source.startswith(FROM_VARIABLE):
        name = source.removeprefix(FROM_VARIABLE)
        password, place = os.environ.get(name, ""), f"variable {name} of the environment"
        if not password:
            raise SpaceError(f"--password: no {place}, need one that holds the password")
    else:
        try:
            password, place = (Path(source).read_text().splitlines() or [""])[0], "first line of the file"
        except (OSError, UnicodeDecodeError) as error:
            raise SpaceError(
                "--password: no such text file, need one whose first line is the password, or env:NAME (the password itself "
                "would be seen by everybody on this machine)"
            ) from error
    if len(password) < LEAST_CHARACTERS:
        raise SpaceError(f"--password: {place} has {len(password)} characters, need {LEAST_CHARACTERS} or more")
    return password


def doorkeeper(password: str) -> Callable[[str, str], bool]:
    """Whether a visitor, whatever the name, knows the password; a wrong one takes its time."""

    def may_enter(_name: str, told: str) -> bool:
        is_right = hmac.compare_digest(told.encode(), password.encode())
        if not is_right:
            time.sleep(WRONG_S)
        return is_right

    return may_enter
