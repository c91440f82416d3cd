"""Votes that stay, addresses that lead nowhere else, sessions that go on: the server, and its database through kills."""

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from made_up_study import KEY, TEXTS, plan, sources_in

from evaluation.study.build import build
from evaluation.study.database import Vote, Votes
from evaluation.study.manifest import Study, StudyFolder
from evaluation.study.questions import QUESTIONS
from evaluation.study.server import BODY_BYTES, StudyServer
from space_data.errors import SpaceError

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    root = tmp_path_factory.mktemp("served")
    build(root / "study", sources_in(root / "systems"), [("zebra", "quagga")], QUESTIONS[:2], TEXTS, plan(3, 2, 1), key=KEY)
    return StudyFolder(root / "study")


@pytest.fixture
def server(study_folder: StudyFolder) -> Iterator[StudyServer]:
    study_folder.votes.unlink(missing_ok=True)
    running = StudyServer(study_folder, "127.0.0.1", 0)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def ask(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any, bytes]:
    """Status, headers and body; ``path`` goes as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    text = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, path, text, headers if headers is not None else JSON if body is not None else {})
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, reply.headers, content


def begin(port: int, rater: str = "") -> dict[str, Any]:
    status, _, content = ask(port, "POST", "/session", {"rater": rater})
    assert status == 200, content
    return json.loads(content)


def vote_of(study: Study, session: dict[str, Any], number: int = 0, answer: str = "a") -> dict[str, Any]:
    own = study.lists[session["list"]]
    asked = [(trial.id, question) for trial in own.trials for question in own.questions]
    trial, question = asked[number]
    return {"rater": session["rater"], "trial": trial, "question": question, "answer": answer, "seconds": 3.5, "plays": 1}


def test_a_session_votes_and_goes_on_where_it_was(server: StudyServer) -> None:
    port = server.server_address[1]
    session = begin(port)
    assert re.fullmatch(r"[0-9a-f]{32}", session["rater"]) and session["answers"] == []
    for number, answer in enumerate(["a", "b", "tie"]):
        status, _, content = ask(port, "POST", "/vote", vote_of(server.study, session, number, answer))
        assert (status, json.loads(content)) == (200, {"answer": answer})
    again = begin(port, session["rater"])
    assert again["list"] == session["list"] and sorted(a["answer"] for a in again["answers"]) == ["a", "b", "tie"]
    assert len({begin(port)["list"] for _ in range(2)} | {session["list"]}) == 3, "the next raters get the other lists"


def test_the_first_answer_stands_however_often_it_is_sent(server: StudyServer) -> None:
    port = server.server_address[1]
    session = begin(port)
    with ThreadPoolExecutor(8) as threads:
        sent = [vote_of(server.study, session, 0, answer) for answer in "ab" * 8]
        told = list(threads.map(lambda vote: json.loads(ask(port, "POST", "/vote", vote)[2])["answer"], sent))
    assert len(set(told)) == 1
    assert [vote.answer for vote in server.votes.all()] == told[:1]


@pytest.mark.parametrize(
    "change",
    [
        {"answer": "c"}, {"answer": None}, {"trial": "x"}, {"trial": "x" * 65}, {"question": "expression"}, {"seconds": -1},
        {"seconds": "3"}, {"plays": 1.5}, {"plays": 10**9}, {"more": 1}, {"rater": 7},
    ],
)  # fmt: skip
def test_a_malformed_vote_is_refused_and_stores_nothing(server: StudyServer, change: dict[str, Any]) -> None:
    port = server.server_address[1]
    session = begin(port)
    status, _, content = ask(port, "POST", "/vote", vote_of(server.study, session) | change)
    assert status == 400 and "error" in json.loads(content)
    assert not server.votes.all()


def test_trials_of_another_list_and_strangers_are_refused(server: StudyServer) -> None:
    port = server.server_address[1]
    first, second = begin(port), begin(port)
    assert ask(port, "POST", "/vote", vote_of(server.study, second) | {"rater": first["rater"]})[0] == 400
    assert ask(port, "POST", "/vote", vote_of(server.study, first) | {"rater": "0" * 32})[0] == 404
    assert ask(port, "POST", "/session", {"rater": "0" * 32})[0] == 404
    assert not server.votes.all()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * (BODY_BYTES + 1), JSON, 413), (b"{", JSON, 400), (b"\xff", JSON, 400), (b"[]", JSON, 400), (b"", JSON, 400),
        (b'{"rater": ""}', {"Content-Type": "text/plain"}, 415), (b'{"rater": NaN}', JSON, 400),
        (b"[" * 4000, JSON, 400),
    ],
)  # fmt: skip
def test_bodies_that_are_none(server: StudyServer, body: bytes, headers: dict[str, str], status: int) -> None:
    port = server.server_address[1]
    assert ask(port, "POST", "/session", body, headers)[0] == status
    assert not server.votes.lists()


def test_a_body_without_a_length_is_refused(server: StudyServer) -> None:
    port = server.server_address[1]
    for extra in ("", "Transfer-Encoding: chunked\r\n", "Content-Length: -1\r\n", "Content-Length: 9999999999999\r\n"):
        with socket.create_connection(("127.0.0.1", port), 10) as raw:
            raw.sendall(f"POST /session HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
            assert raw.recv(12) == b"HTTP/1.1 411"


@pytest.mark.parametrize(
    "path",
    ["/../study.json", "/media/../../study.json", "/study.json", "/media/%2e%2e/%2e%2e/study.json", "//etc/passwd", "/media/",
     "/media/..%5cstudy.json", "/votes.sqlite", "/media/link.mp4", "/page/index.html", "/media\\x.mp4"],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(study_folder: StudyFolder, path: str) -> None:
    (study_folder.media / "link.mp4").symlink_to(study_folder.manifest)
    try:
        server = StudyServer(study_folder, "127.0.0.1", 0)
        assert path not in server.files
        threading.Thread(target=server.handle_request).start()
        assert ask(server.server_address[1], "GET", path)[0] == 404
        server.server_close()
    finally:
        (study_folder.media / "link.mp4").unlink()


def test_the_page_and_parts_of_its_media(server: StudyServer, study_folder: StudyFolder) -> None:
    port = server.server_address[1]
    status, headers, content = ask(port, "GET", "/?x=1")
    assert (status, content) == (200, (study_folder.page / "index.html").read_bytes())
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    media = next(iter(study_folder.media.iterdir()))
    whole, address = media.read_bytes(), f"/media/{media.name}"
    assert ask(port, "GET", address)[2] == whole and ask(port, "HEAD", address)[2] == b""
    parts = {"bytes=2-5": whole[2:6], "bytes=9-": whole[9:], "bytes=-4": whole[-4:], "bytes=0-99999999": whole}
    for asked, wanted in parts.items():
        status, headers, content = ask(port, "GET", address, headers={"Range": asked})
        assert (status, content) == (206, wanted)
        assert headers["Content-Range"].endswith(f"/{len(whole)}")
    for asked in ("bytes=99999999-", "bytes=5-2", "bytes=-", "bytes=a-b", "bytes=0-1,3-4", "bytes=-0"):
        assert ask(port, "GET", address, headers={"Range": asked})[0] == 416
    assert ask(port, "GET", "/status")[2] == json.dumps({"study": server.study.study_id}).encode()
    assert ask(port, "POST", "/other", {})[0] == 404 and ask(port, "PUT", "/vote", {})[0] == 501


def test_votes_of_another_study_are_not_mixed_in(study_folder: StudyFolder, tmp_path: Path) -> None:
    study = study_folder.read()
    Votes(tmp_path / "v.sqlite", study).close()
    with pytest.raises(SpaceError, match="need other"):
        Votes(tmp_path / "v.sqlite", study.model_copy(update={"study_id": "other"}))
    (tmp_path / "text").write_text("no database, only text that is long enough to be looked at" * 20)
    with pytest.raises(SpaceError, match="cannot be used as a database"):
        Votes(tmp_path / "text", study)
    with pytest.raises(SpaceError, match="no study here"):
        StudyFolder(tmp_path).read()


def test_the_journal_is_flushed_at_every_vote(study_folder: StudyFolder, tmp_path: Path) -> None:
    votes = Votes(tmp_path / "v.sqlite", study_folder.read())
    assert votes._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert votes._connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
    rater = votes.begin().rater
    votes.add_vote(Vote(rater, "t", "q", "a", 1.0, 1))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        votes.add_vote(Vote(rater, "u", "q", "c", 1.0, 1))
    assert len(votes.all()) == 1, "a failed vote leaves the database usable"
    votes.close()


def started(folder: StudyFolder) -> tuple[subprocess.Popen[str], int]:
    """``space study serve`` in a process of its own, and its port."""
    command = [sys.executable, "-m", "pipelines.cli", "study", "serve", str(folder.root)]
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
    assert found is not None
    return process, int(found[1])


@pytest.mark.usefixtures("heard_ctrl_c")
def test_no_acknowledged_vote_is_lost_to_kill_9(study_folder: StudyFolder) -> None:
    """Three raters vote at once; the server is killed in the middle; what was acknowledged is there, and all go on."""
    study_folder.votes.unlink(missing_ok=True)
    study = study_folder.read()
    process, port = started(study_folder)
    sessions = [begin(port) for _ in range(3)]
    acknowledged: list[tuple[str, str, str]] = []
    enough = threading.Event()

    def go(session: dict[str, Any]) -> None:
        for number in range(6):
            vote = vote_of(study, session, number, "tie")
            try:
                status, _, _ = ask(port, "POST", "/vote", vote)
            except (OSError, http.client.HTTPException):
                return
            if status == 200:
                acknowledged.append((vote["rater"], vote["trial"], vote["question"]))
            if len(acknowledged) >= 7:
                enough.set()

    threads = [threading.Thread(target=go, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    enough.wait(120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    for thread in threads:
        thread.join()
    process, port = started(study_folder)
    stored = set()
    for session in sessions:
        again = begin(port, session["rater"])
        assert again["list"] == session["list"]
        stored |= {(session["rater"], a["trial"], a["question"]) for a in again["answers"]}
    assert set(acknowledged) <= stored and len(acknowledged) >= 7
    for session in sessions:
        for number in range(6):
            assert ask(port, "POST", "/vote", vote_of(study, session, number, "b"))[0] == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0
    process, _ = started(study_folder)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0, "as a service is ended"
    votes = Votes(study_folder.votes, study)
    assert len(votes.all()) == 18
    assert {v.answer for v in votes.all() if (v.rater, v.trial, v.question) in stored} == {"tie"}, "the first answer stands"
    votes.close()
