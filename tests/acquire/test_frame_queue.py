"""The queue before a flash that stalls: its two bounds, its order, and two threads at once."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from appliance.acquire.frame_queue import FrameQueue
from appliance.devices.frame import Encoding, Frame


def make_frame(size: int, sequence: int = 0) -> Frame:
    return Frame(bytes(size), Encoding.JPEG, 1, 1, 8, sequence, 0.0)


@given(
    most_frames=st.integers(1, 6),
    most_bytes=st.integers(1, 40),
    acts=st.lists(st.one_of(st.integers(1, 50), st.none()), max_size=40),
)
def test_ok__never_more_than_both_bounds_and_in_order(
    most_frames: int, most_bytes: int, acts: list[int | None]
) -> None:
    """A number offers a frame of so many bytes, None takes one."""
    queue = FrameQueue(most_frames, most_bytes)
    held: list[int] = []
    for act in acts:
        if act is None:
            taken = queue.take(0.0)
            assert (len(taken.data) if taken else None) == (held.pop(0) if held else None)
        elif queue.offer(make_frame(act)):
            held.append(act)
            assert len(held) <= most_frames
            assert sum(held) <= most_bytes or len(held) == 1
        else:
            assert len(held) == most_frames or sum(held) + act > most_bytes
        assert len(queue) == len(held)


def test_ok__what_one_thread_offers_another_takes() -> None:
    queue, taken = FrameQueue(8, 1000), list[int]()

    def take_all() -> None:
        while len(taken) < 500 and (frame := queue.take(30.0)) is not None:
            taken.append(frame.sequence)

    thread = threading.Thread(target=take_all)
    thread.start()
    for number in range(500):
        while not queue.offer(make_frame(1, number)):
            pass
    thread.join(60)
    assert taken == list(range(500))


def test_ok__whoever_waits_is_told_at_once() -> None:
    queue = FrameQueue(2, 10)
    timer = threading.Timer(0.05, queue.offer, (make_frame(1),))
    timer.start()
    assert queue.take(60.0) is not None
    timer.join(30)
    assert queue.take(0.0) is None
