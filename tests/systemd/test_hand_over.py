"""The hand-over between users, proven with the real services: what each may do on the box, and what it may not."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.systemd.box import DEVICE, RUN, STATE, WalledBox, identity_of, walled_box
from tests.systemd.identity import read_accounts, read_values

_NO = "EACCES"
# Few tests and long tables: each worker that runs one of them makes a box of its own first.


@pytest.fixture(scope="module")
def box(mounts: None) -> Iterator[WalledBox]:
    with walled_box() as walled:
        yield walled


def test_ok__each_thing_has_the_owner_group_and_mode_of_its_wall(box: WalledBox) -> None:
    accounts = read_accounts()
    users = {number: name.removeprefix("appliance-") for name, number in accounts.users.items()} | {0: "root"}
    groups = {number: name.removeprefix("appliance-") for name, number in accounts.groups.items()} | {0: "root"}
    wanted = {
        "": "root appliance 750",
        "/config": "root root 755",
        "/config/active.toml": "root root 644",
        "/config/rules": "root root 755",
        "/config/changes": "root root 755",
        "/exams": "console objects 2750",
        "/exams/E*": "console objects 2750",
        "/exams/E*/*.json": "console objects 640",
        "/captured": "acquire console 750",
        f"/captured/{DEVICE}": "acquire objects 770",
        f"/captured/{DEVICE}/E*": "acquire objects 770",
        "/outbox": "console forward 2770",
        "/composed": "console console 750",
        "/discarded": "console console 750",
        "/kept": "forward console 2750",
        "/kept/*.dcm": "acquire objects 640",
        "/quarantine": "root objects 2770",
        "/settled": "forward console 2770",
        "/settled/E*.json": "forward console 640",
        "/worklist": "forward console 2750",
        "/worklist/*": "forward console 640",
        "/journal": "forward forward 700",
        "/journal/*": "forward objects 640",
        "/audit": "root forward 3770",
        "/audit/console": "console forward 2770",
        "/audit/forward": "forward forward 2770",
        "/audit/export": "export forward 2770",
        "/audit/cli": "admin forward 2770",
        "/audit/login": "admin forward 2770",
        "/audit/apply": "root forward 2770",
        f"/audit/acquire-{DEVICE}": "acquire forward 2770",
        "/audit/console/*": "console forward 640",
        "/audit/forward/*": "forward forward 640",
        "/audit/cli/*": "admin forward 640",
        f"/audit/acquire-{DEVICE}/*": "acquire forward 640",
    }
    assert box.call("admin", "command", "audit") == 0
    seen = set()
    for path, (uid, gid, mode) in box.call("root", "owners_below", STATE).items():
        place = path.removeprefix(STATE)
        patterns = [one for one in wanted if fnmatch(place, one) and one.count("/") == place.count("/")]
        assert patterns, f"nobody says whose {place} is"
        pattern = max(patterns, key=len)
        assert f"{users[uid]} {groups[gid]} {mode:o}" == wanted[pattern], place
        seen.add(pattern)
    assert seen == set(wanted)


# Who, what, where; what the kernel answers. `E*` is the exam, `*.dcm` its objects, each time the first.
_WALLS = [
    ("acquire", "read", "exams/E*/exam.json", "done"),
    ("acquire", "create in", f"captured/{DEVICE}/E*", "done"),
    ("acquire", "create in", "quarantine", "done"),
    ("acquire", "create in", "exams", _NO),
    ("acquire", "create in", "exams/E*", _NO),
    ("acquire", "write to", "exams/E*/exam.json", _NO),
    ("acquire", "create in", "outbox", _NO),
    ("acquire", "list", "outbox", _NO),
    ("acquire", "list", "kept", _NO),
    ("acquire", "list", "journal", _NO),
    ("acquire", "list", "settled", _NO),
    ("acquire", "list", "worklist", _NO),
    ("acquire", "list", "audit/console", _NO),
    ("acquire", "rename", "audit/console", "EPERM"),
    ("acquire", "write to", "config/active.toml", _NO),
    ("console", "create in", "exams/E*", "done"),
    ("console", "rename", f"captured/{DEVICE}/E*", "done"),
    ("console", "create in", f"captured/{DEVICE}/E*", "done"),
    ("console", "create in", "captured", _NO),
    ("console", "create in", "outbox", "done"),
    ("console", "read", "kept/*.dcm", "done"),
    ("console", "rename", "kept/*.dcm", _NO),
    ("console", "write to", "kept/*.dcm", _NO),
    ("console", "rename", "settled/E*.json", "done"),
    ("console", "write to", "settled/E*.json", _NO),
    ("console", "create in", "worklist", _NO),
    ("console", "list", "journal", _NO),
    ("console", "list", "audit/forward", _NO),
    ("forward", "read", "exams/E*/exam.json", "done"),
    ("forward", "create in", "exams/E*", _NO),
    ("forward", "list", "captured", _NO),
    ("forward", "list", f"captured/{DEVICE}", _NO),
    ("forward", "read", f"captured/{DEVICE}/E*/any", _NO),
    ("forward", "create in", "outbox", "done"),
    ("forward", "read", "kept/*.dcm", "done"),
    ("forward", "rename", "kept/*.dcm", "done"),
    ("forward", "write to", "kept/*.dcm", _NO),
    ("forward", "create in", f"audit/acquire-{DEVICE}", "done"),
    ("forward", "read", "audit/console/*", "done"),
    ("forward", "write to", "config/active.toml", _NO),
    *(
        case
        for who in ("export", "admin")
        for case in (
            (who, "read", "exams/E*/exam.json", "done"),
            (who, "list", f"captured/{DEVICE}/E*", "done"),
            (who, "list", "outbox", "done"),
            (who, "read", "kept/*.dcm", "done"),
            (who, "list", "quarantine", "done"),
            (who, "read", "settled/E*.json", "done"),
            (who, "read", "worklist/ris.json", "done"),
            (who, "read", "audit/console/*", "done"),
            (who, "list", "journal", _NO),
            (who, "create in", "exams/E*", _NO),
            (who, "create in", f"captured/{DEVICE}/E*", _NO),
            (who, "create in", "outbox", _NO),
            (who, "rename", "kept/*.dcm", _NO),
            (who, "write to", "kept/*.dcm", _NO),
            (who, "create in", "quarantine", _NO),
            (who, "rename", "settled/E*.json", _NO),
            (who, "create in", "audit/console", _NO),
        )
    ),
    ("kiosk", "list", ".", _NO),
    ("kiosk", "read", "exams/E*/exam.json", _NO),
    ("kiosk", "read", "kept/*.dcm", _NO),
    ("kiosk", "read", "config/active.toml", _NO),
]


def test_ok__the_walls_below_the_state_directory(box: WalledBox) -> None:
    exam = box.call("root", "find", "exams/E*")[0].rpartition("/")[2]
    wrong = []
    for who, act, where, answer in _WALLS:
        place = where.replace("E*", exam)
        path = box.call("root", "find", place)[0] if "*" in place else f"{STATE}/{place}"
        told = box.call(who, "attempt", act, path)
        if told != answer:
            wrong.append(f"{who} {act} {where}: {told} instead of {answer}")
    assert wrong == []


def test_ok__who_may_connect_to_whom(box: WalledBox) -> None:
    sockets = {"acquire": f"acquire-{DEVICE}", "forward": "forward", "console": "console"}
    everyone = ("acquire", "forward", "console", "admin", "apply", "export", "kiosk")
    tried = {
        who: {one: box.call(who, "attempt", "connect to", f"{RUN}/{one}/{name}.sock") for one, name in sockets.items()}
        for who in everyone
    }
    assert all(answer in ("done", _NO) for answers in tried.values() for answer in answers.values())
    assert {who: {one for one, answer in answers.items() if answer == "done"} for who, answers in tried.items()} == {
        "acquire": {"acquire"},
        "forward": {"forward"},
        "console": {"acquire", "forward", "console"},
        "admin": {"acquire", "forward", "console"},
        # Without an answer of both of its services no change of the configuration stands its self-test.
        "apply": {"acquire", "forward", "console"},
        "export": set(),
        "kiosk": set(),
    }


def test_ok__who_may_ask_for_another_configuration(box: WalledBox) -> None:
    """Support, and the program of a new box's first contact, which in turn the panel's server alone may ask."""
    groups = read_accounts().groups
    for name in ("apply", "first"):
        unit = f"appliance-{name}.socket"
        (path,), (group,), (mode,) = (read_values(unit, key) for key in ("ListenStream", "SocketGroup", "SocketMode"))
        box.call("root", "make_socket", path, groups[group], int(mode, 8))
    everyone = ("acquire", "forward", "console", "admin", "export", "kiosk", "first")
    may = {
        name: {who for who in everyone if box.call(who, "attempt", "connect to", f"{RUN}/{name}.sock") != _NO}
        for name in ("apply", "first")
    }
    assert may == {"apply": {"admin", "first"}, "first": {"console"}}


def test_ok__nobody_makes_anything_in_the_runtime_directory_of_another(box: WalledBox) -> None:
    places = ("acquire", "forward", "console", "")
    for who in ("acquire", "console", "forward", "export", "admin", "kiosk"):
        done = {one for one in places if box.call(who, "attempt", "create in", f"{RUN}/{one}") == "done"}
        assert done == {who} & set(places), who


def test_ok__support_sees_everything_that_it_is_asked_about(box: WalledBox) -> None:
    commands = (["exam", "list"], ["queue", "--all"], ["worklist"], ["audit"], ["clock", "trust"], ["clock"])
    assert {" ".join(words): box.call("admin", "command", *words) for words in commands} == {
        " ".join(words): 0 for words in commands
    }


def test_ok__what_is_discarded_and_what_is_made_anew_goes_through_every_wall(box: WalledBox) -> None:
    exam_id = box.call("admin", "open_exam")
    discarded, kept = (box.call("admin", "tap", DEVICE, "still", exam_id) for _ in range(2))
    box.call("admin", "discard", exam_id, discarded["sop_instance_uid"], "quality")
    box.call("admin", "describe", exam_id, DEVICE, "Stomach")
    assert box.call("admin", "close_exam", exam_id)["instances"] == 1
    box.wait_for("admin", "find", f"settled/{exam_id}.json")
    lying = box.call("admin", "find", f"discarded/{DEVICE}/{exam_id}/*.dcm")
    assert sorted(Path(path).name for path in lying) == sorted(one["file_name"] for one in (discarded, kept))
    assert box.call("root", "find", "composed/*") == []
    for who in ("acquire", "forward"):
        assert box.call(who, "attempt", "list", f"{STATE}/discarded") == _NO
    assert box.died() == [], box.logs()


def test_ok__the_export_reads_everything_and_writes_a_stick(box: WalledBox) -> None:
    wanted = [box.stick, "--actor", "maria", "--all", "--own-flash"]
    assert box.run("export", *wanted) == 0, box.logs()


def test_ok__no_two_processes_are_one_user_but_for_the_recovery() -> None:
    uids = [identity_of(who).uid for who in ("acquire", "console", "forward", "export", "admin", "kiosk", "root")]
    assert len(set(uids)) == len(uids)
    assert identity_of("recover") == identity_of("acquire")
