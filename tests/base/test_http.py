"""One way to serve, one way to ask, one form of an error; and what a bad neighbour can do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from appliance.base import asking
from appliance.base.asking import Asker, Refused, Unreachable
from appliance.base.errors import ApplianceError
from appliance.base.http import MAX_BODY_BYTES, answer_appliance_error, read_json
from appliance.base.sockets import bind_unix


async def _echo(request: Request) -> Response:
    return JSONResponse({"body": await read_json(request)})


async def _refuse(_request: Request) -> Response:
    raise ApplianceError("It will not.", "Ask nicely.")


async def _unreachable(_request: Request) -> Response:
    raise Unreachable("The one behind me is gone.", "Wait.")


async def _drip(_request: Request) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(1200):
            yield b" "
            await asyncio.sleep(0.05)

    return StreamingResponse(drops(), media_type="application/json")


async def _flood(_request: Request) -> Response:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 65536
            await asyncio.sleep(0.01)

    return StreamingResponse(flood(), media_type="application/json")


async def _silence(_request: Request) -> Response:
    await asyncio.sleep(60)
    return JSONResponse({})


_ROUTES = [
    Route("/echo", _echo, methods=["POST"]),
    Route("/refuse", _refuse),
    Route("/unreachable", _unreachable),
    Route("/drip", _drip),
    Route("/flood", _flood),
    Route("/silence", _silence),
    Route("/list", lambda _request: JSONResponse([1])),
    Route("/words", lambda _request: PlainTextResponse("words")),
    Route("/deep", lambda _request: PlainTextResponse("[" * 100_000)),
    Route("/odd-error", lambda _request: JSONResponse({"error": "words"}, 409)),
    Route("/bare-error", lambda _request: JSONResponse({}, 500)),
    Route("/picture", lambda _request: Response(b"\xff\xd8\xff\xd9", media_type="image/jpeg")),
    Route("/no-picture", lambda _request: JSONResponse({"error": {"sentence": "None yet."}}, 503)),
    Route("/nothing", lambda _request: Response(status_code=204)),
]


@contextmanager
def _served(path: Path) -> Iterator[None]:
    app = Starlette(routes=_ROUTES, exception_handlers={ApplianceError: answer_appliance_error})
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    listener = bind_unix(path)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    path = tmp_path_factory.mktemp("http") / "s.sock"
    with _served(path):
        asker = Asker(path, "The neighbour")
        yield asker
        asker.close()


def test_ok__a_question_and_its_answer(asker: Asker) -> None:
    body = {"exam_id": "20261122-093015-4af1", "text": "山田"}
    assert asker.ask("POST", "/echo", body) == {"body": body}
    assert asker.ask("POST", "/echo") == {"body": {}}
    assert asker.ask_bytes("/picture") == b"\xff\xd8\xff\xd9"


@pytest.mark.parametrize(
    ("path", "kind", "sentence", "suggestion"),
    [
        ("/refuse", Refused, "It will not.", "Ask nicely."),
        ("/unreachable", Unreachable, "The one behind me is gone.", "Wait."),
        ("/no-picture", Unreachable, "None yet.", ""),
        ("/bare-error", Refused, "The neighbour refused with status 500.", ""),
        ("/odd-error", Refused, "The neighbour refused with status 409.", ""),
        ("/list", Refused, "The neighbour refused with status 200.", ""),
        ("/words", Unreachable, "The neighbour answered something that is not JSON (status 200).", ""),
        ("/deep", Unreachable, "The neighbour answered something that is not JSON (status 200).", ""),
        ("/no-such-path", Unreachable, "The neighbour answered something that is not JSON (status 404).", ""),
    ],
)
def test_fail__what_was_not_answered_well_is_said(
    asker: Asker, path: str, kind: type[ApplianceError], sentence: str, suggestion: str
) -> None:
    with pytest.raises(kind) as refused:
        asker.ask("GET", path)
    assert type(refused.value) is kind
    assert (refused.value.sentence, refused.value.suggestion) == (sentence, suggestion)


@pytest.mark.parametrize(
    ("path", "kind"), [("/no-picture", Unreachable), ("/refuse", Refused), ("/nothing", Unreachable)]
)
def test_fail__no_picture_is_an_error_too(asker: Asker, path: str, kind: type[ApplianceError]) -> None:
    with pytest.raises(kind):
        asker.ask_bytes(path)


@pytest.mark.parametrize("path", ["/silence", "/drip"])
def test_fail__an_answer_that_does_not_end_in_time(asker: Asker, path: str) -> None:
    before = time.monotonic()
    with pytest.raises(Unreachable, match="The neighbour does not"):
        asker.ask("GET", path, seconds=0.5)
    assert time.monotonic() - before < 20  # it is 0.5 on a quiet machine; without a limit it is for ever


def test_fail__an_answer_without_an_end_fills_no_memory(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MAX_ANSWER_BYTES", 1_000_000)
    with pytest.raises(Unreachable, match="does not come to an end"):
        asker.ask_bytes("/flood", seconds=60.0)


def test_fail__nobody_listens(tmp_path: Path) -> None:
    asker = Asker(tmp_path / "none.sock", "The console")
    with pytest.raises(Unreachable, match=r"The console does not answer\.") as refused:
        asker.ask("GET", "/status")
    assert "try again" in refused.value.suggestion
    asker.close()


def test_fail__somebody_listens_and_hangs_up(tmp_path: Path) -> None:
    listener = bind_unix(tmp_path / "s.sock")
    threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
    asker = Asker(tmp_path / "s.sock", "The console")
    with pytest.raises(Unreachable, match="does not answer"):
        asker.ask("POST", "/still", {}, seconds=10.0)
    asker.close()
    listener.close()


def test_ok__a_process_that_was_started_again_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    asker = Asker(path, "It")
    for _ in range(2):
        with _served(path):
            assert asker.ask("POST", "/echo", {"a": 1}) == {"body": {"a": 1}}
    asker.close()


def _send(path: Path, body: bytes) -> tuple[int, dict[str, Any]]:
    """A request with any body, by hand."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))
        lines = ["POST /echo HTTP/1.1", "Host: appliance", "Connection: close", f"Content-Length: {len(body)}", "", ""]
        client.sendall("\r\n".join(lines).encode() + body)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
    status, _, content = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(content)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "The request is not JSON."),
        (b"\xff\xfe", "The request is not JSON."),
        (b"[" * 60_000, "The request is not JSON."),
        (b"1" * 5000, "The request is not JSON."),
        (b"[]", "The request is not a JSON object."),
        (b"null", "The request is not a JSON object."),
        (b" " * (MAX_BODY_BYTES + 1), f"The request is larger than {MAX_BODY_BYTES} bytes."),
    ],
)
def test_fail__a_body_that_is_no_object_is_refused_in_a_sentence(tmp_path: Path, body: bytes, sentence: str) -> None:
    with _served(tmp_path / "s.sock"):
        assert _send(tmp_path / "s.sock", body) == (409, {"error": {"sentence": sentence, "suggestion": ""}})


_SERVICE = """
import signal, sys
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from appliance.base.errors import ApplianceError
from appliance.base.http import serve
from appliance.base.sockets import bind_unix
def refuse(request):
    raise ApplianceError("No.", "Yes.")
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: None)
app = Starlette(routes=[Route("/", lambda request: JSONResponse({"pid": 1})), Route("/refuse", refuse)])
serve(app, [bind_unix(Path(sys.argv[1]))], lambda: print("ready", flush=True))
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ok__a_service_is_ready_once_it_answers_and_ends_when_told(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "s.sock"
    with subprocess.Popen([sys.executable, "-c", _SERVICE, path], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "ready\n"
        asker = Asker(path, "It")
        assert asker.ask("GET", "/") == {"pid": 1}
        with pytest.raises(Refused, match="No"):
            asker.ask("GET", "/refuse")
        os.kill(service.pid, number)
        output, _ = service.communicate(timeout=30)
        asker.close()
    assert (output, service.returncode) == ("ended\n", 0)
