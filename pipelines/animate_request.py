"""One video to make, as text says it: the options of `space animate` as columns of a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.options import asked_controls, asked_credentials
from space_data.errors import SpaceError, first_problem
from space_models.controls.asked import Controls
from space_models.generators import DEFAULT_RENDERER
from space_models.provenance import Credentials


class Request(BaseModel):
    """What `space animate` is asked for; a field is an option of it (a test holds the two together)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    image: Path
    audio: Path
    out: Path
    emotion: str | None = None
    portrait_emotion: str = "neutral"
    calibration: Path | None = None
    timeline: Path | None = None
    pose: str | None = None
    pose_strength: float | None = None
    pose_offset: str | None = None
    blinks: str | None = None
    blink_duration: float | None = None
    gaze: str | None = None
    mouth_gain: float | None = None
    mouth_closure: float | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    generator: str = DEFAULT_RENDERER
    size: int | None = None
    compare: bool = False
    paste_back: bool = False
    watermark: bool = False
    sign_cert: Path | None = None
    sign_key: Path | None = None
    audio_track: Annotated[int | None, Field(ge=0)] = None
    tracks: Path | None = None
    from_tracks: Annotated[Path | None, Field(alias="from")] = None

    @staticmethod
    def columns() -> set[str]:
        """Names that a table may use."""
        return {field.alias or name for name, field in Request.model_fields.items()}

    @staticmethod
    def of(cells: Mapping[str, str], inputs: Path, outputs: Path) -> "Request":
        """From cells by column, the empty ones left out; relative paths are below ``inputs``, of what is made below ``outputs``.

        Raises:
            SpaceError: a cell is not what its option needs.
        """
        named = {name: cell for name, cell in cells.items() if cell}
        for name in ("image", "audio", "calibration", "timeline", "from", "sign_cert", "sign_key"):
            if name in named:
                named[name] = str(inputs / named[name])
        for name in ("pose", "blinks"):  # a word, numbers, or a file
            if name in named and (inputs / named[name]).is_file():
                named[name] = str(inputs / named[name])
        for name in ("out", "tracks"):
            if name in named:
                named[name] = str(outputs / named[name])
        try:
            return Request.model_validate(named)
        except ValidationError as error:
            raise SpaceError(first_problem(error)) from error

    @property
    def input_files(self) -> list[Path]:
        """The files that it reads; some may not be there."""
        driving = [Path(text) for text in (self.pose, self.blinks) if text is not None and Path(text).is_file()]
        others = (self.calibration, self.timeline, self.from_tracks, self.sign_cert, self.sign_key)
        named = [path for path in others if path is not None]
        return [self.image, self.audio, *named, *driving]

    def credentials(self) -> Credentials | None:
        """To sign with, if that is asked for.

        Raises:
            SpaceError: see ``asked_credentials``.
        """
        return asked_credentials(self.sign_cert, self.sign_key)

    def controls(self) -> Controls:
        """As the models take them.

        Raises:
            SpaceError: a value that cannot be read, or is out of range.
        """
        return asked_controls(
            self.emotion, self.timeline, self.pose, self.pose_strength, self.pose_offset, self.blinks, self.blink_duration,
            self.gaze, self.mouth_gain, self.mouth_closure,
        )  # fmt: skip
