"""The one exception class that users are meant to read."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class SpaceError(Exception):
    """A problem with the user's input or configuration, told in one line.

    The message names the object, the value found, the value needed and the likely slip, e.g.
    ``clip vox2/id00017/abc/00001: 41.2 s of audio against 12.0 s of video (is the .m4a from another clip?)``.
    Command lines print it without a traceback; every other exception is a defect of ours and keeps its traceback.
    """


def first_problem(error: "ValidationError") -> str:
    """The first of a pydantic model's complaints, in one line."""
    found = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, found['loc'])) or 'the whole'}: {found['msg']}"
