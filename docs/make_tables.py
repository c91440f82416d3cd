"""Writes ``docs/tables.md`` from the row classes in ``space_data/schema``: ``python -m docs.make_tables``.

The text under a field documents it; vectors are documented where their types are. A test compares the page with the classes.
"""

import ast
import typing
from pathlib import Path

from pipelines.stages import STAGES
from space_data import schema

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tables.md"
HEAD = """# Tables

Every table is Parquet (zstd), its schema derived from one dataclass in `space_data/schema/`, a file per stage (the table's name
and version stand in the files' metadata). Units stand in the names: `_s` seconds, `_px` pixels, `_deg` degrees, `_db` decibels of
full scale, `_hz`, `_frames` (25 per second unless the row says otherwise); a `share` lies between 0 and 1. `?` = may be null. How
to read them: [formats.md](formats.md). Made by `python -m docs.make_tables`; a test keeps it true.
"""
NAMES = {"str": "string", "int": "int64", "float": "double", "bool": "bool", "bytes": "binary"}


def type_name(annotation: ast.expr, hint: object) -> str:
    """A column's type for people."""
    text = ast.unparse(annotation)
    optional = text.endswith(" | None")
    base = text.removesuffix(" | None")
    if base not in NAMES:
        size = typing.get_args(hint)[1]
        return f"float[{size.size}]" if isinstance(size, schema.FixedSize) else "float[]"
    return NAMES[base] + ("?" if optional else "")


def alias_notes(tree: ast.Module) -> dict[str, str]:
    """What stands under the vector types: name -> text."""
    notes = {}
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            notes[ast.unparse(node.targets[0])] = " ".join(str(after.value.value).split())
    return notes


def described(body: list[ast.stmt]) -> list[tuple[list[ast.AnnAssign], str]]:
    """Fields in groups, each with the text that stands under its last one."""
    groups: list[tuple[list[ast.AnnAssign], str]] = []
    waiting: list[ast.AnnAssign] = []
    for node in body:
        if isinstance(node, ast.AnnAssign) and not ast.unparse(node.annotation).startswith("ClassVar"):
            waiting.append(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and waiting:
            groups += [([field], "") for field in waiting[:-1]]
            groups.append(([waiting[-1]], " ".join(str(node.value.value).split())))
            waiting = []
    return groups + [([field], "") for field in waiting]


def schema_modules() -> list[ast.Module]:
    """The files of ``space_data/schema``: those of the stages in the order in which they run, then the others."""
    files = {file.stem: file for file in Path(schema.__file__).parent.glob("*.py")}
    order = [*(stage for stage in STAGES if stage in files), *sorted(files.keys() - set(STAGES))]
    return [ast.parse(files[name].read_text()) for name in order]


def page() -> str:
    """The whole page."""
    modules = schema_modules()
    notes = {name: note for module in modules for name, note in alias_notes(module).items()}
    parts = [HEAD]
    for node in (node for module in modules for node in module.body):
        if not isinstance(node, ast.ClassDef) or node.name in ("FixedSize", "AnySize"):
            continue
        hints = typing.get_type_hints(getattr(schema, node.name), include_extras=True)
        text = " ".join((ast.get_docstring(node) or "").split())
        version = schema.version_of(getattr(schema, node.name))
        parts.append(f"\n## {node.name}\n\n{text.replace('``', '`')} Version {version}.\n\n| column | type | |\n|---|---|---|\n")
        for (field,), note in described([stmt for stmt in node.body if stmt is not node.body[0]]):
            name = ast.unparse(field.target)
            note = note or notes.get(ast.unparse(field.annotation), "")
            shown = note.replace("``", "`").replace("|", "\\|")
            parts.append(f"| `{name}` | {type_name(field.annotation, hints[name])} | {shown} |\n")
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
