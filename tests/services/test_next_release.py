"""What a newer release left is gone on with by this one: an update that is left again loses and repeats nothing.

No newer release is there yet, so this one's state is made into what it may become: formats only add (DESIGN's rule).
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from appliance.spool.tree import Spool
from tests.forward.hospital_job import Job
from tests.peers import wait_until
from tests.services.fault_world import World, _is_answering, running_world

_SEAL = re.compile(rb',\n "sha256": "[0-9a-f]{64}"\n}\Z')


def test_ok__the_state_of_a_newer_release_is_gone_on_with(tmp_path: Path) -> None:
    with running_world(tmp_path) as world:
        done = world.end_exam(8, 12)
        wait_until(lambda: world.is_done(done), "the first exam is done")
        world.forward.stop()
        waiting = _hand_over(world, "20261122-100000-0009")
        renew(world.paths.state, world.paths.journal)
        _add_keys(world.paths.configuration)
        world.forward.start(lambda: _is_answering(world))
        world.exams.append(waiting)
        wait_until(lambda: world.is_done(waiting), f"the one that waited is done: {world.queue(waiting)}")
        assert world.is_done(done)
        # None of them twice, and nothing was set aside.
        assert world.times_stored(done) == [1, 1] and world.times_stored(waiting) == [1]
        assert not list((world.paths.state / "quarantine").iterdir())
        assert set(world.findings()) == set()
        assert (world.paths.state / "invented" / "later").read_bytes() == b"?"


def _add_keys(configuration: Path) -> None:
    text = configuration.read_text()
    assert "[listener]" in text
    text = text.replace("[listener]", "[listener]\ninvented = true", 1)
    configuration.write_text(text + "\n[invented_later]\nkey = 1\n")


def _hand_over(world: World, exam_id: str) -> Job:
    """An exam that ends while nobody sends."""
    job = Job(Spool(world.paths.state), world.configuration, ("archive", "plain"), exam_id)
    job.capture("ultrasound", 8)
    job.close()
    job.hand_over()
    return job


def renew(state: Path, journal: Path) -> None:
    """The same state as a release would have left it that knows more."""
    for fact in sorted((state / "exams").glob("*/*.json")):
        _rewrite(fact, _sealed_with_more)
    for record in sorted((state / "settled").glob("*.json")):
        _rewrite(record, _with_more)
    (state / "invented").mkdir()
    (state / "invented" / "later").write_bytes(b"?")
    with closing(sqlite3.connect(journal)) as db, db:
        db.execute("CREATE TABLE invented (later TEXT)")
        db.execute("ALTER TABLE objects ADD COLUMN invented TEXT NOT NULL DEFAULT 'later'")
        db.execute("PRAGMA user_version = 999")


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _with_more(data: bytes) -> bytes:
    return json.dumps({"invented_later": [1, {}], **json.loads(data)}, indent=1).encode()


def _sealed_with_more(data: bytes) -> bytes:
    seal = _SEAL.search(data)
    assert seal, "each fact carries its digest"
    body = data[: seal.start()].replace(b"{", b'{\n "invented_later": [1, {}],', 1)
    return body + b',\n "sha256": "' + hashlib.sha256(body).hexdigest().encode() + b'"\n}'
