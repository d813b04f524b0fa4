"""What the box conforms to, on the panel: pages of their own, without a patient, for whoever may look at the panel."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from appliance.base.pins import kept_pin_from
from appliance.base.tokens import Role
from tests.console.conftest import Bench
from tests.console.fakes import CONFIGURATION, make_items

OPERATOR = f'[[operators]]\nname = "Muster^Anna"\npin = "{kept_pin_from("4711")}"\n'


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("papers"), configuration=CONFIGURATION + OPERATOR)
    try:
        yield made
    finally:
        made.stop()


# Each report is made when it is first asked for, in some seconds of a processor that others may have.
PATIENT = httpx.Timeout(120.0)


def names_on(page: httpx.Response) -> list[str]:
    return re.findall(r'href="/papers/([a-z0-9-]+)"', page.text)


def test_ok__every_paper_is_there_and_shows_itself(bench: Bench) -> None:
    with bench.browser(Role.SUPPORT) as support:
        support.timeout = PATIENT
        listed = support.get("/papers")
        assert listed.status_code == 200 and 'href="/"' in listed.text
        assert names_on(listed) == [
            *("conformance-statement", "integration-statement", "mds2"),
            *("profile-prior-1993", "profile-ihe-swf-acquisition-modality", "profile-ihe-irwf-importer"),
        ]
        for name in names_on(listed):
            page = support.get(f"/papers/{name}")
            assert page.status_code == 200, name
            assert 'href="/papers"' in page.text and "<h1>" in page.text
            # The policy of the panel's pages lets no style stand in a page.
            assert "<style" not in page.text and not re.search(r"\sstyle=", page.text) and "<script" not in page.text
        assert support.get("/papers/paper.css").headers["content-type"].startswith("text/css")


def test_ok__the_list_is_in_the_language_that_was_chosen(bench: Bench) -> None:
    with bench.browser(Role.SUPPORT) as support:
        support.cookies.set("language", "de")
        page = support.get("/papers").text
    assert '<html lang="de"' in page and "Wozu diese Box konform ist" in page


def test_ok__no_paper_tells_of_a_patient_or_of_who_works_there(bench: Bench) -> None:
    names = [str(item.patient_name) for item in make_items()]
    with bench.browser(Role.SUPPORT) as support:
        support.timeout = PATIENT
        said = "".join(support.get(f"/papers/{name}").text for name in names_on(support.get("/papers")))
    assert names and not [one for one in names if one in said]
    assert "Muster" not in said and "scrypt:" not in said


def test_ok__the_panel_leads_there_once_it_is_unlocked(bench: Bench) -> None:
    with bench.browser() as panel:
        panel.timeout = PATIENT
        assert panel.get("/papers").status_code == 423
        assert panel.post("/api/unlock", json={"operator": "Muster^Anna", "pin": "4711"}).status_code == 200
        assert 'href="/papers"' in panel.get("/").text
        assert panel.get("/papers/conformance-statement").status_code == 200
        assert panel.post("/api/lock-now", json={}).status_code == 200


def test_fail__strangers_and_names_that_are_none(bench: Bench) -> None:
    assert httpx.get(f"{bench.url}/papers", timeout=20).status_code == 401
    with bench.browser(Role.SUPPORT) as support:
        for name in ("other", "..%2f..%2fetc", "conformance-statement.html"):
            assert support.get(f"/papers/{name}").status_code == 404
