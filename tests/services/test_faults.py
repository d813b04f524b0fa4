"""Each fault on the hospital's menu, as the box bears it: what it says, what goes on meanwhile, and that nothing is
lost, doubled or leaked once the fault is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from appliance.exam.answers import WorklistAnswer, item_from_packed, read_list
from appliance.exam.exam import Outcome
from tests.forward.hospital_job import Job
from tests.peers import wait_until
from tests.services.fault_world import World, run_appliance, running_appliance, running_world


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("faults")) as world:
        # Once, so that everything that the process keeps is there when its descriptors and threads are counted; its
        # socket answers each question in a thread that stays for a while, two at a time.
        with ThreadPoolExecutor(2) as together:
            list(together.map(lambda path: world.ask(path, "POST"), ["/worklist/refresh"] * 2))
        world.end_exam(8, 300)
        world.calm_down()
        world.quiet = world.use()
        yield world


@pytest.fixture
def world(started: World) -> Iterator[World]:
    yield started
    started.calm_down()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("refuse-association", "refused the association for now: temporary congestion"),
        ("wrong-ae", "refused the association permanently, in its own word: the called AE title is not recognized"),
        ("no-context", "takes the association, but nothing"),
        ("stall", "did not complete the association"),
        ("stall:1000", "did not answer within 1.5 seconds"),
        ("stall:60000", "did not answer within 1.5 seconds"),
        ("abort-in-pdu", "ended the association, or the connection was lost"),
        ("cut-in-answer", "ended the association, or the connection was lost"),
        ("abort-in-store", "ended the association, or the connection was lost"),
        ("out-of-resources", "the archive is out of resources (status A700H)"),
    ],
)
def test_ok__an_archive_in_trouble_keeps_nobody_waiting_but_itself(world: World, fault: str, words: str) -> None:
    world.archive.set_faults(fault)
    job = world.end_exam(8, 300)
    # On a busy machine the first attempts may miss their short deadline, and say so.
    wait_until(lambda: words in world.findings().get("destination-trouble", ""), "the trouble is told")
    wait_until(lambda: words in world.ask("/status")["destinations"][0]["trouble"], "the archive's line says it too")
    wait_until(lambda: world.ask("/status")["destinations"][1]["trouble"] == "", "the other archive has none")
    goes_on_without_the_archive(world, job)
    world.calm_down()
    assert world.times_stored(job) == [1, 1]


def goes_on_without_the_archive(world: World, job: Job) -> None:
    wait_until(lambda: world.ask("/worklist/refresh", "POST")["answers"][0]["trouble"] == "", "the RIS answers")
    wait_until(lambda: world.states(job, "plain") == {"stored_only"}, "the other archive has it")
    wait_until(lambda: world.step(job) == "completed", "the RIS has heard")
    assert "committed" not in world.states(job) or len(world.states(job)) > 1
    assert len(list(Path(world.paths.state).glob("outbox/*.dcm"))) >= 1


def test_fail__an_answer_that_drips_is_given_up_and_said(world: World) -> None:
    """It moves, so that it has ten times its deadline; the association alone would take four minutes."""
    world.archive.set_faults("one-byte-a-second")
    job = world.end_exam(8, 300)
    wait_until(lambda: "fault one-byte-a-second strikes" in world.archive.log.read_text(), "it begins")
    goes_on_without_the_archive(world, job)
    wait_until(lambda: "destination-trouble" in world.findings(), "it is said")
    assert world.states(job) == {"pending"}
    world.calm_down()
    assert world.times_stored(job) == [1, 1]


def test_ok__a_slow_line_that_moves_is_no_trouble(world: World) -> None:
    """Half a megabyte at 100 kB a second takes more than three times the deadline."""
    world.archive.set_faults("slow-line:100000")
    job = world.end_exam(700)
    wait_until(lambda: world.states(job) == {"committed"}, "it gets there")
    assert world.times_stored(job) == [1]
    assert "destination-trouble" not in world.findings()
    assert "fault slow-line strikes" in world.archive.log.read_text()


def test_ok__a_refused_object_waits_for_a_person(world: World) -> None:
    world.archive.set_faults("refuse-store")
    job = world.end_exam()
    wait_until(lambda: world.states(job) == {"refused"}, "refused")
    assert "C000H" in world.said(job)
    wait_until(lambda: "object-refused" in world.findings(), "the finding")
    assert "archive refused" in world.findings()["object-refused"]
    world.archive.set_faults()
    assert world.ask("/retry", "POST", {"destination": "archive"})["retried"] == 1


def test_ok__a_warning_is_kept_and_shown(world: World) -> None:
    world.archive.set_faults("store-warning")
    job = world.end_exam()
    wait_until(lambda: world.states(job) == {"committed"}, "B000H is stored, and can be committed")
    assert "changed some elements" in world.said(job)
    assert world.times_stored(job) == [1]


@pytest.mark.parametrize(
    ("fault", "most"),
    [
        ("lose-objects=2", 2),  # 0112H: stored again
        ("no-commitment=1", 1),  # asked again, not stored again
        ("commitment-late:3=1", 1),  # it comes when another transaction has been opened
        ("commitment-twice", 1),
        ("commitment-partial=1", 1),
        ("commitment-fails:0110=1", 1),
        ("commitment-fails:0131=1", 1),
        ("commitment-fails:0213=1", 1),
        ("commitment-first", 1),
        ("commitment-unknown", 1),
        ("commitment-same-association", 1),
    ],
)
def test_ok__commitment_by_every_road(world: World, fault: str, most: int) -> None:
    """`most` is how often an object is stored at most: no more than its fate asks for."""
    before = world.archive.log.stat().st_size
    world.archive.set_faults(fault)
    job = world.end_exam(8, 16)
    wait_until(lambda: world.states(job) == {"committed"}, "committed in the end")
    assert min(world.times_stored(job)) >= 1
    assert max(world.times_stored(job)) == most
    said = world.archive.log.read_text()[before:]
    assert f"fault {fault.partition(':')[0].partition('=')[0]} strikes" in said


def test_ok__what_the_archive_says_it_has_not_is_stored_again(world: World) -> None:
    """The fault stays until that is seen: a failure counts only while its transaction is open, and on a busy machine
    a report may come after the deadline."""
    world.archive.set_faults("commitment-fails")
    job = world.end_exam(8, 16)
    wait_until(lambda: min(world.times_stored(job)) >= 2, "each is stored again")
    assert "committed" not in world.states(job)
    world.archive.set_faults()
    wait_until(lambda: world.states(job) == {"committed"}, "committed in the end")


def test_ok__a_conflict_of_classes_is_an_alarm(world: World) -> None:
    world.archive.set_faults("commitment-fails:0119")
    job = world.end_exam()
    wait_until(lambda: world.states(job) == {"refused"}, "refused")
    assert "under another class" in world.said(job)
    wait_until(lambda: "commitment-refused" in world.findings(), "the alarm")
    world.archive.set_faults()
    assert world.ask("/retry", "POST", {"destination": "archive"})["retried"] == 1


def test_ok__a_strangers_report_is_an_alarm_and_changes_nothing(world: World) -> None:
    world.archive.set_faults("commitment-stranger=1")
    job = world.end_exam()
    wait_until(lambda: "stranger-report" in world.findings(), "the alarm")
    assert "STRANGER" in world.findings()["stranger-report"]
    assert world.states(job) <= {"stored", "commit_requested", "committed"}
    wait_until(lambda: world.states(job) == {"committed"}, "the archive's own report counts")
    assert world.times_stored(job) == [1]


def refreshed(world: World) -> WorklistAnswer:
    """What the source said to a query that began after this was asked, however long that took."""
    asked = datetime.now().astimezone()

    def answer() -> WorklistAnswer:
        return read_list(world.paths.worklist, "ris")[0]

    world.ask("/worklist/refresh", "POST")
    wait_until(lambda: datetime.fromisoformat(answer().asked_at) >= asked, "the source was asked")
    return answer()


def test_ok__worklists_of_every_kind(world: World) -> None:
    def refresh() -> tuple[int, str]:
        answer = refreshed(world)
        return answer.count, answer.trouble

    usual, trouble = refresh()
    assert (usual, trouble) == (17, "")
    world.ris.set_faults("worklist-huge:200=1", "worklist-empty=2")
    assert refresh() == (0, "")
    assert refresh() == (0, "")
    assert refresh() == (200, "")
    world.ris.set_faults("worklist-without-charset=1")
    assert refresh() == (usual, "")
    items = [item_from_packed(entry.packed) for entry in read_list(world.paths.worklist, "ris")[1]]
    names = {item.patient_id: item.patient_name.alphabetic for item in items}
    assert names["HS-100234"] == "Müller^Jürgen^Søren^Dr."  # ISO_IR 100 is the source's default
    world.ris.set_faults("worklist-malformed")
    count, trouble = refresh()
    assert count >= usual
    assert trouble == ""
    world.ris.set_faults()
    assert refresh() == (usual, "")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("refuse-association", "refused the association"),
        ("stall", "did not complete the association"),
        ("stall:400", "did not answer within 1.5 seconds"),
        ("cut-in-answer", "connection was lost"),
        ("no-context", "takes the association, but nothing"),
    ],
)
def test_ok__a_worklist_that_is_down_keeps_its_last_answer(world: World, fault: str, words: str) -> None:
    before = len(read_list(world.paths.worklist, "ris")[1])
    world.ris.set_faults(fault)
    wait_until(lambda: words in refreshed(world).trouble, "its words are told")
    assert refreshed(world).count == before > 0
    wait_until(lambda: words in world.findings().get("worklist-trouble", ""), "and are a finding")
    world.ris.set_faults()
    wait_until(lambda: refreshed(world).trouble == "", "it answers again")


@pytest.mark.parametrize(
    ("fault", "state", "finding"),
    [
        ("steps-down", "due", "step-manager-trouble"),
        ("steps-refusing:0110", "due", "step-refused"),
        ("steps-slow:4", "due", "step-manager-trouble"),
    ],
)
def test_ok__a_performed_step_manager_in_trouble_delays_nothing_else(
    world: World, fault: str, state: str, finding: str
) -> None:
    world.ris.set_faults(fault)
    job = world.end_exam(outcome=Outcome.DISCONTINUED)
    wait_until(lambda: world.states(job) == {"committed"}, "the object does not wait for the step")
    wait_until(lambda: finding in world.findings(), "it is told")
    assert world.step(job) == state
    assert not job.settled.exists()
    world.ris.set_faults()
    wait_until(lambda: world.step(job) == "discontinued", "the manager has heard")
    assert world.ris_steps()[job.exam.steps[0].sop_instance_uid] == "DISCONTINUED"


def test_ok__several_faults_at_once(world: World) -> None:
    world.archive.set_faults("refuse-association=1", "abort-in-pdu=1", "out-of-resources=1", "lose-objects=1")
    world.ris.set_faults("steps-down=1", "worklist-empty=1")
    job = world.end_exam(8, 300, 16)
    wait_until(lambda: world.is_done(job), "done in spite of all of it")
    assert sorted(world.times_stored(job)) == [1, 1, 2]


def test_ok__the_command_test_finds_out_while_all_else_goes_on(world: World) -> None:
    """Through the real process and the real command line: a fault, a stall that others do not notice, all well."""
    good = run_appliance(world, "test", "archive", "--write", "--json")
    assert good.returncode == 0, good.stderr
    report = json.loads(good.stdout)
    assert report["is_good"]
    stored = {uid for name, uid in report["written"].items() if name.endswith(" at archive")}
    assert stored and stored <= set(world.archive.objects())
    uids = {one["sop_instance_uid"] for one in world.ask("/queue")["objects"]}
    assert not uids & set(report["written"].values()), "nothing of it is an exam's"

    before = world.archive.log.stat().st_size  # other tests let it strike too
    world.archive.set_faults("stall=1")
    with running_appliance(world, "test", "archive") as trying:
        wait_until(lambda: "fault stall strikes" in world.archive.log.read_text()[before:], "it is being tried")
        job = world.end_exam()
        wait_until(lambda: world.states(job) == {"committed"}, "an exam goes its way meanwhile")
        assert trying.wait(60) == 1
    world.ris.set_faults("refuse-association=1")
    refused = run_appliance(world, "echo", "performed-step")
    assert refused.returncode == 1
    assert "refused the association for now" in refused.stdout
    assert run_appliance(world, "echo", "performed-step").stdout.endswith("All is well.\n")
    nobody = run_appliance(world, "echo", "nobody")
    assert nobody.returncode == 1
    assert "There are: ris, archive, plain, performed-step." in nobody.stderr
