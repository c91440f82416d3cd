"""Videos for people to keep: with a title, the fine texture of the picture, and the original sound.

Sound goes from one file into another as it is coded, so that nothing is lost to a second coding, where that is heard as the
decoded sound would be: see ``coded_sound``.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space_data.media.container import RgbImage, audio_stream, open_media, timed_streams
from space_data.media.encode import REPEATABLE, VideoWriter, write_video
from space_data.media.mixing import Treatment
from space_data.media.sound import decode_sound
from space_data.media.timeline import is_flush, timeline_of

FINE_CRF = 14
FINE = {"no-dct-decimate": "1", "deadzone-inter": "0", "deadzone-intra": "0"}
"""Of x264. Its fast presets round small coefficients to nothing, and the texture of skin with them: four moving faces kept
0.72-0.87 of the photo's Laplacian energy at CRF 12, with these 0.87-0.97 at CRF 14, at the same error per pixel, in 1.4 times
the file."""
COPIED_CODECS = ("aac", "mp3", "mp3float", "opus")
"""Of those that MP4 takes, what phones and browsers decode in it."""
COPIED_CHANNELS = 2
MOST_PRIMING_S = 0.15
"""A coder's own delay, which an edit list or a header hides: 2112 samples at most. What a cut without coding hides is longer, and
must not come out again."""
EXACT_S = 0.0015
"""Stamps that follow each other: Matroska rounds to the millisecond."""


@dataclass(frozen=True)
class CodedSound:
    """A track of sound as its file holds it."""

    path: Path
    track: int
    """among the file's streams of sound"""
    zero_s: float
    """of the file's clock"""

    def packets(self, container: Any) -> Iterator[Any]:
        """Its packets from the opened file, stamped from time 0; what a decoder drops at the start lies before it."""
        stream = container.streams.audio[self.track]
        ticks = round(self.zero_s / stream.time_base)
        for packet in container.demux(stream):
            if not is_flush(packet):
                packet.pts, packet.dts = packet.pts - ticks, packet.pts - ticks
                yield packet


def coded_sound(path: os.PathLike[str] | str, track: int | None = None) -> CodedSound | None:
    """The sound of a file, to be copied into an MP4; None where it has to be decoded and coded again.

    It is copied if players can decode it there, it is mono or stereo, begins with the file, and all of it decodes and follows
    without a gap: then what is heard, and when, are what ``decode_stereo`` gives.

    Raises:
        MediaError: as ``decode_sound``.
    """
    with open_media(path) as container:
        stream = audio_stream(container, path, track)
        if stream is None or stream.codec_context.name not in COPIED_CODECS:
            return None
        if stream.codec_context.channels > COPIED_CHANNELS:
            return None
        line = timeline_of(path, container, timed_streams(container))
        number = [s.index for s in container.streams.audio].index(stream.index)
        if line.restarts or line.jumped_s or line.placements[stream.index].strays:
            return None
        if abs(float((stream.start_time or 0) * stream.time_base) - line.zero_s) > EXACT_S:
            return None
        coded = CodedSound(Path(path), number, line.zero_s)
        if not _follow_each_other(coded.packets(container)):
            return None
    facts = decode_sound(path, track=track).facts
    is_whole = not (facts.damaged or facts.gaps_s or facts.error or facts.bad_samples) and facts.treatment == Treatment()
    return coded if is_whole else None


def _follow_each_other(packets: Iterable[Any]) -> bool:
    """Whether there are any, which begin with no more than a coder's delay before 0, each where the one before ends."""
    end_s: float | None = None
    for packet in packets:
        if packet.pts is None or not packet.duration:
            return False
        at_s = float(packet.pts * packet.time_base)
        if (end_s is None and not -MOST_PRIMING_S <= at_s <= EXACT_S) or (end_s is not None and abs(at_s - end_s) > EXACT_S):
            return False
        end_s = at_s + float(packet.duration * packet.time_base)
    return end_s is not None


class TitledWriter(VideoWriter):
    """A ``VideoWriter`` with a title in the container's metadata, and with ``copied`` sound where it has no ``audio``."""

    def __init__(
        self, path: Path | str, width: int, height: int, title: str, copied: CodedSound | None = None, crf: int = FINE_CRF,
        **options: Any,
    ) -> None:  # fmt: skip
        self._source: Any = None if copied is None else open_media(copied.path)
        super().__init__(path, width, height, crf=crf, **options)
        fine = ":".join([*REPEATABLE.values(), *(f"{name}={value}" for name, value in FINE.items())])
        self._video.options = {**self._video.options, "x264-params": fine}
        self._container.metadata["title"] = title
        if copied is not None and self._source is not None:
            self._sound = self._container.add_stream_from_template(self._source.streams.audio[copied.track])
            self._packets = copied.packets(self._source)
            self._next = next(self._packets)

    def _feed_audio(self, until_s: float | None) -> None:
        if self._source is None:
            super()._feed_audio(until_s)
            return
        while self._next is not None and (until_s is None or self._next.pts * self._next.time_base < until_s):
            self._next.stream = self._sound
            self._mux([self._next])
            self._next = next(self._packets, None)

    def _close(self, failed: bool) -> None:
        if self._source is not None:
            self._source.close()
        super()._close(failed)


def write_titled(path: Path | str, frames: Iterable[RgbImage], **options: Any) -> int:
    """``write_video`` by a ``TitledWriter``."""
    return write_video(path, frames, TitledWriter, **options)
