"""`make screenshots`: each screen and trouble in each language at each size, in one folder, and what is wrong there."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from appliance.base.pins import kept_pin_from
from appliance.base.tokens import Role
from appliance.config.schema import Language
from tests.console.conftest import Bench
from tests.console.fakes import CONFIGURATION
from tests.console.first_box import FirstBox
from tests.console.test_panel import Panel
from tests.ports import pick_free_port
from tests.screens import scenes
from tests.screens.accessible import complaints_of
from tests.screens.first_scenes import BROUGHT, show_first
from tests.screens.image_scenes import show_images

_SIZES = ("800x480", "1024x600")
_NAMES = ("Müller^Anna", "山田^花子", "Doe^John")
_OPERATORS = "".join(f'[[operators]]\nname = "{name}"\npin = "{kept_pin_from("4711")}"\n' for name in _NAMES)
# It warns for the last two minutes: eight seconds lie between the question and the warning.
_IMPATIENT = "[panel]\nask_patient_seconds = 2.0\nclose_exam_seconds = 130.0\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(".screens"))
    parser.add_argument("--language", action="append", choices=[*Language], help="only this one; may be repeated")
    parser.add_argument("--size", action="append", choices=_SIZES, help="only this one; may be repeated")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        for language in given.language or Language:
            for size in given.size or _SIZES:
                complaints += _shoot_all(browser, str(language), size, given.out)
        browser.close()
    print(*complaints, sep="\n")
    pictures = len(list(given.out.glob("*.png")))
    print(f"{pictures} pictures in {given.out}, {len(complaints)} complaints")
    return 1 if complaints else 0


def _shoot_all(browser: Browser, language: str, size: str, out: Path) -> list[str]:
    found: list[str] = []

    def shooting(panel: Panel) -> scenes.Shoot:
        def shoot(name: str) -> None:
            panel.page.wait_for_timeout(150)
            panel.page.screenshot(path=out / f"{language}-{size}-{name}.png")
            found.extend(f"{language} {size} {name}: {one}" for one in complaints_of(panel.page))

        return shoot

    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory))
        try:
            panel = Panel(browser, bench, size)
            panel.speak(language)
            shoot = shooting(panel)
            scenes.show_worklist(bench, panel, shoot)
            scenes.show_choosing(bench, panel, shoot)
            scenes.show_exam(bench, panel, shoot)
            scenes.show_emergency(panel, shoot)
            scenes.show_outcome(bench, panel, shoot)
            panel.page.goto(bench.address(Role.SUPPORT))
            panel.page.wait_for_timeout(1500)
            shoot("support")
            panel.context.clear_cookies(name="token")
            panel.page.reload()
            shoot("stranger")
            panel.context.close()
        finally:
            bench.stop()
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as aside:
        bench = Bench(Path(directory))
        try:
            panel = Panel(browser, bench, size)
            panel.speak(language)
            show_images(bench, panel, shooting(panel), Path(aside))
            panel.context.close()
        finally:
            bench.stop()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), configuration=CONFIGURATION + _OPERATORS)
        try:
            panel = Panel(browser, bench, size)
            panel.speak(language)
            scenes.show_lock(panel, shooting(panel))
            panel.context.close()
        finally:
            bench.stop()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), configuration=CONFIGURATION + _IMPATIENT)
        try:
            panel = Panel(browser, bench, size)
            panel.speak(language)
            scenes.show_presence(panel, shooting(panel))
            panel.context.close()
        finally:
            bench.stop()
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as aside:
        box = FirstBox(Path(directory), BROUGHT.format(port=pick_free_port()))
        try:
            panel = Panel(browser, box, size)
            panel.is_on("choice")
            panel.speak(language)
            show_first(box, panel, shooting(panel), Path(aside))
            panel.context.close()
        finally:
            box.stop()
    print(f"{language} {size}: {len(found)} complaints", flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
