"""The list of all benchmarks: ``python -m benchmarks``."""

import ast
from pathlib import Path

for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    print(f"{path.stem:<18}", " ".join(first.replace("``", "`").split()))
