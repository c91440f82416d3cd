"""DVC on our own ``dvc.yaml``: what is made again, compared and shared. The commands are stood in for; all else is as it is."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
METRICS = "reports/audit/metrics.json"
REASONS = "reports/audit/plots/reasons.csv"
STRICTER = "filter.speech_share.reject"

STAND_IN = '''"""Writes all that a stage declares; its content follows from the declared parameters and dependencies."""
import hashlib, json, pathlib, sys, yaml

stage = yaml.load(open("dvc.yaml"), yaml.CSafeLoader)["stages"][sys.argv[1]]
tree = yaml.load(open("params.yaml"), yaml.CSafeLoader)
chosen = []
for key in stage.get("params", []):
    value = tree
    for part in key.split("."):
        value = value[part]
    chosen.append(value)

def numbers(value):
    if isinstance(value, dict):
        return sum(map(numbers, value.values()))
    return value if isinstance(value, float | int) else 0

state = hashlib.sha256(json.dumps(chosen).encode())
for dep in stage["deps"]:
    path = pathlib.Path(dep.replace("${data.raw}", tree["data"]["raw"]))
    for file in sorted(p for p in [path, *path.rglob("*")] if p.is_file()):
        state.update(file.read_bytes())

def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)

for item in stage["outs"]:
    out = pathlib.Path(*item)
    put(out if out.suffix else out / "part", f"{out} {state.hexdigest()}")
figure = sum(map(numbers, chosen))
for item in stage.get("metrics", []):
    put(pathlib.Path(*item), json.dumps({"figure": figure}))
for item in stage.get("plots", []):
    (path, facts), = item.items()
    put(pathlib.Path(path), f'{facts["x"]},{facts["y"]}\\n{figure},{figure}\\n')
'''

Run = Callable[..., str]


def runner(folder: Path, settings: Path) -> Run:
    """A function that runs a program in ``folder``, with no configuration but the repository's, and gives what it prints."""
    person = {f"GIT_{who}_{what}": "nobody@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    dvc = {f"DVC_{name}_DIR": str(settings / name) for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")}
    quiet = {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    environment = {**os.environ, **person, **dvc, **quiet}

    def run(*command: str) -> str:
        start = [sys.executable, "-m", "dvc"] if command[0] == "dvc" else [command[0]]
        done = subprocess.run([*start, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    return run


def made(stdout: str) -> list[str]:
    """Stages that DVC ran."""
    return [line.split("'")[1] for line in stdout.splitlines() if line.startswith("Running stage")]


def in_git() -> set[str]:
    """Metrics and plots of all stages: small, and compared between commits."""
    return {path for stage in STAGES.values() for kind in ("metrics", "plots") for item in stage.get(kind, []) for path in item}


def outputs(folder: Path) -> dict[str, bytes]:
    """Everything that DVC keeps, by path."""
    outs = [folder / path for stage in STAGES.values() for item in stage["outs"] for path in item]
    files = [file for out in outs for file in [out, *out.rglob("*")] if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git would keep of this checkout, with stand-ins for the commands, run and committed once."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git repository, and DVC needs one")
    folder = tmp_path_factory.mktemp("dvc") / "repository"
    results = {"dvc.lock", *in_git()}
    for name in set(listing.stdout.split("\0")) - results - {""}:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    text = (folder / "dvc.yaml").read_text()
    assert text.count("cmd: python -m pipelines.stages ") == len(STAGES)
    (folder / "dvc.yaml").write_text(text.replace("cmd: python -m pipelines.stages ", f"cmd: {sys.executable} stand_in.py "))
    (folder / "stand_in.py").write_text(STAND_IN)
    run = runner(folder, folder.parent)
    run("git", "init", "-q", "-b", "main")
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "code")
    assert sorted(made(run("dvc", "repro"))) == sorted(STAGES)
    changed = {line[3:] for line in run("git", "status", "--porcelain", "-uall").splitlines()}
    assert changed == results, "DVC's outputs are ignored by git, its metrics and plots are not"
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "results")
    return folder


def test_one_change_is_made_and_compared(repository: Path) -> None:
    run = runner(repository, repository.parent)
    said = run("dvc", "repro")
    assert said.count("didn't change, skipping") == len(STAGES) and not made(said)

    before, wanted = yaml.safe_load((repository / "params.yaml").read_text())["filter"]["speech_share"]["reject"], 0.5
    assert made(run("dvc", "exp", "run", "-n", "stricter", "-S", f"{STRICTER}={wanted}", "filter")) == ["filter"]
    rows = {row["Experiment"] or row["rev"]: row for row in csv.DictReader(StringIO(run("dvc", "exp", "show", "--csv")))}
    assert float(rows["stricter"][STRICTER]) == wanted and float(rows["main"][STRICTER]) == before

    (parameters,) = json.loads(run("dvc", "params", "diff", "--json")).values()
    assert parameters == {STRICTER: {"old": before, "new": wanted, "diff": pytest.approx(wanted - before)}}
    figures = json.loads(run("dvc", "metrics", "diff", "--json"))
    assert figures.keys() == {METRICS} and figures[METRICS]["figure"]["diff"] == pytest.approx(wanted - before)
    plots = json.loads(run("dvc", "plots", "diff", "--json"))
    assert not plots.get("errors") and plots["data"].keys() == {path for path in in_git() if path.endswith(".csv")}
    for parts in plots["data"].values():
        assert {revision for part in parts for revision in part["revisions"]} >= {"workspace", "HEAD"}

    run("git", "checkout", "-q", "--", ".")
    run("dvc", "checkout")
    assert not made(run("dvc", "repro")), "the results of before come back from the cache"


def test_results_are_shared(repository: Path) -> None:
    run = runner(repository, repository.parent)
    kept = outputs(repository)
    run("dvc", "remote", "add", "--local", "-d", "-f", "shared", str(repository.parent / "remote"))
    run("dvc", "push")
    for folder in ("data", ".dvc/cache"):
        shutil.rmtree(repository / folder)
    run("dvc", "pull", "--force")
    assert outputs(repository) == kept

    # A colleague: the lock and the figures come with git, the data only from the remote.
    colleague = repository.parent / "colleague"
    run("git", "clone", "-q", str(repository), str(colleague))
    theirs = runner(colleague, repository.parent)
    assert not outputs(colleague) and json.loads((colleague / METRICS).read_text())
    theirs("dvc", "remote", "add", "--local", "-d", "shared", str(repository.parent / "remote"))
    theirs("dvc", "pull")
    assert outputs(colleague) == kept and not made(theirs("dvc", "repro"))


def test_a_clone_without_data_makes_all_of_it(repository: Path) -> None:
    clone = repository.parent / "clone"
    runner(repository, repository.parent)("git", "clone", "-q", str(repository), str(clone))
    run = runner(clone, repository.parent)
    assert sorted(made(run("dvc", "repro"))) == sorted(STAGES), "a committed lock skips nothing that is not there"
    assert outputs(clone) == outputs(repository) and run("git", "status", "--porcelain") == "", "same bytes: same lock"
