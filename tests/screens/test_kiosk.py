"""The kiosk's own program under its compositor, with the token as systemd gives it, by presses of a pointer."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from PIL import Image

from tests.console.conftest import Bench, wait_until
from tests.console.fakes import CONFIGURATION
from tests.screens.kiosk import Kiosk, kiosk

_LIVE = "return Number(document.querySelector('[data-testid=preview]').dataset.frames) > 3"
_SAVED = "return document.querySelectorAll('[data-testid=saved]').length === {} && !document.querySelector('.expected')"


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose sockets' names are not too long, and which the kiosk's user may enter."""
    with TemporaryDirectory(prefix="kiosk-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _colours(shown: Kiosk) -> int:
    picture = Image.open(io.BytesIO(shown.photograph())).convert("RGB")
    return len(picture.getcolors(1 << 24))


def test_ok__the_main_job_in_the_kiosk(tmp_path: Path, short: Path) -> None:
    bench = Bench(tmp_path)
    try:
        with kiosk(short / "first", bench.url, bench.token()) as shown:
            shown.wait_until_ready()
            shown.is_on("worklist")
            shown.wait("return document.querySelectorAll('[data-testid=worklist-row]').length > 5", "the list is here")
            assert not shown.run("return location.href.includes('token')")
            shown.tap("worklist-row")
            shown.is_on("confirm")
            shown.tap("open-exam")
            shown.is_on("exam")
            shown.wait(_LIVE, "it is live")
            shown.tap("capture")
            shown.wait(_SAVED.format(1), "it is saved")
            assert _colours(shown) > 100  # text, a picture: not one colour
            shown.end_web_process()  # reloaded by the kiosk, in the middle of the exam
            shown.wait(f"{_SAVED.format(1)} && performance.now() < 60000", "the page is here again")
            shown.wait(_LIVE, "it is live again")
            shown.tap("capture")
            shown.wait(_SAVED.format(2), "it is saved too")
            shown.tap("end-exam")
            shown.is_on("ending")
            shown.tap("confirm-end")
            shown.is_on("worklist")
            shown.run("document.querySelector('[data-testid=notice-close]')?.click()")  # unless it has gone already
            shown.tap("show-queue")
            shown.tap("show-languages")
            shown.wait(
                "const one = document.querySelector('[data-language=ja]');"
                "if (one) one.dataset.testid = 'japanese'; return Boolean(one)",
                "the languages are offered",
            )
            shown.tap("japanese")
            shown.wait("return document.documentElement.lang === 'ja'", "it speaks Japanese")
        (exam_id,) = bench.facts.exam_ids()
        closed = bench.facts.closed(exam_id)
        assert closed is not None
        assert len(closed.instances) == 2
        bench.kill()
        bench.start()
        with kiosk(short / "second", bench.url, bench.token()) as shown:
            shown.wait_until_ready()
            shown.wait("return document.documentElement.lang === 'ja'", "it speaks Japanese still")
    finally:
        bench.stop()


def test_fail__the_kiosk_goes_nowhere_else(tmp_path: Path, short: Path) -> None:
    bench = Bench(tmp_path)
    try:
        with kiosk(short / "only", bench.url, bench.token()) as shown:
            shown.wait_until_ready()
            shown.is_on("worklist")
            other = f"http://localhost:{bench.port}/"
            shown.run(f"window.mark = 1; location.href = '{other}'; window.open('{other}')")
            shown.run("await new Promise((done) => setTimeout(done, 1500))")
            assert shown.run("return [location.origin, window.mark]") == [bench.url, 1]
            # No menu opens, which would take the next press for its own end.
            shown.tap("worklist-row", button=3)
            shown.run("await new Promise((done) => setTimeout(done, 300))")
            shown.tap("worklist-row")
            shown.is_on("confirm")
    finally:
        bench.stop()


def test_ok__dark_at_night_and_woken_by_a_press(tmp_path: Path, short: Path) -> None:
    bench = Bench(tmp_path, configuration=f'{CONFIGURATION}[panel]\nnight = "00:00-23:59"\ndark_seconds = 2.0\n')
    try:
        with kiosk(short / "night", bench.url, bench.token()) as shown:
            light = shown.directory / "backlight" / "lcd" / "bl_power"
            shown.wait_until_ready()
            shown.is_on("worklist")
            shown.wait("return !document.getElementById('dark').hidden", "it is dark")
            wait_until(lambda: light.read_text() == "4", "the light is off")
            wait_until(lambda: _colours(shown) == 1, "nothing is seen")
            shown.tap("dark")
            wait_until(lambda: light.read_text() == "0", "the light is on")
            shown.is_on("worklist")  # the press that woke it chose nobody
            shown.tap("worklist-row")
            shown.is_on("confirm")
            shown.tap("open-exam")
            shown.is_on("exam")
            shown.run("await new Promise((done) => setTimeout(done, 4000))")
            assert shown.run("return document.getElementById('dark').hidden")  # somebody is being examined
    finally:
        bench.stop()
