"""How large the benchmark page is, how long it takes to write, and how soon a browser shows it, from made-up tables of any size.

    python -m benchmarks.report_scale --clips 200 --systems 8 --out OUT

Figures are drawn around a level per system, one clip in 50 fails; lips and heads are noise. Videos are one made-up file under
many names. The page is opened from the disk in headless Chromium, where there is one: first paint, end of its scripts, a click on
a table's header, and a clip opened in the player until all of its videos show a frame.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np

from evaluation.aggregate import aggregates, identity_means
from evaluation.exports import results_csv, results_json
from evaluation.html import provenance, thumbnail
from evaluation.metrics import Metric, catalogue
from evaluation.report_data import BenchmarkData
from evaluation.report_page import SHEET_CLIPS, benchmark_page
from evaluation.score_clip import NO_FACE, OK, REFERENCE
from evaluation.systems import SYSTEM_NAMES
from space_data.files import make_folder
from space_data.media.encode import write_video
from space_data.params import Params, load_params
from space_data.schema import EMOTIONS, FAILED, KEPT, Score, SynthesizedClip, TraceFrame
from space_data.timebase import SAMPLES_PER_FRAME

SIZE_PX = 256
FAILS_OF = 50
LANGUAGES = ("en", "es", "it", "nl")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--mute-audio", "--window-size=1400,1000")  # fmt: skip
PATIENCE_S = 120.0
PROBE = """<script>
const scripted = performance.now(), once = (condition) => new Promise((done) => {
  const look = () => (condition() ? done(performance.now()) : requestAnimationFrame(look));
  look();
});
(async () => {
  const paint = await once(() => performance.getEntriesByName("first-contentful-paint").length);
  const painted = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  const header = document.querySelector("#clips thead button");
  let begin = performance.now();
  header.click();
  const sorted = await once(() => true) - begin;
  begin = performance.now();
  document.querySelector("a[href^='#play=']").click();
  const videos = () => [...document.querySelectorAll("#player video")].filter((video) => video.src);
  const shown = await once(() => videos().length && videos().every((video) => video.readyState >= 2 && !video.seeking)) - begin;
  const told = { painted, scripted, sorted, shown, videos: videos().length };
  await fetch("@ADDRESS@", { method: "POST", mode: "no-cors", body: JSON.stringify(told) });
})();
</script></body>"""


def made_up(n_clips: int, n_systems: int, n_people: int, n_frames: int, params: Params) -> BenchmarkData:
    """Tables of a benchmark; videos are named, not made."""
    rng = np.random.default_rng(0)
    systems = [*SYSTEM_NAMES, *(f"system_{i}" for i in range(n_systems))][:n_systems]
    columns = catalogue(SIZE_PX, params.evaluate)
    people = {f"set/person{i % n_people:03d}/clip{i:05d}": f"person{i % n_people:03d}" for i in range(n_clips)}
    emotions = list(EMOTIONS)
    clips, scores, traces, videos, languages = [], [], [], {}, {}
    for number, (clip_id, subject) in enumerate(people.items()):
        languages[clip_id] = LANGUAGES[number % len(LANGUAGES)]
        for s, system in enumerate(systems):
            failed = rng.random() < 1 / FAILS_OF
            row = SynthesizedClip(
                system, clip_id, subject, emotions[number % len(emotions)], 1.0, "", "", "", "", n_frames, SIZE_PX,
                FAILED if failed else KEPT, "made up" if failed else "", "no_face" if failed else "",
            )  # fmt: skip
            clips.append(row)
            if not failed:
                videos[system, clip_id] = f"media/{number:04d}-{system}.mp4"
            scores += [_score(row, metric, None if failed else 0.1 * s + float(rng.normal(0, 0.05))) for metric in columns]
        for system in (REFERENCE, *systems):
            gaps = np.abs(np.cumsum(rng.normal(0, 0.02, n_frames))) % 0.3
            yaw = float(rng.normal(0, 12))
            traces += [
                TraceFrame(system, clip_id, i, True, float(gap), 0.3, yaw, 0.0, 0.0, 128.0, 170.0, 45.0)
                for i, gap in enumerate(gaps)
            ]
    rows = aggregates(identity_means(scores, columns), systems, columns)
    data = BenchmarkData(clips, scores, traces, rows, columns, [], params.evaluate.sign_flip_draws, 0)
    samples = data.samples(params.report.sample_clips)
    picture = np.hstack([rng.normal(128, 25, (160, 160, 3)).clip(0, 255).astype(np.uint8)] * 9)
    strip = [(system, thumbnail(picture, picture.shape[1])) for system in systems]
    sheets = dict.fromkeys(samples[:SHEET_CLIPS], strip)
    return replace(data, videos=videos, languages=languages, sheets=sheets, mouths=sheets)


def _score(clip: SynthesizedClip, metric: Metric, value: float | None) -> Score:
    recorded = 0.0 if metric.better == "recording" else None
    status = (NO_FACE, "made up") if value is None else (OK, "")
    return Score(clip.system, clip.clip_id, clip.subject, metric.metric_id, value, recorded, *status)


def write_media(data: BenchmarkData, folder: Path, n_frames: int) -> None:
    """One video under the name of each."""
    make_folder(folder / "media")
    first = folder / "one.mp4"
    rng = np.random.default_rng(1)
    sound = (0.1 * rng.normal(size=n_frames * SAMPLES_PER_FRAME)).astype(np.float32)
    write_video(first, [np.full((SIZE_PX, SIZE_PX, 3), 2 * i % 256, np.uint8) for i in range(n_frames)], audio=sound)
    for name in data.videos.values():
        (folder / name).unlink(missing_ok=True)
        os.link(first, folder / name)


def opened(page: Path) -> dict[str, float] | None:
    """Milliseconds that a browser needs, as the page itself tells; None without a browser, or where it never tells."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        return None
    told: dict[str, float] = {}
    heard = threading.Event()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            heard.set()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text().replace("</body>", PROBE.replace("@ADDRESS@", f"http://127.0.0.1:{server.server_port}/")))
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}", probed.as_uri()]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        heard.wait(PATIENCE_S)
        process.terminate()
        process.wait()
    server.shutdown()
    return told or None


def main() -> None:
    """Make, write, open, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--systems", type=int, default=8)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--frames", type=int, default=125, help="of each clip")
    parser.add_argument("--out", type=Path, required=True, help="folder for the page")
    options = parser.parse_args()
    params = load_params()
    data = made_up(options.clips, options.systems, options.people, options.frames, params)
    folder = options.out.resolve()
    write_media(data, folder, options.frames)
    began_s = time.process_time()
    benchmark_page(data, params.report, provenance({})).write(folder / "index.html")
    page_s = time.process_time() - began_s
    exports = {"results.json": results_json(data, {}), "results.csv": results_csv(data)}
    sizes = {"index.html": (folder / "index.html").stat().st_size, **{name: len(text) for name, text in exports.items()}}
    print(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()))
    print(f"page: {page_s:.1f} s of a core; peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    told = opened(folder / "index.html")
    if told is None:
        print("no browser told anything")
    else:
        print(
            f"browser: first paint {told['painted']:.0f} ms, scripts done {told['scripted']:.0f} ms, clips sorted in "
            f"{told['sorted']:.0f} ms, a clip opened with {told['videos']:.0f} videos in {told['shown']:.0f} ms"
        )


if __name__ == "__main__":
    main()
