"""Stage ``corpus``: make the default corpus of synthetic talking heads (nothing is downloaded, no real person is in it)."""

import json
import shutil
from pathlib import Path

from pipelines.job.clock import stage_clock
from pipelines.job.ledger import ledger_rows, write_ledger
from pipelines.job.run import Result, run_units
from pipelines.job.unit import Unit, content_hash
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Params
from space_data.schema import FAILED
from space_data.synthetic.corpus import Plan, make, plans, write_lists
from space_data.timebase import frame_start_s

STAGE = "corpus"


def place(plan: Plan, outcome: Result, root: Path) -> dict[str, object]:
    """Copy a clip's files to their place in the corpus; its facts."""
    assert outcome.folder is not None
    for file in sorted(outcome.folder.glob("clip.*")):
        target = root / f"{plan.stem}{file.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    return json.loads((outcome.folder / "clip.json").read_text())


def run(params: Params, layout: Layout) -> None:
    """Write the corpus into its folder, with its lists."""
    with stage_clock(layout, STAGE) as clock:
        todo = {plan.stem: plan for plan in plans(params.corpus)}
        units = [Unit(stem, content_hash(vars(plan)), plan) for stem, plan in todo.items()]
        outcomes = run_units(STAGE, units, make, params.corpus, params, layout)
        clock.counts = write_ledger(layout, STAGE, todo, ledger_rows(STAGE, outcomes))
        broken = [o for o in outcomes if o.status == FAILED]
        if broken:
            raise SpaceError(f"corpus: {len(broken)} clips could not be made, first {broken[0].unit_id}: {broken[0].detail}")
        shutil.rmtree(layout.corpus, ignore_errors=True)
        facts = [place(todo[o.unit_id], o, layout.corpus) for o in outcomes]
        write_lists(layout.corpus, facts)
        clock.clips, clock.computed = len(outcomes), sum(o.computed for o in outcomes)
        for kind in ("clips", "speech_only"):
            seconds = sum(frame_start_s(int(str(f["n_frames"]))) for f in facts if str(f["clip"]).startswith(kind))
            clock.notes[f"minutes {kind}"] = f"{seconds / 60:.1f}"

