"""What is fetched is pinned, and what is missing is named."""

import re
import tomllib
from pathlib import Path

import pytest

from pipelines.cluster import parts, pins
from space_data.errors import SpaceError

ROOT = Path(__file__).resolve().parents[3]


def test_missing_tools_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    with pytest.raises(SpaceError, match=r"needs Java 17 .*openjdk-17.* and Apache Maven "):
        parts.check_tools()


def test_another_java_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, says in {"java": """echo 'openjdk version "21.0.2"' >&2""", "mvn": ""}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpaceError, match="21.0.2.*need Java 17"):
        parts.check_tools()


def test_a_part_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fail(into: Path) -> None:
        (into / "half").write_text("")
        raise SpaceError("the network is gone")

    with pytest.raises(SpaceError):
        parts._step(tmp_path / "part", "a part", fail)
    assert list(tmp_path.iterdir()) == []
    parts._step(tmp_path / "part", "a part", lambda into: (into / "file").write_text("x") and None)
    parts._step(tmp_path / "part", "a part", fail)  # it is there: not made again
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


@pytest.mark.parametrize("scheme", pins.STORE_SERVERS)
def test_every_package_of_a_stores_server_is_pinned(scheme: str) -> None:
    lines = [line for line in (parts.ASSETS / pins.STORE_SERVERS[scheme][1]).read_text().splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in lines)


def test_the_table_of_versions_says_what_is_fetched() -> None:
    page = (ROOT / "docs" / "scale.md").read_text()
    servers = [f"{package} {parts.pinned_version(scheme)}" for scheme, (package, _) in pins.STORE_SERVERS.items()]
    for word in (f"{pins.FLINK.name}=={pins.FLINK.version}", f"{pins.SPARK.name}=={pins.SPARK.version}", *servers):
        assert word in page
    for artifact in pins.JOB_SERVERS.values():
        assert f"org.apache.beam:{artifact}:{pins.JOB_SERVER}" in page


def test_the_worker_image_is_of_the_locked_beam() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    beam = re.search(r"^apache-beam==(\S+)", lock, re.M)
    assert beam and f"beam_python3.11_sdk:{beam[1]}" in (parts.ASSETS / "Dockerfile").read_text()
    assert "3.11" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
