"""Shipped cards against the programs' text: ``pytest -m checkout --checkouts DIR tests/evaluation/test_cards_of_programs.py``.

No weights and none of a program's libraries are needed: its own statements that make the parser, and that name the video, are
taken out of its files and run. The three that `test_benchmark_checkouts` really runs are here where they can be read so.
"""

import argparse
import ast
import os
import re
from fnmatch import fnmatch
from pathlib import Path
from time import strftime
from types import SimpleNamespace

import pytest
import yaml

from evaluation.external.card import Card, shipped_card
from pipelines.benchmark.drive import INPUT_FILES

FOLDER = Path("/run/made")
OUT = FOLDER / "out.mp4"
PLACES = {name: f"/run/inputs/{file}" for name, file in INPUT_FILES.items()} | {"folder": str(FOLDER), "out": str(OUT)}
TYRO = "src/config/argument_config.py"
"""Of LivePortrait and what descends from it: the class of options."""
NAMED = {
    "sadtalker": ("inference.py", "save_dir", "{}.mp4", ()),
    "ditto": ("inference.py", "cmd", "{}", ()),
    "joyvasa": ("src/live_portrait_wmg_pipeline.py", "final_video", "{}", ("src/utils/helper.py",)),
    "liveportrait_ours": ("src/live_portrait_pipeline.py", "wfp", "{}", ("src/utils/helper.py",)),
    "musetalk": ("scripts/inference.py", "output_vid_name", "{}", ()),
    "latentsync": ("latentsync/pipelines/lipsync_pipeline.py", "command", "{}", ()),
}
"""Where each names its video at the card's commit: file, variable, what becomes of that, files of functions that it takes."""
MENTIONS = (".py", ".md", ".sh", ".yaml", ".txt")


@pytest.fixture
def checkouts(request) -> Path:
    if not (root := request.config.getoption("--checkouts")):
        pytest.skip("no --checkouts")
    return Path(root)


def there(system: str, checkouts: Path) -> tuple[Card, Path]:
    card = shipped_card(system)
    folder = checkouts / card.program.checkout
    if not folder.is_dir():
        pytest.skip(f"{folder}: no such checkout")
    return card, folder


def typed(card: Card) -> list[str]:
    return [argument.format(**PLACES) for argument in card.program.arguments]


def script_of(card: Card, folder: Path) -> tuple[Path, list[str]]:
    """The program's file, and the options after it."""
    first, *rest = typed(card)
    if first == "-m":
        return folder / (rest[0].replace(".", "/") + ".py"), rest[1:]
    return folder / first, rest


def parser_of(script: Path, folder: Path) -> argparse.ArgumentParser:
    """The program's parser, made by its own statements; of a class of options for tyro one with the same names."""
    if "tyro" in script.read_text():
        return tyro_parser(folder / TYRO)
    made = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Assign | ast.Expr) and (
        "ArgumentParser(" in ast.unparse(node) or ".add_argument(" in ast.unparse(node)
    )]  # fmt: skip
    names = {"argparse": argparse, "ArgumentParser": argparse.ArgumentParser, "os": os}
    for node in sorted(made, key=lambda one: one.lineno):
        exec(ast.unparse(node), names)
    parser = next(value for value in names.values() if isinstance(value, argparse.ArgumentParser))
    parser.allow_abbrev = False
    return parser


def tyro_parser(path: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    options = next(node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef))
    for field in options.body:
        if isinstance(field, ast.AnnAssign):
            aliases = [node.value for node in ast.walk(field.annotation) if isinstance(node, ast.Constant)]
            short = [alias for alias in aliases if isinstance(alias, str) and alias.startswith("-")]
            parser.add_argument(f"--{field.target.id}", *short)
    return parser


@pytest.mark.checkout
@pytest.mark.parametrize("system", [*NAMED, "wav2lip"])
def test_its_parser_takes_what_the_card_types(system, checkouts):
    card, folder = there(system, checkouts)
    script, options = script_of(card, folder)
    parser = parser_of(script, folder)
    try:
        taken = vars(parser.parse_args(options))
    except SystemExit:
        pytest.fail(f"{script}: its parser refuses {options}")
    paths = [value for value in options if value.startswith("/run/")]
    assert {str(value) for value in taken.values()} >= set(paths), "every path arrives"
    with pytest.raises(SystemExit):
        parser.parse_args([*options, "--no_such_option", "1"])


@pytest.mark.checkout
@pytest.mark.parametrize("system", [*NAMED, "makeittalk"])
def test_files_that_it_demands_are_those_of_its_layout(system, checkouts):
    """In the checkout, or named by its code or its instructions."""
    card, folder = there(system, checkouts)
    text = "\n".join(path.read_text(errors="replace") for path in sorted(folder.rglob("*")) if path.suffix in MENTIONS)
    unknown = [name for name in card.program.required if not (folder / name).exists() and Path(name).name not in text]
    assert not unknown


@pytest.mark.checkout
@pytest.mark.parametrize("system", [*NAMED, "wav2lip", "makeittalk", "pc_avs"])
def test_it_says_that_the_program_calls_ffmpeg(system, checkouts):
    """Each does, by name; without it a clip is drawn and then lost."""
    card, folder = there(system, checkouts)
    calls = [path for path in folder.rglob("*.py") if re.search(r"""['"]ffmpeg['" ]""", path.read_text(errors="replace"))]
    assert calls and "ffmpeg" in card.program.commands


def place_of_video(system: str, folder: Path, args: argparse.Namespace, texts: dict[str, object]) -> list[str]:
    """What the program's own expressions for its video give."""
    name, variable, form, helpers = NAMED[system]
    names: dict[str, object] = {"os": os, "osp": os.path, "strftime": strftime, "args": args, **texts}
    for helper in helpers:
        for node in ast.parse((folder / helper).read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name in ("prefix", "basename"):
                exec(ast.unparse(node), names)
    found = []
    for node in ast.walk(ast.parse((folder / name).read_text())):
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == variable for t in node.targets):
            try:
                found.append(form.format(eval(ast.unparse(node.value), dict(names))))
            except (NameError, TypeError, AttributeError):
                continue  # an assignment of another branch
    return found


@pytest.mark.checkout
@pytest.mark.parametrize("system", NAMED)
def test_its_video_is_where_the_card_looks(system, checkouts):
    card, folder = there(system, checkouts)
    script, options = script_of(card, folder)
    args = parser_of(script, folder).parse_args(options)
    texts = {"temp_dir": f"{FOLDER}/v15", "SDK": SimpleNamespace(tmp_output_path=f"{OUT}.tmp.mp4"), **vars(args)}
    for text in card.program.files.values():
        task = yaml.safe_load(text.format(**PLACES))["task_0"]
        args.output_vid_name = task["result_name"]
    wanted = card.program.output.format(**PLACES)
    found = place_of_video(system, folder, args, texts)
    written = [words.split()[-1].strip('"') for words in found]
    assert any(fnmatch(path, wanted) for path in written), (written, wanted)
