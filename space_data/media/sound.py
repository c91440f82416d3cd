"""Sound: decoded packet by packet, every sample at its own time; to mono for models, or as people hear it.

A packet that does not decode leaves silence of its own length. What would spoil a plain conversion (``mixing``) is found on the
way; some of it is known only at the end: such a file is decoded once more with the remedy.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from space_data.media.container import MediaError, audio_stream, open_media, reason, timed_streams, tracks
from space_data.media.mixing import Layout, Mixer, Treatment
from space_data.media.riff import joined_bytes, riff_bytes
from space_data.media.timeline import is_empty, is_flush, timeline_of
from space_data.timebase import AUDIO_HZ

logger = logging.getLogger(__name__)

SLACK_S = 0.04
"""Stamps may lie so far off the count of samples before they are believed: one video frame. Less is their rounding."""
EXACT_S = 0.002
"""The same after a packet was lost."""
STEADY_S, STEADY_FRAMES = 0.01, 4
"""The same for so many frames in a row: a gap that nothing else tells, or clocks that drift apart."""
MOST_SILENCE_S, MOST_SILENCE_PER_SOUND = 3600.0, 10.0
"""So much silence is put in, and so much more for each second of sound; stamps that want more are broken, and would cost memory
that the file does not: 0.23 GB an hour."""
RATES_HZ = (1_000, 4_000_000)
"""Of sound: a telephone's is 8,000, DSD's highest becomes 2.8 million. A rate of 1 Hz makes hours of a few bytes."""
RESAMPLER_REACH_S = 0.5
"""Sound so far beyond a sample cannot change it."""
MOST_PLANES = 8
"""PyAV 18 reads beyond the planes of a frame that has so many (7.1 sound), and crashes: they are packed first."""
WINDOW_S = 0.5
TOLD_S = 0.5
"""So much missing sound is told."""
GUESSING = ("mp3", "aac", "ac3", "eac3", "dts")
"""Formats without a length, for which FFmpeg guesses one by the rate of the first bits."""


@dataclass
class SoundFacts:
    """What one decoding of the sound met."""

    packets: int = 0
    """that are meant to be heard"""
    damaged: int = 0
    """of them, that did not decode"""
    length_s: float = 0.0
    """of what came of it, gaps filled"""
    stated_s: float = 0.0
    """the same by the file's own word; 0: it says nothing"""
    joined_bytes: int = 0
    """of other WAV files at the end of this one, which are not heard"""
    gaps_s: float = 0.0
    """silence that was put in for what is missing between the first and the last sample"""
    samples: int = 0
    bad_samples: int = 0
    """not a number, or absurdly large: taken as silence; of ``samples``, at the file's own rate, all channels"""
    channels: int = 0
    unchosen_tracks: int = 0
    """other tracks of sound, of which the default one was taken"""
    error: str = ""
    """why reading ended before the end of the file"""
    treatment: Treatment = field(default_factory=Treatment)

    def warnings(self) -> list[str]:
        """What a user should know, a line each."""
        lines = []
        if self.unchosen_tracks:
            lines.append(f"{self.unchosen_tracks + 1} tracks of sound, the default one is used (--audio-track chooses)")
        if self.damaged:
            lines.append(f"{self.damaged} of {self.packets} packets of sound are damaged: silence instead")
        if self.joined_bytes:
            lines.append(f"other recordings of {self.joined_bytes / 1e6:.1f} MB are joined to its end: they are not heard")
        if self.gaps_s >= TOLD_S:
            lines.append(f"{self.gaps_s:.1f} s of {self.length_s:.1f} s of sound are missing: silence instead")
        if self.error or self.stated_s - self.length_s >= TOLD_S:
            of, why = f" of {self.stated_s:.1f} s" if self.stated_s else "", f" ({self.error})" if self.error else ""
            lines.append(f"sound breaks off after {self.length_s:.1f} s{of}{why}")
        if self.bad_samples:
            lines.append(f"{self.bad_samples} of {self.samples} samples are no numbers in range (NaN, infinity): silence instead")
        if self.treatment.scale != 1.0:
            lines.append(f"float samples in the range of integers: divided by {self.treatment.scale:.0f}")
        if self.treatment.channel is not None:
            lines.append(f"the channels cancel each other: only number {self.treatment.channel} of {self.channels} is used")
        return lines


@dataclass(frozen=True)
class Sound:
    """``samples`` mono float32 (n,), sample 0 at the time line's zero (of a part: where it begins)."""

    samples: NDArray[np.float32]
    facts: SoundFacts


def decode_audio(
    path: os.PathLike[str] | str, rate_hz: int = AUDIO_HZ, part_s: tuple[float, float | None] = (0.0, None),
    track: int | None = None,
) -> NDArray[np.float32]:
    """The samples of ``decode_sound``; what a user should know of them is logged as warnings."""
    sound = decode_sound(path, rate_hz, part_s, track)
    for line in sound.facts.warnings():
        logger.warning("%s: %s", path, line)
    return sound.samples


def decode_sound(
    path: os.PathLike[str] | str, rate_hz: int = AUDIO_HZ, part_s: tuple[float, float | None] = (0.0, None),
    track: int | None = None,
) -> Sound:
    """Decode a track of sound to mono float32 at ``rate_hz``; full scale is [-1, 1], which hot recordings exceed.

    Sample 0 is the file's time 0, the zero that ``decode_video`` uses too: a stream that starts late is padded with silence,
    samples before zero are cut, holes are filled.

    Args:
        path: the file.
        rate_hz: of the result.
        part_s: the part to give, seconds; None: to the end.
        track: number of the sound track, from 0; None: the default one.

    Raises:
        MediaError: no such track, nothing of it decodes, stamps so far apart that nearly all would be silence, or an absurd
            sample rate.
    """
    samples, facts = _decoded_as_needed(path, rate_hz, part_s, track, "mono")
    return Sound(samples[0], facts)


def decode_stereo(path: os.PathLike[str] | str, rate_hz: int, track: int | None = None) -> NDArray[np.float32]:
    """A whole track of sound as people hear it, (2, n), at ``rate_hz``; (1, n) where both sides would be the same.

    Timed as ``decode_sound`` does, which raises the same, and whose warnings hold for it. Channels of opposite sign stay so; more
    than two are mixed to two (ITU-R BS.775).
    """
    samples, facts = _decoded_as_needed(path, rate_hz, (0.0, None), track, "stereo")
    return samples[:1] if facts.channels == 1 else samples


def _decoded_as_needed(
    path: os.PathLike[str] | str, rate_hz: int, part_s: tuple[float, float | None], track: int | None, layout: Layout
) -> tuple[NDArray[np.float32], SoundFacts]:
    """Samples (channels, n), decoded a second time where the first tells of a remedy."""
    samples, facts, wanted = _decode(path, rate_hz, part_s, track, Treatment(), layout)
    return (samples, facts) if wanted == Treatment() else _decode(path, rate_hz, part_s, track, wanted, layout)[:2]


def _decode(
    path: os.PathLike[str] | str, rate_hz: int, part_s: tuple[float, float | None], track: int | None, treatment: Treatment,
    layout: Layout,
) -> tuple[NDArray[np.float32], SoundFacts, Treatment]:
    """One pass over the file: its samples (channels, n), and the treatment that it turns out to need."""
    facts = SoundFacts(treatment=treatment)
    with open_media(path) as container:
        stream = audio_stream(container, path, track)
        if stream is None:
            raise MediaError(f"{path}: no audio stream")
        stream.codec_context.thread_count = 1
        facts.unchosen_tracks = len(tracks(container.streams.audio)) - 1 if track is None else 0
        streams = timed_streams(container)
        line = timeline_of(path, container, streams)
        packets = line.placements[stream.index].placed(container.demux(streams), stream)
        mixer = Mixer(treatment, layout)
        timed = _Track(path, rate_hz, mixer, facts)
        for frame, errors, mute in _decoded(packets, stream, facts):
            at_s = float(frame.pts * frame.time_base) - line.zero_s if frame.pts is not None else None
            if part_s[1] is not None and (at_s or 0.0) > part_s[1] + RESAMPLER_REACH_S:
                break
            timed.add(frame, at_s, errors, mute)
        samples = timed.finish()
        facts.stated_s = 0.0 if part_s[1] is not None else _stated_s(path, container, stream)
    facts.joined_bytes = joined_bytes(path)
    facts.length_s = samples.shape[1] / rate_hz
    facts.samples, facts.bad_samples, facts.channels = mixer.samples, mixer.bad_samples, mixer.channels
    if not facts.samples:
        why = facts.error or f"{facts.damaged} of {facts.packets} packets damaged"
        raise MediaError(f"{path}: no sound decodes ({why})")
    begin, end = (None if t is None else round(t * rate_hz) for t in part_s)
    if (begin, end) != (0, None):
        samples = samples[:, begin:end].copy()
    return samples, facts, mixer.treatment() if treatment == Treatment() else treatment


def _stated_s(path: os.PathLike[str] | str, container: Any, stream: Any) -> float:
    """How long the sound is by the file's own word; 0 where it says nothing."""
    if container.format.name in GUESSING:
        return 0.0
    own = stream.duration
    stated_s = (container.duration or 0) / av.time_base if own is None else float(own * stream.time_base)
    return stated_s * max(1.0, (riff_bytes(path) or 0) / Path(path).stat().st_size)


def _decoded(packets: Iterator[Any], stream: Any, facts: SoundFacts) -> Iterator[tuple[Any, int, int]]:
    """The frames of ``stream``, each with how many packets since the one before were in error, and how many gave nothing."""
    errors = mute = 0
    try:
        for packet in packets:
            if packet.stream.index != stream.index or is_empty(packet):
                continue
            facts.packets += not (packet.is_discard or is_flush(packet))
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except av.FFmpegError:
                facts.damaged += 1
                errors += 1
                continue
            mute += not frames
            for frame in frames:
                yield frame, errors, mute
                errors = mute = 0
    except av.FFmpegError as error:
        facts.error = reason(error)


class _Track:
    """Samples at their times, as frames come; made a block of ``WINDOW_S`` at a time, which costs a third."""

    def __init__(self, path: os.PathLike[str] | str, rate_hz: int, mixer: Mixer, facts: SoundFacts) -> None:
        self._path, self._rate_hz, self._mixer, self._facts = path, rate_hz, mixer, facts
        self._silence_s = 0.0
        self._made: list[NDArray[np.float32]] = []
        self._length = 0
        self._skip = 0  # samples to come that lie before zero
        self._resampler: Any = None
        self._layout: Any = None
        self._source_hz = 0
        self._block: list[NDArray[np.float32]] = []
        self._run_start_s = 0.0
        self._run_samples = self._block_samples = self._frames_off = 0

    def add(self, frame: Any, at_s: float | None, errors: int = 0, mute: int = 0) -> None:
        """The next frame, which begins at ``at_s`` (None: where the one before ends).

        After packets in error its stamp is believed to the millisecond, and after ``mute`` ones that gave nothing: the decoder
        may have been waiting for it, or have swallowed them, which then shows in the stamp and is counted.
        """
        if not RATES_HZ[0] <= frame.sample_rate <= RATES_HZ[1]:
            raise MediaError(f"{self._path}: {frame.sample_rate} samples a second, need {RATES_HZ[0]} to {RATES_HZ[1]}")
        is_first = not self._source_hz
        expected_s = self._run_start_s + (0.0 if is_first else self._run_samples / self._source_hz)
        off_s = abs(at_s - expected_s) if at_s is not None else 0.0
        self._frames_off = self._frames_off + 1 if off_s > STEADY_S else 0
        slack_s = EXACT_S if errors or mute else STEADY_S if self._frames_off >= STEADY_FRAMES else SLACK_S
        is_off = at_s is not None and (is_first or off_s > slack_s)
        if is_off or frame.sample_rate != self._source_hz:
            self._end_run()
            self._facts.damaged += mute if is_off and not is_first else 0
            self._run_start_s, self._run_samples = at_s if is_off and at_s is not None else expected_s, 0
            self._move_to(round(self._run_start_s * self._rate_hz), is_first)
            self._source_hz = frame.sample_rate
            self._resampler = av.AudioResampler(format="fltp", layout=self._mixer.layout, rate=self._rate_hz)
        elif frame.layout.name != self._layout.name:
            self._make_block()
        self._layout = frame.layout
        self._block.append(_planar(frame))
        self._run_samples += frame.samples
        self._block_samples += frame.samples
        if self._block_samples >= WINDOW_S * self._source_hz:
            self._make_block()

    def finish(self) -> NDArray[np.float32]:
        """All samples, (channels, n)."""
        self._end_run()
        return np.concatenate(self._made, axis=1) if self._made else self._silence(0)

    def _silence(self, n: int) -> NDArray[np.float32]:
        return np.zeros((1 if self._mixer.layout == "mono" else 2, n), np.float32)

    def _make_block(self) -> None:
        if self._block:
            is_telling = self._block_samples >= WINDOW_S * self._source_hz / 2  # of the channels: chance rules in a short one
            mixed = self._mixer.mixed(np.concatenate(self._block, axis=1), self._layout, is_telling)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(mixed), format="fltp", layout=self._mixer.layout)
            frame.sample_rate = self._source_hz
            self._keep(self._resampler.resample(frame))
        self._block, self._block_samples = [], 0

    def _end_run(self) -> None:
        self._make_block()
        if self._run_samples:
            self._keep(self._resampler.resample(None))

    def _keep(self, frames: list[Any]) -> None:
        for frame in frames:
            samples = frame.to_ndarray()
            skipped = min(self._skip, samples.shape[1])
            self._skip -= skipped
            self._made.append(samples[:, skipped:])
            self._length += samples.shape[1] - skipped

    def _move_to(self, target: int, is_first: bool) -> None:
        """Pad with silence up to sample ``target``, or cut what lies beyond it."""
        self._skip, target = max(0, -target), max(0, target)
        if target > self._length:
            gap_s, heard_s = (target - self._length) / self._rate_hz, self._length / self._rate_hz - self._silence_s
            self._silence_s += gap_s
            if self._silence_s > MOST_SILENCE_S + MOST_SILENCE_PER_SOUND * heard_s:
                raise MediaError(
                    f"{self._path}: time stamps put {heard_s:.1f} s of sound into {target / self._rate_hz:.0f} s (broken clock?)"
                )
            self._made.append(self._silence(target - self._length))
            self._facts.gaps_s += 0.0 if is_first else gap_s
        surplus = self._length - target
        while surplus > 0:
            last = self._made.pop()
            kept = last.shape[1] - surplus
            self._made += [last[:, :kept]] if kept > 0 else []
            surplus -= last.shape[1]
        self._length = target


def _planar(frame: Any) -> NDArray[np.float32]:
    """Samples of a frame, (channels, n); integers with full scale at 1."""
    if frame.format.is_planar and frame.layout.nb_channels >= MOST_PLANES:
        (frame,) = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate).resample(frame)
    stored = frame.to_ndarray()
    samples = stored if frame.format.is_planar else stored.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is bad
        return samples.astype(np.float32)
