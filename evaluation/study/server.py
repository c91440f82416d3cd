"""The page and its votes over HTTP, on this machine alone unless told otherwise.

    GET  /, /media/NAME       the page; videos, whole or a range of bytes
    GET  /status              {study}: tells the page that its answers can be stored here
    POST /session {rater}     a rater who begins (empty name) or comes back: {rater, list, answers}
    POST /vote {rater, trial, question, answer, seconds, plays}    {answer}: the one that stands, after it is on the disk

Files are looked up in a table made at the start, so that no path can lead anywhere else. Addresses of raters are not kept.
"""

import json
import re
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluation.study.database import UnknownRater, Vote, Votes
from evaluation.study.manifest import Answer, Study, StudyFolder
from space_data.errors import SpaceError, first_problem

BODY_BYTES = 4096
"""The largest body taken; a vote has some 250 bytes."""
CHUNK_BYTES = 1 << 18
IDLE_S = 30
"""A connection that says nothing for so long is closed."""
TYPES = {".html": "text/html; charset=utf-8", ".mp4": "video/mp4"}
POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
Name = Annotated[str, Field(max_length=64)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class SessionRequest(_Request):
    """Who comes."""

    rater: Name


class VoteRequest(_Request):
    """One answer."""

    rater: Name
    trial: Name
    question: Name
    answer: Answer
    seconds: Annotated[float, Field(ge=0, le=1e7)]
    plays: Annotated[int, Field(ge=0, le=1_000_000)]


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class StudyServer(ThreadingHTTPServer):
    """Serves one study until ``shutdown``; ``port`` 0 takes a free one (see ``url``)."""

    daemon_threads = True

    def __init__(self, folder: StudyFolder, host: str, port: int) -> None:
        self.study: Study = folder.read()
        self.files = _files(folder.page)
        self.trials = [{trial.id for trial in one.trials} for one in self.study.lists]
        self.votes = Votes(folder.votes, self.study)
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            self.votes.close()
            raise SpaceError(f"{host}:{port}: cannot listen ({error.strerror}; --port 0 takes a free port)") from error

    @property
    def url(self) -> str:
        """The page's address."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Browsers hang up in mid-file as they please; anything else is a defect of ours and is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """Stop listening and close the database."""
        super().server_close()
        self.votes.close()

    def session(self, body: bytes) -> dict[str, Any]:
        """Answer to ``POST /session``."""
        rater = _read(SessionRequest, body).rater
        session = self.votes.resume(rater) if rater else self.votes.begin()
        return {
            "rater": session.rater,
            "list": session.list_number,
            "answers": [
                {"trial": v.trial, "question": v.question, "answer": v.answer, "seconds": v.seconds, "plays": v.plays}
                for v in session.votes
            ],
        }

    def vote(self, body: bytes) -> dict[str, Any]:
        """Answer to ``POST /vote``."""
        asked = _read(VoteRequest, body)
        number = self.votes.list_of(asked.rater)
        if asked.trial not in self.trials[number] or asked.question not in self.study.lists[number].questions:
            raise Refusal(400, "no such trial or question in this rater's list")
        return {"answer": self.votes.add_vote(Vote(**asked.model_dump()))}


def _files(page: Path) -> Mapping[str, Path]:
    """What may be asked for: address -> file."""
    if not (page / "index.html").is_file():
        raise SpaceError(f"{page}: no index.html (need the folder that `space study build` made)")
    media = {f"/media/{path.name}": path for path in (page / "media").glob("*.mp4") if path.is_file() and not path.is_symlink()}
    return {"/": page / "index.html", "/index.html": page / "index.html", **media}


def _read(kind: type[Any], body: bytes) -> Any:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise Refusal(400, first_problem(error)) from error


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "study", ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        if self.path == "/status":
            return self._json(200, {"study": self.server.study.study_id})
        path = self.server.files.get(self.path.partition("?")[0])
        if path is None:
            return self._json(404, {"error": "no such file"})
        size = path.stat().st_size
        start, end, status = 0, size, 200
        if asked := self.headers.get("Range"):
            part = _range(asked, size)
            if part is None:
                return self._begin(416, "text/plain", 0, {"Content-Range": f"bytes */{size}"})
            (start, end), status = part, 206
        # A pair is shown once per question; its name is drawn anew with every study.
        extra = {"Accept-Ranges": "bytes", "Cache-Control": "no-cache" if path.suffix == ".html" else "private, max-age=86400"}
        if status == 206:
            extra["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._begin(status, TYPES[path.suffix], end - start, extra)
        if self.command == "GET":
            with path.open("rb") as file:
                file.seek(start)
                self._send(file, end - start)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        try:
            body = self._body()
            answers = {"/session": self.server.session, "/vote": self.server.vote}
            if self.path not in answers:
                raise Refusal(404, "no such address")
            self._json(200, answers[self.path](body))
        except Refusal as error:
            self._json(error.status, {"error": str(error)})
        except UnknownRater as error:
            self._json(404, {"error": str(error)})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,12}", length):
            self.close_connection = True
            raise Refusal(411, "need a Content-Length")
        if int(length) > BODY_BYTES:
            self.close_connection = True  # what is under way is not read
            raise Refusal(413, f"body of {length} bytes, need {BODY_BYTES} or fewer")
        body = self.rfile.read(int(length))
        # A page of another site cannot send JSON here without asking first, and nobody says yes.
        if self.headers.get_content_type() != "application/json":
            raise Refusal(415, "need application/json")
        return body

    def _json(self, status: int, content: Mapping[str, Any]) -> None:
        data = json.dumps(content).encode()
        self._begin(status, "application/json", len(data), {"Cache-Control": "no-store"})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _begin(self, status: int, kind: str, length: int, extra: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind, "Content-Length": str(length), "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", **extra,
        }.items():  # fmt: skip
            self.send_header(name, value)
        self.end_headers()

    def _send(self, file: Any, length: int) -> None:
        while length:
            data = file.read(min(length, CHUNK_BYTES))
            self.wfile.write(data)
            length -= len(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses of raters are nobody's business."""


def _range(header: str, size: int) -> tuple[int, int] | None:
    """Half-open range of bytes of ``bytes=a-b``, ``a-`` or ``-n`` within ``size``; None: none that there is."""
    found = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return (start, end) if start < end else None
