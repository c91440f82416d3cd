"""Rows of stage ``ingest``."""

from dataclasses import dataclass
from typing import ClassVar

from space_data.schema.columns import Box


@dataclass(frozen=True)
class Clip:
    """``ingest``: one video file, what its corpus says of it and what its container claims."""

    VERSION: ClassVar[int] = 5

    clip_id: str
    """data set + path without suffix, e.g. ``vox2/id00017/01dfn2spqyE/00001``"""
    path: str
    sha256: str
    """of the content of the file, or of the two if the sound lies in one of its own, and of part and crop if there are any"""
    audio_path: str
    """file that holds the sound; empty: the video's own"""
    audio_track: int | None
    """number of the sound track, from 0, where the corpus or the user chose one; None: the file's default track"""
    part_start_s: float
    part_end_s: float | None
    """the part of the file that is the clip, on the container's clock; None: to its end"""
    part_crop_px: Box
    """the part of the upright picture that is the clip; all 0: the whole"""
    dataset: str
    subject: str
    recording: str
    """what the clip was cut from, e.g. a YouTube id; empty if the corpus does not say"""
    statement: str
    """what is said, as the corpus numbers it; empty if it does not"""
    emotion: str
    """one of ``EMOTIONS``, or ``unknown``: nobody labelled the clip, which is not neutral"""
    intensity: float
    """0 ... 1, of the emotion; says nothing where that is unknown"""
    view: str
    language: str
    sex: str
    split: str
    annotated_offset_frames: float | None
    """audio-visual offset that came with the corpus, + = audio late; None where it says nothing"""
    annotated_speaker_confidence: float | None
    annotated_face_confidence: float | None
    """of the corpus' own active-speaker detection and face verification (VoxCeleb2: ASD Conf, FV Conf)"""
    duration_s: float
    """of the file, as its header promises (of a part: of that); 0: it promises nothing"""
    promised_video_s: float
    """end of the pictures, as the header promises; 0: it says nothing about them alone"""
    packets_end_s: float
    """end of the last packet of pictures that is meant to be shown"""
    fps: float
    header_frames: int
    """as the header counts; 0: it does not (Matroska, MPEG-TS)"""
    shown_frames: int
    """packets of pictures that are meant to be shown"""
    hidden_frames: int
    """packets that an edit list hides, after a cut without encoding"""
    restarts: int
    """how often the time stamps start again: recordings joined end to end"""
    jumped_s: float
    """time without any packet that was closed up, because the clock jumped ahead"""
    video_tracks: int
    audio_tracks: int
    """to choose from; cover art is none"""
    width_px: int
    height_px: int
    """of the first picture, upright, in square pixels"""
    rotation_deg: int
    """by which the stored picture is turned clockwise, after it was mirrored"""
    is_mirrored: bool
    colours: str
    """``pq``, ``hlg`` (HDR) or ``wide`` (gamut), which are mapped to BT.709; empty: nothing is"""
    is_interlaced: bool
    video_codec: str
    pixel_format: str
    video_start_s: float
    audio_codec: str
    audio_hz: int
    audio_channels: int
    audio_start_s: float
    video_sha256: str = ""
    """of the video file alone"""
    audio_sha256: str = ""
    """of the file that holds the sound, if it is another one"""


@dataclass(frozen=True)
class Utterance:
    """``ingest``: speech with an exact landmark track but no picture (the default corpus has some)."""

    clip_id: str
    audio: str
    track: str
    """``UtteranceFrame`` rows: normalised landmarks per 25 fps frame"""
    dataset: str
    subject: str
    emotion: str
    intensity: float
    language: str
    audio_sha256: str = ""
    track_sha256: str = ""
    """of the two files, as ``ingest`` found them"""
