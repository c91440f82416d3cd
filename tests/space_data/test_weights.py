"""Declared weights: found only if they are what the declaration says."""

import contextlib
import hashlib
import http.server
import threading
import time

import pytest

from space_data import weights
from space_data.errors import SpaceError


@pytest.fixture
def declared_toy(monkeypatch, tmp_path):
    content = b"a network"
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    entry = weights.Declaration(
        file="toy.bin", url=source.as_uri(), bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(), licence="none", used_for="tests",
    )  # fmt: skip
    monkeypatch.setattr(weights, "declared", lambda: {"toy": entry})
    return source, tmp_path / "folder"


def test_every_declaration_is_complete():
    for entry in weights.declared().values():
        assert entry.licence and entry.used_for
        assert len(entry.sha256) == 64 and entry.bytes or entry.sha256 in entry.file, "whole, or as the file's name has it"
        assert len(entry.sha256) >= 10 and set(entry.sha256) <= set("0123456789abcdef")
        assert entry.url.startswith("https://")


def test_fetch_verifies_and_keeps(declared_toy, caplog):
    _, folder = declared_toy
    assert weights.find("toy", folder) is None
    path = weights.fetch("toy", folder)
    assert path.read_bytes() == b"a network"
    assert weights.find("toy", folder) == path and "in full" not in caplog.text


def test_another_file_under_that_name_is_refused(declared_toy):
    source, folder = declared_toy
    source.write_bytes(b"A network")
    with pytest.raises(SpaceError, match="SHA-256"):
        weights.fetch("toy", folder)
    assert weights.find("toy", folder) is None, "nothing may be left behind"


def test_unreachable_url_says_what_to_do(declared_toy):
    source, folder = declared_toy
    source.unlink()
    with pytest.raises(SpaceError, match="put the file into"):
        weights.fetch("toy", folder)


def test_unknown_name_lists_the_known():
    with pytest.raises(SpaceError, match="inception-2015-12-05"):
        weights.declaration("inceptoin")


def test_absence_names_the_command(declared_toy):
    _, folder = declared_toy
    assert "python -m space_data.weights toy" in weights.absence("toy", folder)


def test_leading_digits_of_a_hash_are_compared_too(declared_toy, monkeypatch, caplog):
    source, folder = declared_toy
    whole = weights.declaration("toy")
    monkeypatch.setattr(
        weights, "declared", lambda: {"toy": whole.model_copy(update={"sha256": whole.sha256[:10], "bytes": None})}
    )
    assert weights.fetch("toy", folder).read_bytes() == b"a network"
    assert "weights toy: not verified in full: only the first 10 of 64 digits" in caplog.text
    source.write_bytes(b"another network")
    weights.find("toy", folder).unlink()
    with pytest.raises(SpaceError, match="SHA-256"):
        weights.fetch("toy", folder)


@pytest.fixture
def server(monkeypatch):
    """Address of a loopback server that gives a byte every 50 ms at ``/trickle``, and nothing after the head at ``/silent``."""
    done = threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            while not done.wait(0.05):
                if self.path == "/trickle":
                    with contextlib.suppress(OSError):
                        self.wfile.write(b"a")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as slow:
        thread = threading.Thread(target=slow.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{slow.server_port}"
        done.set()
        slow.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "limit", "message"),
    [
        ("silent", {"SILENT_S": 0.3}, "timed out"), ("trickle", {"LONGEST_S": 0.3}, "bytes in 0 s"),
        ("trickle", {"MOST_BYTES": 5}, "more than the 5 bytes"),
    ],
)  # fmt: skip
def test_a_download_has_an_end(declared_toy, monkeypatch, server, path, limit, message):
    _, folder = declared_toy
    endless = weights.declaration("toy").model_copy(update={"url": f"{server}/{path}", "bytes": None})
    monkeypatch.setattr(weights, "declared", lambda: {"toy": endless})
    for name, value in limit.items():
        monkeypatch.setattr(weights, name, value)
    began = time.monotonic()
    with pytest.raises(SpaceError, match=f"cannot be fetched .*{message}.*put the file into"):
        weights.fetch("toy", folder)
    assert time.monotonic() - began < 10 and not list(folder.iterdir())
