"""`space stream` at the pace of speech: how long frames take after their sound, and whether memory stays.

    python -m benchmarks.stream [--image FILE] [--audio FILE] [--minutes 1] [--camera VIDEO]

The sound, over and over, comes in chunks of 20 ms at the pace of speech; frames are drawn and coded as JPEG. Printed per minute:
processor time per frame and the process's memory; in the end median, 95 % and largest latency from the last sample of a frame's
sound to the frame.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from pipelines.streaming.run import stream
from pipelines.streaming.sinks import jpeg
from pipelines.streaming.sources import CHUNK_S, Chunk
from space_data.params import load_params
from space_data.progress import setup
from space_data.speech_encoder import LOG_MEL
from space_data.synthetic.espeak import Voice, speak
from space_data.timebase import AUDIO_HZ
from space_models.animate import ASSETS
from space_models.generators import DEFAULT_RENDERER, RENDERERS, Frame
from space_models.live import Live, Motion
from space_models.motion import load_motion_models
from space_models.portrait import load_portrait
from space_models.speech_file import load_speech
from space_models.switch import camera_of

SENTENCE = "The quick brown fox jumps over the lazy dog, and nobody in the village minds at all."
MINUTE_FRAMES = 1500


def resident_mb() -> float:
    """Memory of the process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Minutes:
    """A sink that codes frames and adds a row per minute."""

    def __init__(self, table: Table) -> None:
        self._table, self._frames, self._cpu = table, 0, time.process_time()

    def put(self, frame: Frame) -> None:
        """A frame."""
        jpeg(frame)
        self._frames += 1

    def put_sound(self, samples: np.ndarray) -> None:
        """Nothing but a look at the clock."""
        if self._frames >= MINUTE_FRAMES:
            self.row()

    def row(self) -> None:
        """What the frames since the last row took."""
        cpu = time.process_time()
        each_ms = 1e3 * (cpu - self._cpu) / max(self._frames, 1)
        self._table.add_row(str(self._frames), f"{each_ms:.1f}", f"{resident_mb():.0f}")
        self._frames, self._cpu = 0, cpu


def paced(audio: np.ndarray, seconds: float) -> Iterator[Chunk]:
    """The sound over and over at the pace of speech."""
    size, began, first = round(CHUNK_S * AUDIO_HZ), time.monotonic(), 0
    while first < seconds * AUDIO_HZ:
        time.sleep(max(0.0, began + (first + size) / AUDIO_HZ - time.monotonic()))
        yield np.take(audio, np.arange(first, first + size), mode="wrap"), time.monotonic()
        first += size


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--image", type=Path)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--camera", type=Path)
    arguments = parser.parse_args()
    setup(quiet=True)
    params = load_params(None, [f"animate.speech_encoder={LOG_MEL}"])
    if arguments.image is None:
        from skimage.data import astronaut

        portrait = load_portrait(astronaut())
    else:
        portrait = load_portrait(arguments.image)
    audio = load_speech(arguments.audio).audio if arguments.audio else speak(SENTENCE, Voice("en-us", "f2")).audio
    motion = Motion(load_motion_models(ASSETS, params), portrait, params)
    camera = None if arguments.camera is None else camera_of(arguments.camera)
    live = Live(motion, portrait, RENDERERS[DEFAULT_RENDERER].load(ASSETS, params), camera)
    table = Table("frames", "CPU ms per frame", "memory, MB")
    sink = Minutes(table)
    latency = stream(live, paced(audio, 60 * arguments.minutes), sink, in_real_time=True)
    sink.row()
    Console().print(table)
    print(latency.in_words())


if __name__ == "__main__":
    main()
