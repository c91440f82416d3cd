"""The tutorial does what it says: every command of it, in a folder of its own, as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from space_data.media.probe import probe
from space_models.tracks import Tracks

ACTIVE = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "tutorial.md"
MADE = ("hello.mp4", "happy.mp4", "changes.mp4", "calmer.mp4", "hello-inspect/landmarks.mp4")


def test_every_step(tmp_path: Path) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    assert [kind for kind, _ in blocks] == ["", "", "", "yaml", "", "", "", "python"]
    for kind, text in blocks:
        if kind == "yaml":
            (tmp_path / "changes.yaml").write_text(text)
            continue
        line = [sys.executable if kind == "python" else "bash", "-c", text]
        done = subprocess.run(line, cwd=tmp_path, env=ACTIVE, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{text}\n{done.stderr}"
    assert all(probe(tmp_path / name).header_frames for name in MADE)
    assert (tmp_path / "hello-inspect" / "index.html").is_file()
    assert Tracks.read(tmp_path / "wide.parquet").stage == "spoken"
