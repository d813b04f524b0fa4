"""Which states are looked at: a seed names the moment of the power cut and how it treats what was not synced."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.crash.model import Cut, Link, Rename
from tests.crash.record import Note, Promise, Record, Side, Step, Tree
from tests.crash.recorder import CLIP, is_clip_ended

# The first rounds over all moments treat everything alike; those that follow tear each thing by itself.
_ROUNDS = (Cut.LOSE_ALL, Cut.KEEP_ALL, Cut.LOSE_NAMES, Cut.LOSE_DATA)


@dataclass(frozen=True, slots=True)
class Case:
    """What a power cut left, and what had been promised before it. `hospital` is what that has on its own disk.

    `after` are the seeds of the power cuts before: this one came in the middle of the recovery from the last of them.
    """

    seed: int
    position: int
    cut: Cut
    tree: Tree
    same: dict[str, str]
    lost: tuple[str, ...]
    notes: tuple[Note, ...]
    hospital: Tree
    after: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What `make crash` takes as its seed."""
        return "/".join(str(seed) for seed in (*self.after, self.seed))

    def key(self) -> bytes:
        """The same for two cases that nobody can tell apart."""
        digest = hashlib.sha256(
            repr(
                [sorted(self.same.items()), *((note.promise, note.subject, note.count) for note in self.notes)]
            ).encode()
        )
        for tree in (self.tree, self.hospital):
            for path, content in sorted(tree.items()):
                digest.update(f"{path} {-1 if content is None else len(content)}\n".encode())
                digest.update(content or b"")
        return digest.digest()


def place_of(seed: int, record: Record) -> tuple[int, Cut]:
    """The moment (a number of events) and the way of the power cut that `seed` names."""
    turn, position = divmod(seed, record.positions())
    return position, _ROUNDS[turn] if turn < len(_ROUNDS) else Cut.TEAR


class Player:
    """Plays a record forwards and cuts where it is asked to. Quick when it is asked in the order of the moments."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._rewind()

    def _rewind(self) -> None:
        self._position = 0
        self._systems = self._record.systems()
        self._notes = list(self._record.notes)
        self._hospital: Tree | None = None

    def _go(self, position: int) -> None:
        if position < self._position:
            self._rewind()
        for event in self._record.events[self._position : position]:
            if isinstance(event, Step):
                self._systems[event.side].apply(event.operation)
                if event.side is Side.HOSPITAL:
                    self._hospital = None
            else:
                self._notes.append(event)
        self._position = position

    def case(self, seed: int) -> Case:
        """The state that `seed` names."""
        position, cut = place_of(seed, self._record)
        self._go(position)
        if self._hospital is None:
            self._hospital = self._systems[Side.HOSPITAL].live_tree()
        state = self._systems[Side.BOX].cut(cut, random.Random(seed))
        notes = tuple(dict.fromkeys([*self._notes, *_clips_under_way(state.tree)]))
        after = self._record.after
        return Case(seed, position, cut, state.tree, state.same, state.lost, notes, self._hospital, after)

    def pending(self, position: int) -> int:
        """How much a power cut at `position` could lose."""
        self._go(position)
        return self._systems[Side.BOX].pending()


def _clips_under_way(tree: Tree) -> Iterator[Note]:
    """A note on each clip whose end was not written."""
    for path, content in tree.items():
        match = CLIP.fullmatch(path.rpartition("/")[2])
        if match is not None and content is not None and not is_clip_ended(content, int(match["offset"])):
            yield Note(Promise.CUT_SHORT, match["uid"])


def distinct_cases(record: Record, seeds: Iterable[int]) -> Iterator[Case]:
    """The cases of `seeds` in the order of their moments, without those that are the same as one before."""
    player, seen = Player(record), set()
    for seed in sorted(seeds, key=lambda one: (place_of(one, record)[0], one)):
        case = player.case(seed)
        key = case.key()
        if key not in seen:
            seen.add(key)
            yield case


def seeds_in(record: Record, turns: range) -> Iterator[int]:
    """Every moment of the record in each of these turns."""
    for turn in turns:
        yield from range(turn * record.positions(), (turn + 1) * record.positions())


def seed_of(position: int, cut: Cut, record: Record, choose: random.Random) -> int:
    """A seed that names this moment and this way."""
    turn = _ROUNDS.index(cut) if cut in _ROUNDS else choose.randrange(len(_ROUNDS), 1000)
    return turn * record.positions() + position


def sample_of(record: Record, count: int, choose: random.Random) -> list[int]:
    """`count` seeds: the hardest cut behind every promise, around every new name, and then any."""
    chosen = []
    for index, event in enumerate(record.events):
        if isinstance(event, Note):
            chosen.append(seed_of(index + 1, Cut.LOSE_ALL, record, choose))
        elif event.side is Side.BOX and isinstance(event.operation, Rename | Link):
            chosen.append(seed_of(index + 1, Cut.LOSE_DATA, record, choose))
            chosen.append(seed_of(min(index + 2, len(record.events)), Cut.LOSE_ALL, record, choose))
    chosen = list(dict.fromkeys(chosen))[:count]
    known = set(chosen)
    while len(chosen) < count:
        seed = choose.randrange(record.positions() * 12)
        if seed not in known:
            known.add(seed)
            chosen.append(seed)
    return chosen


def distinct_sample(record: Record, count: int, part: int, parts: int, choose: random.Random) -> list[int]:
    """One of `parts` equal parts of a sample of `count` different states; the parts have different moments."""
    # At some moments little is pending, so that many seeds there name the same few states.
    sample = sample_of(record, 4 * count, choose)
    by_moment = sorted(sample, key=lambda seed: (place_of(seed, record)[0], seed))
    size = len(by_moment) // parts
    different = {case.seed for case in distinct_cases(record, by_moment[part * size : (part + 1) * size])}
    return [seed for seed in sample if seed in different][: count // parts]


_AT_EACH_PLACE = 3


def seeds_near(record: Record, places: list[int], count: int, choose: random.Random) -> list[int]:
    """At most `count` seeds at and soon behind some of these events, and behind the first promise that follows each."""
    last = len(record.events)
    chosen: dict[int, None] = {}
    for distance in (None, 1, 2, 4, 8):
        for cut in (Cut.LOSE_ALL, Cut.LOSE_DATA, Cut.TEAR):
            for place in choose.sample(places, min(_AT_EACH_PLACE, len(places))):
                answered = (index + 1 for index in range(place, last) if isinstance(record.events[index], Note))
                position = next(answered, last) if distance is None else min(place + distance, last)
                chosen[seed_of(position, cut, record, choose)] = None
    return list(chosen)[:count]


_TORN_AT_ONE_PLACE = 300


def torn_seeds_at(record: Record, position: int, choose: random.Random) -> Iterator[int]:
    """Seeds of different torn states at one moment; where little is pending, of all."""
    seeds = [seed_of(position, Cut.TEAR, record, choose) for _ in range(_TORN_AT_ONE_PLACE)]
    yield from (case.seed for case in distinct_cases(record, dict.fromkeys(seeds)))


def write_tree(tree: Tree, same: Mapping[str, str], directory: Path) -> None:
    """Put `tree` below `directory`, which is made; `same` as in `Case`."""
    directory.mkdir(parents=True, exist_ok=True)
    for path, content in tree.items():
        if path in same:
            (directory / path).hardlink_to(directory / same[path])
        elif content is None:
            (directory / path).mkdir(exist_ok=True)
        else:
            (directory / path).write_bytes(content)
