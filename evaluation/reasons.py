"""Why a video of the benchmark cannot be scored: the closed list, and the refusal that names one of it."""

from space_data.errors import SpaceError

REASONS = {
    "missing": "no file of this clip",
    "not_a_file": "a folder or a device in its place",
    "outside": "a link that leads out of the folder",
    "ambiguous": "several files of this clip",
    "unreadable": "may not be read",
    "empty": "0 bytes",
    "not_media": "no media file, or one that ends before its index",
    "no_picture": "sound alone",
    "undecodable": "pictures that do not decode",
    "damaged": "some pictures do not decode",
    "size_changes": "pictures of several sizes",
    "not_square": "another shape than the portrait's, and no card that names the part that counts",
    "too_small": "less than 64 pixels a side",
    "frame_count": "shorter or longer than its sound by more than a frame",
    "wrong_sound": "the file's own sound is not the one that drove it",
    "shifted_sound": "the file's own sound begins early or late",
    "blank": "frames of one colour",
    "frozen": "one picture throughout",
    "several_faces": "a second face of comparable size: panels side by side?",
    "no_face": "no face to cut out, where the system frames by itself",
    "timed_out": "not read, or not made, in the time allowed",
    "crashed": "reading it killed the process",
    "not_installed": "the system is not here, or not all of it",
    "system_failed": "the system made no video of this clip",
}
"""Why a video cannot be scored."""


class NotCanonical(SpaceError):
    """A video that cannot be scored, for one of `REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        assert reason in REASONS, reason
        self.reason, self.detail = reason, detail
