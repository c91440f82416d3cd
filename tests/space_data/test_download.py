"""Downloads: resumed where they broke off, ended where they have to, never left behind unchecked."""

import contextlib
import fcntl
import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from space_data import download
from space_data.errors import SpaceError

CONTENT = bytes(range(256)) * 40


class Server(http.server.ThreadingHTTPServer):
    """Gives ``CONTENT``: at /whole, in ranges; at /plain, whole whatever is asked; at /breaks, only 1000 bytes of it at a time;
    at /trickle a byte every 50 ms without end; at /silent nothing after the head; at /missing it is not there."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.done, self.asked = threading.Event(), list[tuple[str, str]]()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.asked.append((self.path, asked))
        begin = int(asked.removeprefix("bytes=").removesuffix("-") or 0) if self.path != "/plain" else 0
        if self.path == "/missing":
            return self.send_error(404)
        if begin > len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        if self.path in ("/whole", "/plain", "/breaks"):
            self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        if self.path in ("/whole", "/plain", "/breaks"):
            self.wfile.write(CONTENT[begin:][: 1000 if self.path == "/breaks" else None])
            return None
        while not self.server.done.wait(0.05):
            if self.path == "/trickle":
                with contextlib.suppress(OSError):
                    self.wfile.write(b"a")
        return None

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.done.set()
        server.shutdown()
        thread.join()


def right(path: Path) -> None:
    if path.read_bytes() != CONTENT:
        raise SpaceError(f"{path}: another file")


def fetch(server: Server, name: str, path: Path, n_bytes: int | None = len(CONTENT)) -> None:
    download.download(f"http://127.0.0.1:{server.server_port}/{name}", path, n_bytes, name, right)


def test_a_download_that_breaks_off_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.bin"
    for kept in (1000, 2000):
        with pytest.raises(SpaceError, match=f"cannot be fetched .*; {kept:,} bytes are kept, the same command goes on"):
            fetch(server, "breaks", path)
        assert not path.exists()
    fetch(server, "whole", path)
    assert path.read_bytes() == CONTENT and [file.name for file in path.parent.iterdir()] == ["x.bin"]
    assert [asked for _, asked in server.asked] == ["", "bytes=1000-", "bytes=2000-"]


def test_of_a_file_whose_size_is_not_declared_the_server_says_it(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"broke off after 1,000 of 10,240 bytes.*1,000 bytes are kept"):
        fetch(server, "breaks", tmp_path / "x.bin", n_bytes=None)
    fetch(server, "whole", tmp_path / "x.bin", n_bytes=None)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT and server.asked[-1] == ("/whole", "bytes=1000-")


def test_a_server_that_cannot_go_on_in_the_middle_begins_again(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SpaceError):
        fetch(server, "breaks", tmp_path / "x.bin")
    fetch(server, "plain", tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == CONTENT and server.asked[-1] == ("/plain", "bytes=1000-")


def test_more_than_there_is_begins_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".x.bin.download").write_bytes(bytes(len(CONTENT) + 5))
    fetch(server, "whole", tmp_path / "x.bin", n_bytes=None)
    assert (tmp_path / "x.bin").read_bytes() == CONTENT and [asked for _, asked in server.asked] == ["bytes=10245-", ""]


def test_what_the_check_refuses_is_deleted_also_after_going_on(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".x.bin.download").write_bytes(b"something else")
    with pytest.raises(SpaceError, match="another file"):
        fetch(server, "whole", tmp_path / "x.bin")
    assert not list(tmp_path.iterdir())
    fetch(server, "whole", tmp_path / "x.bin")


def test_a_file_that_is_there_in_full_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".x.bin.download").write_bytes(CONTENT)
    fetch(server, "whole", tmp_path / "x.bin")
    assert (tmp_path / "x.bin").read_bytes() == CONTENT and not server.asked


@pytest.mark.parametrize(
    ("name", "limit", "message", "kept"),
    [
        ("silent", {"SILENT_S": 0.3}, "timed out", False), ("trickle", {"LONGEST_S": 0.3}, "bytes in 0 s", True),
        ("trickle", {"MOST_BYTES": 5}, "more than the 5 bytes", False), ("missing", {}, "404", False),
    ],
)  # fmt: skip
def test_a_download_has_an_end(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: dict[str, float], message: str, kept: bool
) -> None:
    for constant, value in limit.items():
        monkeypatch.setattr(download, constant, value)
    began = time.monotonic()
    with pytest.raises(SpaceError, match=f"cannot be fetched .*{message}.*put the file into"):
        fetch(server, name, tmp_path / "x.bin", None)
    assert time.monotonic() - began < 10 and bool(list(tmp_path.iterdir())) == kept


def test_one_process_at_a_time(server: Server, tmp_path: Path) -> None:
    with (tmp_path / ".x.bin.download").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SpaceError, match="another process is fetching it"):
            fetch(server, "whole", tmp_path / "x.bin")
    fetch(server, "whole", tmp_path / "x.bin")
