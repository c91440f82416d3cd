"""``space benchmark list``: lists and systems in words."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from evaluation.external.card import Card, added_cards, registry, shipped_cards
from evaluation.external.drive import absence
from evaluation.lists.clip_list import ClipList, shipped_lists
from evaluation.systems import SYSTEM_NAMES, systems_in_use
from pipelines.benchmark.choice import clips_to_score
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.params import Params
from space_data.schema import KEPT, SynthesizedClip
from space_data.tables import has_table, read_table


def lists_in_words(params: Params, layout: Layout) -> Iterator[str]:
    """A line per test list: how long it is, and whether its clips are here."""
    yield "test lists"
    for name, one in shipped_lists().items():
        size = f"{len(one.clips)} clips" if one.clips else f"at most {one.rule.at_most if one.rule else 0} clips by rule"
        yield f"  {name:<14} {size:<26} {_state(one, params, layout)}"
        yield f"  {'':<14} {one.about}"


def _state(one: ClipList, params: Params, layout: Layout) -> str:
    if not has_table(layout.aligned_clips):
        return "not here: no aligned clips (run `dvc repro align`)"
    try:
        found = clips_to_score(one.name, params.synthesize, layout)
    except SpaceError as error:
        return f"not here: {str(error).partition(': ')[2]}"
    return f"here: {len(found.chosen)} clips of {found.identities} identities, {found.label}"


def systems_in_words(checkouts: Path, params: Params, layout: Layout) -> Iterator[str]:
    """A line per system: its kind, and whether it takes part."""
    yield "systems"
    shipped, added, used = shipped_cards(), added_cards(layout.external), systems_in_use(params)
    rows = read_table(layout.synthesized_clips, SynthesizedClip) if has_table(layout.synthesized_clips) else []
    rendered = Counter(row.system for row in rows if row.status == KEPT)
    for entry in registry(layout.external):
        if entry.name in SYSTEM_NAMES:
            todo = "not rendered here (`dvc repro synthesize` does it)"
            state = todo if entry.name in used else "not in use (latents.generators in params.yaml)"
            state = f"rendered, {rendered[entry.name]} clips" if entry.name in rendered else state
        elif entry.name in added:
            state = f"added, {layout.external / entry.name}"
        else:
            state = _installed(shipped[entry.name], checkouts)
        yield f"  {entry.name:<18} {entry.kind.value:<8} {state}"


def _installed(card: Card, checkouts: Path) -> str:
    """Whether a program that the package can drive is here, or what is missing."""
    if card.program is None:
        return "not added"
    missing = absence(card.program, checkouts / card.program.checkout)
    return f"not installed: {missing}" if missing else "installed (space benchmark run)"
