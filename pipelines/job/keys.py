"""The "code version" in the keys of kept results: one hash over just that source code which a unit function can reach.

Definitions, not files, are followed: from a function to the functions, classes and constants that its body names, through
imports, wherever they stand. So another function in the same file, a comment, a docstring or a reader that is not used changes
no key, and recomputes nothing. The release of every third-party package that is named on the way is part of the hash, and so are
the files in a package's ``assets`` folder that a reached definition names.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import TypeGuard

from pipelines.job.unit import FunctionName

ROOT = Path(__file__).resolve().parents[2]
FIRST_PARTY = ("space_data", "space_models", "evaluation", "pipelines")
WITHOUT_EFFECT = (
    "pipelines.job", "pipelines.layout", "space_data.params", "space_data.progress", "space_data.errors", "space_data.store",
    "space_data.manifest",
)  # fmt: skip
"""Modules (and packages) that decide how a unit runs, is stored or reported, not what it makes; settings enter keys by value."""
Definition = tuple[str, str]
"""A module and a name in it, or one of these two:"""
EFFECTS, WHOLE = "", "*"
"""What the module does when it is imported; all that is in it."""


@cache
def module_file(module: str) -> Path | None:
    """Source file of a first-party module or package; None if there is none."""
    base = ROOT.joinpath(*module.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def has_effect(module: str) -> bool:
    """Whether a first-party module can change a result."""
    return not any(module == name or module.startswith(f"{name}.") for name in WITHOUT_EFFECT)


@dataclass
class _Source:
    """A module's top level: what each name in it is."""

    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    """name → module, and the name in it, or ``WHOLE``"""
    effects: list[ast.stmt] = field(default_factory=list)
    """what runs on import"""


def _bindings(node: ast.stmt) -> dict[str, tuple[str, str]]:
    """What an import statement binds."""
    if isinstance(node, ast.Import):
        return {a.asname or a.name.split(".")[0]: (a.name if a.asname else a.name.split(".")[0], WHOLE) for a in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {a.asname or a.name: _imported(node.module, a.name) for a in node.names}
    return {}


def _imported(module: str, name: str) -> tuple[str, str]:
    """``from module import name``: the name may be a module of its own."""
    inner = f"{module}.{name}"
    return (inner, WHOLE) if module.split(".")[0] in FIRST_PARTY and module_file(inner) else (module, name)


@cache
def _source(module: str) -> _Source:
    path, found = module_file(module), _Source()
    if path is not None:
        _sort_in(ast.parse(path.read_text()).body, found)
    return found


def _sort_in(body: list[ast.stmt], found: _Source) -> None:
    for node in body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.imports |= _bindings(node)
            continue
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        elif isinstance(node, ast.If) and _is_never_run(node.test):
            continue
        for name in names:
            found.definitions.setdefault(name, []).append(node)
        if not names:
            found.effects.append(node)


def _is_never_run(test: ast.expr) -> bool:
    """``if TYPE_CHECKING`` and ``if __name__ == "__main__"``."""
    return any(isinstance(node, ast.Name) and node.id in ("TYPE_CHECKING", "__name__") for node in ast.walk(test))


class _Stripped(ast.NodeTransformer):
    """Takes out what changes nothing: docstrings, and the annotations of functions (those of classes make schemas)."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.body = _without_docstring(node.body)
        node.returns = None
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
            if argument is not None:
                argument.annotation = None
        return node

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.body = _without_docstring(node.body)
        return node


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    return [node for node in body if not (isinstance(node, ast.Expr) and _is_text(node.value))] or [ast.Pass()]


def _is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@cache
def _stripped(module: str, name: str) -> tuple[ast.stmt, ...]:
    """The statements of a definition, without what changes nothing."""
    source = _source(module)
    nodes = source.effects if name == EFFECTS else source.definitions.get(name, [])
    return tuple(_Stripped().visit(ast.parse(ast.unparse(node)).body[0]) for node in nodes)


def _named(module: str, name: str) -> Iterator[tuple[str, str]]:
    """Everything that a definition names."""
    source = _source(module)
    for node in _stripped(module, name):
        bound = dict(source.imports)
        for inner in ast.walk(node):
            bound |= _bindings(inner) if isinstance(inner, ast.stmt) else {}
        whole: set[str] = set()
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name):
                target = bound.get(inner.value.id)
                if target and target[1] == WHOLE:
                    yield target[0], inner.attr
                    whole.add(inner.value.id)
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                if inner.id in bound and (bound[inner.id][1] != WHOLE or inner.id not in whole):
                    yield bound[inner.id]
                elif inner.id in source.definitions and inner.id != name:
                    yield module, inner.id


@cache
def closure(module: str, name: str) -> tuple[frozenset[Definition], frozenset[str]]:
    """First-party definitions that a definition reaches, itself included, and the third-party packages that these name."""
    seen: set[Definition] = set()
    packages: set[str] = set()
    waiting: list[Definition] = [(module, name)]
    while waiting:
        current = waiting.pop()
        where, what = current
        if where.split(".")[0] not in FIRST_PARTY:
            packages.add(where.split(".")[0])
            continue
        if current in seen or not has_effect(where) or module_file(where) is None:
            continue
        source = _source(where)
        if what not in (EFFECTS, WHOLE) and what not in source.definitions:
            if what in source.imports:
                waiting.append(source.imports[what])
            continue
        seen.add(current)
        if what == WHOLE:  # a module that is handed on: everything in it may be used
            waiting += [(where, each) for each in source.definitions]
            continue
        waiting += _named(where, what)
        waiting.append((where, EFFECTS))
    return frozenset(seen), frozenset(packages)


def assets_of(module: str, name: str) -> set[Path]:
    """Files in the package's ``assets`` folder whose name, if no other file there has it, stands in a definition."""
    folder = ROOT / module.split(".")[0] / "assets"
    words = {text.value for node in _stripped(module, name) for text in ast.walk(node) if _is_text(text)}
    return {asset for asset in _assets(folder) if asset.name in words}


@cache
def _assets(folder: Path) -> tuple[Path, ...]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    names = [file.name for file in files]
    return tuple(file for file in files if names.count(file.name) == 1)


@cache
def code_version(function: FunctionName) -> str:
    """Hash of the source, the assets and the third-party releases that the results of ``function`` depend on."""
    definitions, packages = closure(function.module, function.name)
    digest = hashlib.sha256()
    assets: set[Path] = set()
    for module, name in sorted(definitions):
        for node in _stripped(module, name):
            digest.update(f"{module}\0{name}\0{ast.dump(node)}\n".encode())
        assets |= assets_of(module, name)
    for asset in sorted(assets):
        digest.update(f"{asset.relative_to(ROOT)}\0".encode() + hashlib.sha256(asset.read_bytes()).digest())
    distributions = packages_distributions()
    for distribution in sorted({d for package in packages for d in distributions.get(package, [])}):
        digest.update(f"{distribution}=={version(distribution)}\n".encode())
    return digest.hexdigest()


def module_version(module: str) -> str:
    """``code_version`` of everything in a module: of a training, which is more than one function."""
    return code_version(FunctionName(module, WHOLE))


def files_of(module: str, *names: str) -> set[Path]:
    """Source files and assets that definitions of a module need: what a stage depends on, as files."""
    definitions = {definition for name in names for definition in closure(module, name)[0]}
    files = {path for where, _ in definitions if (path := module_file(where)) is not None and path.read_text().strip()}
    return files | {asset for where, name in definitions for asset in assets_of(where, name)}
