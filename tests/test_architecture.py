"""The house rules that a machine can check: who imports whom, what `dvc.yaml` names, that no configuration is idle."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.job.keys import FIRST_PARTY, assets_of, module_file, source_closure
from space_data.params import Params, Section, load_params

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for package in FIRST_PARTY for path in (ROOT / package).rglob("*.py"))
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

MAY_IMPORT = {
    "space_data": {"space_data"},
    "space_models": {"space_data", "space_models"},
    "evaluation": {"space_data", "space_models", "evaluation"},
    "pipelines": set(FIRST_PARTY),
}
ONLY_IN = {
    "av": {f"space_data/media/{name}.py" for name in ("container", "encode", "probe", "sound", "timeline", "video")},
    "PIL": {"space_data/media/images.py"},
    "mediapipe": {"space_data/facemesh.py"},
    "face_alignment": {"space_data/face_alignment_backend.py"},
    "apache_beam": {"pipelines/job/graph.py"},
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


def stage_module(stage: str) -> str:
    """The module that a stage's command runs."""
    match = re.fullmatch(r"python -m (pipelines\.stages\.\w+)( .*)?", STAGES[stage]["cmd"])
    assert match, f"{stage}: a stage is `python -m pipelines.stages <verb>`"
    return match[1]


def named(stage: str, kind: str) -> set[str]:
    """Paths that a stage names under ``kind`` in dvc.yaml."""
    return {next(iter(item)) if isinstance(item, dict) else item for item in STAGES[stage].get(kind, [])}


def covered(path: Path, names: set[str]) -> bool:
    """Whether ``path`` or a folder above it is among ``names``."""
    relative = path.relative_to(ROOT)
    return any(str(parent) in names for parent in (relative, *relative.parents))


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_names_all_the_code_and_assets_a_stage_runs(stage: str) -> None:
    module = stage_module(stage)
    assert module_file(module), f"{module} does not exist"
    missing = set()
    for name in source_closure(module):
        file = module_file(name)
        if file is not None and file.read_text().strip():
            missing |= {p for p in {file} | assets_of(name) if not covered(p, named(stage, "deps"))}
    assert not missing, f"{stage}: add to deps in dvc.yaml: {sorted(str(p.relative_to(ROOT)) for p in missing)}"


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_names_the_params_a_stage_reads(stage: str) -> None:
    sections = set(Params.model_fields)
    used = set()
    for name in source_closure(stage_module(stage)):
        file = module_file(name)
        if file is not None and name.startswith(stage_module(stage)):
            used |= set(re.findall(r"\bparams\.(\w+)", file.read_text())) & sections
    # How a stage runs (processes, time limit) does not change what it makes.
    missing = used - {p.split(".")[0] for p in STAGES[stage].get("params", [])} - {"job"}
    assert not missing, f"{stage}: add to params in dvc.yaml: {sorted(missing)}"


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
    file = module_file(stage_module(stage))
    assert file is not None
    literals = [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]
    paths = [text for text in literals if isinstance(text, str) and re.match(r"(data|models|reports)/\S+$", text)]
    assert not paths, f"{file.name} hard-codes {paths}"
