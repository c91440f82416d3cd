"""What the figures of a benchmark rest on: list, systems, weights, cards, seeds, machine. No clock and no place: equal runs say
the same."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evaluation import face_descriptor
from evaluation.external.card import CARD_FILE
from evaluation.judges import Judges
from evaluation.report_data import BenchmarkData
from pipelines.job.machine import machine
from pipelines.layout import Layout
from space_data import weights
from space_data.avsync import Scorer
from space_data.files import sha256_of
from space_data.params import Params

HASH_CHARACTERS = 12
NONE = "none"


def facts_of(data: BenchmarkData, params: Params, layout: Layout, command: str) -> dict[str, str]:
    """By what they are; hashes are the first digits of SHA-256."""
    people = len({clip.subject for clip in data.clips})
    return {
        "release": _release(),
        "test list": ", ".join(sorted({clip.test_list for clip in data.clips})),
        "test set": f"{len(data.clip_ids)} clips of {people} identities, {params.data.raw}",
        "systems": ", ".join(entry.name for entry in data.systems),
        "cards": _hashes({entry.name: layout.external / entry.name / CARD_FILE for entry in data.systems}),
        "trained weights": _hashes(_trained(layout.models.local())),
        "judges' weights": ", ".join(_judges(Path(params.evaluate.weights), params.evaluate.second_detector)) or NONE,
        "A/V scorer": Scorer.load(layout.evaluation_scorer).fitted_on,
        "seeds": f"synthesize {params.synthesize.seed}, evaluate {params.evaluate.seed}",
        "machine": machine(),
        "command": command,
    }


def _release() -> str:
    try:
        return f"open-space {version('open-space')}"
    except PackageNotFoundError:
        return "open-space, not installed"


def _trained(models: Path) -> dict[str, Path]:
    return {path.parent.relative_to(models).as_posix(): path for path in sorted(models.glob("**/weights.safetensors"))}


def _hashes(files: dict[str, Path]) -> str:
    known = (f"{name} {sha256_of(path)[:HASH_CHARACTERS]}" for name, path in files.items() if path.is_file())
    return ", ".join(known) or NONE


def _judges(folder: Path, detector: str) -> list[str]:
    """Of the published weights that are here."""
    judges = Judges.here(folder, detector)
    published = judges.files()
    if weights.find(weights.INCEPTION, folder):
        published += [(file.name, file.sha256) for file in weights.declaration(weights.INCEPTION).files]
    if judges.identity:
        published.append((Path(face_descriptor.MODEL_FILE).name, face_descriptor.MODEL_SHA256))
    return [f"{name} {sha256[:HASH_CHARACTERS]}" for name, sha256 in published]
