"""Frames per second of the synthetic head on one core: `python -m benchmarks.render`.

CPU time of one thread, over several hair styles (they decide the number of triangles), with 2 x 2 samples per pixel.
Also the exact landmark tracks without pictures.
"""

import argparse
import dataclasses
import time

import numpy as np

from space_data.synthetic.head import HeadRenderer, draw_identity, draw_scene, landmark_track

STYLES = ("bald", "short", "curly", "long")
SIZES_PX = (256, 512)


def render_fps(style: str, size_px: int, shadow: bool, n_frames: int) -> float:
    """Frames per CPU second of one person turning and talking."""
    rng = np.random.default_rng(1)
    film = HeadRenderer(dataclasses.replace(draw_identity(rng), hair_style=style), draw_scene(rng), size_px, shadow=shadow)
    film.frame({"jaw": 0.1})  # compiles
    start = time.process_time()
    for k in range(n_frames):
        film.frame({"jaw": 0.5 + 0.5 * np.sin(k)}, yaw_deg=25 * np.sin(0.1 * k))
    return n_frames / (time.process_time() - start)


def track_fps(n_frames: int) -> float:
    """Frames per CPU second of `landmark_track`."""
    rng = np.random.default_rng(1)
    identity, scene = draw_identity(rng), draw_scene(rng)
    controls, pose = {"jaw": rng.random(n_frames)}, {"yaw_deg": rng.normal(0, 8, n_frames)}
    landmark_track(identity, controls, pose, scene)
    start = time.process_time()
    landmark_track(identity, controls, pose, scene)
    return n_frames / (time.process_time() - start)


def main(argv: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=50)
    n_frames = parser.parse_args(argv).frames
    heads = [f"{size} px{' + shadow' if shadow else ''}" for size in SIZES_PX for shadow in (False, True)]
    print(f"{'style':8}" + "".join(f"{head:>16}" for head in heads))
    for style in STYLES:
        cells = [render_fps(style, size, shadow, n_frames) for size in SIZES_PX for shadow in (False, True)]
        print(f"{style:8}" + "".join(f"{fps:12.1f} fps" for fps in cells))
    print(f"landmark tracks: {track_fps(1500):.0f} frames/s")


if __name__ == "__main__":
    main()
