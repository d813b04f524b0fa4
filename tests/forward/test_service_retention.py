"""The forward process lets go of what is committed, and sweeps what a power cut left, as real processes do."""

from __future__ import annotations

import shutil

from appliance.exam.audit_record import Act, list_segments, read_segment
from tests.forward.test_service import Box, box, hospital
from tests.peers import Peer, wait_until

__all__ = ["box", "hospital"]


def test_ok__what_is_committed_leaves_the_box_and_is_never_sent_again(box: Box, hospital: Peer) -> None:
    box.add_destination("archive", hospital.port, "HOSPITAL")
    box.text += "[retention]\ncommitted_days = 0\nunproven_days = 0\n"
    job = box.job("archive")
    for _ in range(2):
        job.capture()
    job.close()
    job.hand_over()
    leftovers = [box.spool.settled / ".part-7-a", box.paths.worklist / ".part-7-b", box.paths.audit / "forward/.part-7"]
    for path in leftovers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    box.start()
    assert not any(path.exists() for path in leftovers)
    wait_until(job.settled.exists, "the exam is settled")
    assert box.process is not None
    box.process.stop()
    shutil.rmtree(box.paths.journal.parent)
    box.start()  # its first look at what is kept comes at once, by a journal that knows only what the files say
    wait_until(lambda: set(box.states("archive").values()) == {"expired"}, "its objects have expired")
    assert job.kept() == set()
    told = [one["destinations"]["archive"] for one in box.ask("/queue")["objects"]]
    assert {one["attempts"] for one in told} == {0}
    assert all(one["committed_at"] for one in told)
    assert not box.findings() & {"object-missing", "fact-unreadable", "outbox-unknown"}
    records = [line.record for path in list_segments(box.paths.audit / "forward") for line in read_segment(path)[0]]
    assert {uid for one in records if one.act is Act.OBJECT_EXPIRED for uid in one.objects} == job.uids
