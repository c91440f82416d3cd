"""Which kinds of machines made a stage's tables."""

from pathlib import Path

import fault_stages
import pytest

from pipelines.job import graph, machine
from pipelines.layout import Layout
from space_data.manifest import Manifest, committed
from space_data.params import load_params
from space_data.store import Place

REPOSITORY = Path(__file__).resolve().parents[2]
INTEL = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 207
model name\t: Some(R) Processor
flags\t\t: fpu vme

processor\t: 1
model\t\t: 208
"""
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\n"


@pytest.mark.parametrize(("text", "said"), [(INTEL, "GenuineIntel 6 207"), (ARM, "0x41 8 0xd0c"), ("processor\t: 0\n", "")])
def test_vendor_family_and_model(text: str, said: str) -> None:
    assert machine.cpu_of(text) == said


def test_a_manifest_names_the_machines_of_all_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, params = fault_stages.raw_files(tmp_path), load_params(REPOSITORY / "params.yaml")

    def run_on(kind: str, out: Path) -> Manifest:
        monkeypatch.setattr(graph, "machine", lambda: kind)
        layout: Layout = fault_stages.run_both(raw, out, params)
        return committed(Place.of(layout.stage("shouted")), "shouted")

    assert run_on("old", tmp_path / "a").made_with["machines"] == "old"
    assert run_on("new", tmp_path / "a").made_with["machines"] == "old", "nothing was computed on the new one"
    (raw / "another.txt").write_text("one more")
    grown, whole = run_on("new", tmp_path / "a"), run_on("old", tmp_path / "b")
    assert (grown.made_with["machines"], whole.made_with["machines"]) == ("new, old", "old")
    assert grown.content_sha256() == whole.content_sha256()
