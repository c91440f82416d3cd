"""The house rules that a machine can check: who imports whom, what `dvc.yaml` names, that no configuration is idle."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.make_dvc import DVC, code_of, page
from pipelines.job.keys import FIRST_PARTY
from pipelines.stages import ALONE
from pipelines.stages import STAGES as STAGE_NAMES
from space_data.params import Params, Section, load_params
from space_models.generators import GENERATORS, RENDERERS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for package in FIRST_PARTY for path in (ROOT / package).rglob("*.py") if "assets" not in path.parts)
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

MAY_IMPORT = {
    "space_data": {"space_data"},
    "space_models": {"space_data", "space_models"},
    "evaluation": {"space_data", "space_models", "evaluation"},
    "pipelines": set(FIRST_PARTY),
}
ONLY_IN = {
    "av": {
        f"space_data/media/{name}.py"
        for name in ("container", "encode", "legacy_avi", "live", "lossless", "probe", "sound", "timeline", "video")
    },
    "PIL": {"space_data/media/images.py", "evaluation/frame_features.py"},  # the second: clean-fid resizes with it
    "mediapipe": {"space_data/facemesh.py"},
    "face_alignment": {"space_data/face_alignment_backend.py"},
    "apache_beam": {"pipelines/job/graph.py", "pipelines/cluster/worker.py"},
    "dvc": set(),
}
"""Packages that one file stands between us and."""
NOT_IN = {
    "space_data": {"torch", "lightning_fabric", "apache_beam"},
    "space_models": {"apache_beam"},
    "evaluation": {"apache_beam"},
}
BUT_IN = {"space_data/face_alignment_backend.py": {"torch"}}
"""A library that speaks torch, imported when a clip is to be looked at with it."""


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    found = imported(path)
    assert found & set(FIRST_PARTY) <= MAY_IMPORT[package]
    assert not found & (NOT_IN.get(package, set()) - BUT_IN.get(str(path.relative_to(ROOT)), set()))
    for guarded, files in ONLY_IN.items():
        assert guarded not in found or str(path.relative_to(ROOT)) in files, f"{guarded} is imported outside {files}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_rate_arithmetic_outside_the_time_base(path: Path) -> None:
    if path.name == "timebase.py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv):
            constants = {side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)}
            assert not constants & {640, 16_000, 44_100}, f"line {node.lineno}: convert with space_data.timebase"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_errors_are_never_swallowed(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            only_pass = all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
            broad = isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            assert not (only_pass and broad), f"line {node.lineno}: swallows every error"


def test_dvc_yaml_is_what_the_code_reaches() -> None:
    assert (ROOT / "dvc.yaml").read_text() == page(), "run `python -m docs.make_dvc`"


GENERATORS_OWN = ("space_models/generators/", "pipelines/stages/generator.py")
"""Where a renderer may be named: its package, and the stage that trains the one that is ours."""


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_registry_names_a_renderer(path: Path) -> None:
    if str(path.relative_to(ROOT)).startswith(GENERATORS_OWN):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert node.value.removeprefix("ours_") not in RENDERERS, f"line {node.lineno}: take {node.value!r} from the registry"
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("space_models.generators."):
            raise AssertionError(f"line {node.lineno}: {node.module} is imported outside its package (use the registry)")


def test_every_generator_says_what_it_is() -> None:
    assert set(GENERATORS) == {entry.generator for entry in RENDERERS.values() if entry.generator}
    for name, entry in RENDERERS.items():
        assert entry.summary and entry.section in {None, *Params.model_fields}, name


OTHER_ROWS = {"features": {"corpus"}, "diversity": {"evaluate"}}
"""``corpus``: rows in files that ``ingest`` lists and hashes like any other. ``diversity`` writes rows of the same design as
``evaluate``."""


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_rows_but_those_of_its_tables(stage: str) -> None:
    rows = {Path(file).stem for file in code_of(stage) if file.startswith("space_data/schema/")} & set(STAGES)
    tables = {folder.removeprefix("data/") for folder in DVC[stage].deps}
    assert rows <= tables | {stage} | OTHER_ROWS.get(stage, set())


def named(stage: str, kind: str) -> set[str]:
    """Paths that a stage names under ``kind`` in dvc.yaml."""
    return {next(iter(item)) if isinstance(item, dict) else item for item in STAGES[stage].get(kind, [])}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_names_the_params_a_stage_reads(stage: str) -> None:
    sections = set(Params.model_fields)
    source = (ROOT / "pipelines" / "stages" / f"{stage}.py").read_text()
    used = set(re.findall(r"\bparams\.(\w+)", source)) & sections
    # Time limits, retries and packs do not change what is made; what does of ``job`` is named.
    missing = used - {p.split(".")[0] for p in STAGES[stage].get("params", [])} - {"job"}
    assert not missing, f"{stage}: add to params in docs/make_dvc.py: {sorted(missing)}"


def test_raw_data_are_read_by_one_stage_only() -> None:
    assert [stage for stage in STAGES if "${data.raw}" in named(stage, "deps")] == ["ingest"]


def test_every_output_of_one_stage_is_made_by_one_stage_only() -> None:
    outputs = [path for stage in STAGES for kind in ("outs", "metrics", "plots") for path in named(stage, kind)]
    assert len(outputs) == len(set(outputs))


def leaves(section: Section, prefix: str = "") -> list[str]:
    """Dotted names of all keys of a section."""
    names = []
    for key in type(section).model_fields:
        value = getattr(section, key)
        names += leaves(value, f"{prefix}{key}.") if isinstance(value, Section) else [f"{prefix}{key}"]
    return names


def test_every_key_of_params_is_used() -> None:
    code = "\n".join(path.read_text() for path in SOURCES if path.name != "params.py")
    idle = [name for name in leaves(load_params(ROOT / "params.yaml")) if not re.search(rf"\.{name.split('.')[-1]}\b", code)]
    assert not idle, f"keys of params.yaml that nothing reads: {idle}"


def test_every_key_of_params_is_explained() -> None:
    lines = [line for line in (ROOT / "params.yaml").read_text().splitlines() if re.match(r"\s+\w+:", line)]
    silent = [line.strip() for line in lines if "#" not in line and not line.rstrip().endswith(":")]
    assert not silent, f"params.yaml: say what these keys mean: {silent}"


@pytest.mark.parametrize("stage", STAGES)
def test_stages_take_their_paths_from_the_layout(stage: str) -> None:
    file = ROOT / "pipelines" / "stages" / f"{stage}.py"
    literals = [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]
    paths = [text for text in literals if isinstance(text, str) and re.match(r"(data|models|reports)/\S+$", text)]
    assert not paths, f"{file.name} hard-codes {paths}"


def test_only_stages_that_run_units_have_their_workers_prepared() -> None:
    for stage in STAGE_NAMES:
        source = (ROOT / "pipelines" / "stages" / f"{stage}.py").read_text()
        runs_units = "import run_stage" in source or "run_units" in source
        assert runs_units != (stage in ALONE), stage
