"""The panel's server under abuse, at every address that its code has: so that a new one cannot be forgotten."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import appliance.console
from appliance.base.tokens import Role
from tests.console.conftest import Bench
from tests.console.fakes import write_object

_CODE = "\n".join(path.read_text(encoding="utf-8") for path in Path(appliance.console.__file__).parent.glob("*.py"))
_ACTIONS = ("still", "clip/start", "clip/stop", "film", "cancel")
_FILLED = {"device": "endoscope", "uid": "1.2.3", "exam_id": "E000001", "number": "0", "number:int": "0"}
# Names that stand on the test's worklist and in its objects.
_OF_PATIENTS = re.compile("Yamada|山田|JP-000123|AR-77|4711|Klinik")


def _filled(path: str) -> str:
    return re.sub(r"\{\{?([^{}]+)\}?\}", lambda found: _FILLED[found[1]], path)


def _addresses() -> tuple[list[str], list[str]]:
    """What is asked for by GET, and what by POST."""
    asked = set(re.findall(r'[^_]Route\(\s*"(/api/[^"]+)"', _CODE)) - {"/api/alive"}
    told = set(re.findall(r'\bcommand\(\s*"(/api/[^"]+)"', _CODE))
    assert len(asked) >= 15
    assert len(told) >= 19
    commands = [f"/api/devices/endoscope/{action}" for action in _ACTIONS]
    return sorted(map(_filled, asked)), sorted([*map(_filled, told), *commands])


_GETS, _POSTS = _addresses()


@contextmanager
def _asking(bench: Bench, **headers: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=bench.url, headers=headers, timeout=20) as client:
        yield client


def test_fail__nothing_at_any_address_without_a_token(quiet_bench: Bench) -> None:
    with _asking(quiet_bench, **{"X-Appliance-Panel": "1"}) as stranger:
        answers = [stranger.get(path) for path in _GETS] + [stranger.post(path, json={}) for path in _POSTS]
    assert {answer.status_code for answer in answers} == {401}
    assert not any(_OF_PATIENTS.search(answer.text) for answer in answers)


def test_fail__another_sites_page_reaches_nothing(quiet_bench: Bench) -> None:
    """With the panel's cookie even: under another name, from another origin, and without the header."""
    cookie = f"token={quiet_bench.token()}"
    here = f"127.0.0.1:{quiet_bench.port}"
    foreign = [
        {"Cookie": cookie, "Host": "evil.example", "X-Appliance-Panel": "1"},
        {"Cookie": cookie, "Host": f"{here}.evil.example", "X-Appliance-Panel": "1"},
    ]
    for headers in foreign:
        with _asking(quiet_bench, **headers) as page:
            answers = [page.get(path) for path in ("/", *_GETS)] + [page.post(path, json={}) for path in _POSTS]
            assert {answer.status_code for answer in answers} == {421}
            assert not any(_OF_PATIENTS.search(answer.text) for answer in answers)
    for headers in (
        {"Cookie": cookie},
        {"Cookie": cookie, "X-Appliance-Panel": "1", "Origin": "http://evil.example"},
        {"Cookie": cookie, "X-Appliance-Panel": "1", "Origin": "null"},
    ):
        with _asking(quiet_bench, **headers) as page:
            assert {page.post(path, json={}).status_code for path in _POSTS} == {403}


def test_fail__support_is_given_no_picture_and_no_act(quiet_bench: Bench) -> None:
    uid = write_object(quiet_bench.spool, None, "endoscope", pixels=bytes(4096)).name.partition("~")[0]
    pictures = [f"/api/objects/{uid}/{part}" for part in ("frames/0", "thumbnail", "grays")]
    pictures += ["/api/devices/endoscope/preview", f"/api/devices/endoscope/thumbnail/{uid}"]
    with quiet_bench.browser() as panel:
        assert panel.get(pictures[0]).headers["content-type"] == "image/jpeg"
    with quiet_bench.browser(Role.SUPPORT) as support:
        assert {support.get(path).status_code for path in pictures} == {403}
        may = {"/api/worklist/refresh", "/api/queue/retry"}
        assert {support.post(path, json={}).status_code for path in set(_POSTS) - may} == {403}


@pytest.mark.parametrize(
    "path",
    [
        *("/static/../../../../etc/passwd", "/static/%2e%2e/%2e%2e/api.py", "/static/..%2fapi.py"),
        "/static//etc/passwd",
        *("/api/objects/..%2F..%2Fetc%2Fpasswd", "/api/objects/%2e%2e/thumbnail", "/api/objects/*/frames/0"),
        *("/api/devices/..%2F..%2Frun/preview", "/api/devices/endoscope/thumbnail/..%2F..%2Fx"),
        "/api/exam/../correction",
        *("/api/objects/1.2.3/frames/99999999999999999999", "/api/objects/1.2.3/frames/-1", "/%00", "/api/%ff"),
    ],
)  # fmt: skip
def test_fail__paths_that_lead_elsewhere(quiet_bench: Bench, path: str) -> None:
    """As they are, on the wire: a client that mends paths would ask for something else."""
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: token={quiet_bench.token()}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", quiet_bench.port), timeout=20) as line:
        line.sendall(head.encode("ascii"))
        answer = b"".join(iter(lambda: line.recv(65536), b"")).decode("utf-8", "replace")
    assert re.match(r"HTTP/1\.1 (400|404|405|409) ", answer), answer[:200]
    assert "root:" not in answer
    assert "Traceback" not in answer


BODIES = (
    b"[]", b"7", b"null", b"{", b"\xff\xfe", b'{"exam_id": 7}', b'{"uids": "all"}', b'{"uids": [7]}',
    b'{"exam_id": "../..", "uid": "../..", "uids": ["../.."], "reason": "quality", "device": "../.."}',
    b'{"exam_id": "E000001", "uid": "1.2", "uids": [], "reason": "", "device": "", "description": "", "key": ""}',
    b'{"operator": [], "pin": {}}', b'{"language": ["de"]}', b'{"language": "xx"}', b'{"keys": [1]}',
    b'{"patient": []}',
    b'{"exam_id": "\\u0000", "uid": "\\ud800", "uids": ["\\ud800"], "reason": "\\u0000", "text": "\\ud800"}',
    b'{"patient": {"name": "' + b"x" * 60_000 + b'"}}', json.dumps({"uids": ["1.2"] * 1001}).encode(),
    b"[" * 30_000, b'{"a":' * 10_000,
)  # fmt: skip


def test_fail__bodies_that_nobody_means(quiet_bench: Bench) -> None:
    """Each is answered with a sentence, none with a fault, and nothing of a patient comes of it."""
    # What does without any value is no abuse: to look, to touch, to lock, to ask for the list, an emergency.
    meant = {"/api/touch", "/api/worklist/refresh", "/api/emergency", "/api/queue/retry", "/api/lock-now"}
    meant |= {
        "/api/clock/trust",
        "/api/exam/go-on",
        "/api/devices/endoscope/cancel",
        "/api/devices/endoscope/clip/stop",
        "/api/worklist/search",
    }
    with quiet_bench.browser() as panel:
        for path in set(_POSTS) - meant:
            for body in BODIES:
                answer = panel.post(path, content=body, headers={"Content-Type": "application/json"})
                assert 400 <= answer.status_code < 500 or answer.status_code == 503, (path, body[:60], answer.text)
                assert answer.json()["error"]["sentence"], (path, body[:60])
    assert "Traceback" not in quiet_bench.log.read_text(encoding="utf-8")


def test_fail__bodies_that_are_too_long(quiet_bench: Bench) -> None:
    """Announced, or in pieces without a length: refused, and no more of it is read than may be."""
    with quiet_bench.browser() as panel:
        for path in _POSTS:
            assert panel.post(path, content=bytes(65_537)).status_code == 413

            def pieces() -> Iterator[bytes]:
                yield from (b" " * 4096 for _ in range(40))

            try:
                answer = panel.post(path, content=pieces())
            except httpx.TransportError:
                continue  # the connection was ended under it
            assert answer.status_code in (409, 413), (path, answer.text)
