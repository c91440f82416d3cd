"""Which source files a stage runs, and one hash over them: the "code version" in the keys of cached results.

The closure follows the ``import`` statements of first-party modules, wherever in the file they stand, and adds the asset files
that those modules name. The release of every third-party package they import is part of the hash.
"""

import ast
import hashlib
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRST_PARTY = ("space_data", "space_models", "evaluation", "pipelines")
WITHOUT_EFFECT = {
    "pipelines.job.engine", "pipelines.job.pool", "pipelines.job.graph", "pipelines.layout", "pipelines.job.keys",
    "space_data.params", "space_data.progress", "space_data.errors",
}  # fmt: skip
"""Modules that decide how a unit runs or is reported, not what it makes (settings enter the keys by value)."""


def module_file(module: str) -> Path | None:
    """Source file of a first-party module or package; None if there is none."""
    base = ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def imports_of(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """First-party modules and third-party top-level packages that ``module`` imports directly."""
    path = module_file(module)
    first: set[str] = set()
    third: set[str] = set()
    if path is None:
        return frozenset(), frozenset()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.split(".")[0] not in FIRST_PARTY:
                third.add(name.split(".")[0])
            elif module_file(name) is not None:
                first.add(name)
    return frozenset(first), frozenset(third)


def source_closure(module: str, without: frozenset[str] = frozenset()) -> set[str]:
    """First-party modules that ``module`` needs, itself included, not looking into those in ``without``."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current not in seen and current not in without:
            seen.add(current)
            waiting.extend(imports_of(current)[0])
    return seen


def assets_of(module: str) -> set[Path]:
    """Files in the package's ``assets`` folder whose name stands in the module's source."""
    path = module_file(module)
    folder = ROOT / module.split(".")[0] / "assets"
    if path is None or not folder.is_dir():
        return set()
    source = path.read_text()
    return {asset for asset in folder.rglob("*") if asset.is_file() and asset.name in source}


@cache
def code_version(module: str) -> str:
    """Hash of the first-party source, the named assets and the third-party releases that ``module``'s results depend on."""
    digest = hashlib.sha256()
    distributions = packages_distributions()
    packages: set[str] = set()
    files: set[Path] = set()
    for name in source_closure(module, frozenset(WITHOUT_EFFECT)):
        path = module_file(name)
        if path is not None:
            files |= {path} | assets_of(name)
        packages |= imports_of(name)[1]
    for file in sorted(files):
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    for distribution in sorted({d for package in packages for d in distributions.get(package, [])}):
        digest.update(f"{distribution}=={version(distribution)}\n".encode())
    return digest.hexdigest()
