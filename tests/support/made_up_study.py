"""A study of three made-up systems on tiny clips: plain pictures whose colour says which system they are, and a tone per clip."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.study.build import Plan
from evaluation.study.manifest import Rule, Texts
from evaluation.study.sources import Sources, chosen_pairs, matched, videos_in
from space_data.media.encode import write_video

RECORDED = "okapi"
COLOURS = {"zebra": (200, 40, 40), "quagga": (40, 200, 40), RECORDED: (40, 40, 200)}
CLIPS = ("ibex/one", "ibex/two")
FRAMES, SIDE_PX = 10, 64
KEY = "5a" * 32
TEXTS = Texts(title="Which is better?", contact="somebody@example.org", consent=("Please agree.", "Thank you."))
RULE = Rule(least_catch_share=0.75, least_answered_share=0.5)


def sources_in(root: Path, clips: Sequence[str] = CLIPS, n_frames: int = FRAMES) -> Sources:
    """Videos of ``COLOURS``' systems: each clip's picture grows brighter from frame to frame."""
    times_s = np.arange(n_frames * 640) / 16_000
    for name, colour in COLOURS.items():
        for number, clip in enumerate(clips):
            shades = (0.5 + 0.5 * np.arange(n_frames) / n_frames)[:, None] * np.array(colour)
            frames = [np.full((SIDE_PX, SIDE_PX, 3), shade, np.uint8) for shade in shades]
            tone = (0.3 * np.sin(2 * np.pi * (300 + 200 * number) * times_s)).astype(np.float32)
            write_video(root / name / f"{clip}.mp4", frames, audio=tone, comment=f"rendered by {name}")
    videos = {name: videos_in(root / name) for name in COLOURS}
    return matched(Sources(videos, videos[RECORDED], RECORDED), chosen_pairs((), list(videos)))


def plan(raters: int = 4, trials: int = 3, catches: int = 2, seed: int = 0) -> Plan:
    """A small one."""
    return Plan(raters, trials, catches, RULE, seed)
