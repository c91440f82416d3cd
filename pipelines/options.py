"""Options that several commands of ``space`` share, and what the controls among them ask for."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from space_data.errors import SpaceError
from space_data.schema import EMOTIONS, UNKNOWN
from space_models.generators import RENDERERS
from space_models.provenance import Credentials

if TYPE_CHECKING:
    from space_models.controls.asked import Controls

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress bars, warnings only.")]
AudioTrack = Annotated[
    int | None, typer.Option(min=0, help="Number of the sound track to use, from 0, of several (default: as players do).")
]
ParamsFile = Annotated[
    Path | None,
    typer.Option(
        "--params", metavar="FILE",
        help="Keys that differ from the defaults (default: params.yaml of the current folder, if there is one).",
    ),
]  # fmt: skip
Models = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Trained models, e.g. the pipeline's `models` (default: the shipped ones).")
]
Changes = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="A key that differs; may be repeated.")]


Renderer = StrEnum("Renderer", list(RENDERERS))  # type: ignore[misc]
"""What draws the pictures."""


class Encoder(StrEnum):
    """What hears the speech (``space_data.speech_encoder.SPEECH_ENCODERS``, and the best that is there)."""

    auto = "auto"
    log_mel = "log-mel"
    whisper_tiny_en = "whisper-tiny.en"


Emotion = Annotated[
    str | None,
    typer.Option(
        help=f"Label:intensity in 0..1, several joined by '+', e.g. happy:0.8. Labels: {', '.join(EMOTIONS)}; or {UNKNOWN}, "
        "by itself: as the unlabelled clips speak from which a model has learnt."
    ),
]
PortraitEmotion = Annotated[
    str, typer.Option(help="What the photo shows already, written as --emotion is; half of it is taken off.")
]
CalibrationFile = Annotated[Path | None, typer.Option(help="A file of `space calibrate`: lips as in one's own clips.")]
TimelineFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Controls that change over time, YAML or JSON (docs/animate.md).")
]
Pose = Annotated[
    str | None,
    typer.Option(
        metavar="still|generated|FILE|VIDEO",
        help="Head motion: none; from the speech (default); of a .csv or .parquet with time_s,yaw_deg,pitch_deg,roll_deg"
        "[,x_iod,y_iod,scale] against the photo; of a filmed person.",
    ),
]
PoseStrength = Annotated[float | None, typer.Option(help="Factor on the head's motion, 0 to 3.")]
PoseOffset = Annotated[
    str | None, typer.Option(metavar="YAW,PITCH,ROLL", help="Degrees added; + is to the image left, down, clockwise.")
]
Blinks = Annotated[
    str | None,
    typer.Option(
        metavar="PER_MIN|off|T1,T2,...|VIDEO",
        help="A rate (default: 15), none, the seconds at which the eyes are shut (one: '2,'), or as a filmed person's.",
    ),
]
BlinkDuration = Annotated[float | None, typer.Option(metavar="S", help="Length of a blink, 0.12 to 2 s.")]
Gaze = Annotated[
    str | None,
    typer.Option(
        metavar="YAW,PITCH|camera|photo|generated",
        help="Where the eyes look: degrees against the camera, into it, as in the photo, with glances (default).",
    ),
]
MouthGain = Annotated[float | None, typer.Option(help="Factor on how far the lips open, 0 to 3.")]
MouthClosure = Annotated[float | None, typer.Option(help="How much nearly closed lips are drawn together, 0 to 1.")]
Seed = Annotated[int, typer.Option(min=0, help="Head motion, blinks and gaze: same seed, same video.")]
Generator = Annotated[
    Renderer,
    typer.Option(
        "--generator", "--renderer", help="; ".join(f"{name!r} {entry.summary}" for name, entry in RENDERERS.items()) + "."
    ),
]
SpeechEncoder = Annotated[
    Encoder | None, typer.Option(help="What hears the speech; auto: the best whose weights are here (`space weights list`).")
]


def asked_credentials(certificate: Path | None, key: Path | None) -> Credentials | None:
    """What to sign with, if that is asked for.

    Raises:
        SpaceError: one without the other; see ``Credentials.load``.
    """
    if certificate is None or key is None:
        if certificate is not None or key is not None:
            raise SpaceError("--sign-cert and --sign-key: need both or neither")
        return None
    return Credentials.load(certificate, key)


def asked_controls(
    emotion: str | None,
    timeline: Path | None,
    pose: str | None,
    pose_strength: float | None,
    pose_offset: str | None,
    blinks: str | None,
    blink_duration: float | None,
    gaze: str | None,
    mouth_gain: float | None,
    mouth_closure: float | None,
) -> "Controls":
    """The options of one command as controls.

    Raises:
        SpaceError: one of them cannot be read, or is out of range.
    """
    from space_models.controls.asked import Controls
    from space_models.controls.emotion import parse_emotion
    from space_models.controls.head import parse_offset
    from space_models.controls.timeline import read_timeline

    return Controls(
        emotion=None if emotion is None else parse_emotion(emotion), pose=pose, pose_strength=pose_strength,
        pose_offset_deg=None if pose_offset is None else parse_offset(pose_offset), blinks=blinks, blink_s=blink_duration,
        gaze=gaze, mouth_gain=mouth_gain, mouth_closure=mouth_closure,
        timeline=None if timeline is None else read_timeline(timeline),
    )  # fmt: skip
