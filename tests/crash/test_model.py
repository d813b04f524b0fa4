"""The model of a file system: what POSIX promises, as a table, and what it must never do, by any operations."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.crash.model import (
    ROOT,
    SECTOR,
    Cut,
    FileSystem,
    Link,
    Make,
    Operation,
    Rename,
    Resize,
    State,
    Sync,
    Unlink,
    Write,
)

A, B, F, G = 1, 2, 10, 11
NOW = 1 << 30
OLD, NEW = b"o" * 3 * SECTOR, b"n" * 3 * SECTOR


def played(*operations: Operation) -> FileSystem:
    """Directories A and B, durable and empty, and then these operations."""
    system = FileSystem()
    for operation in (
        Make(A, ROOT, "a", is_directory=True),
        Make(B, ROOT, "b", is_directory=True),
        Sync(ROOT, NOW),
        *operations,
    ):
        system.apply(operation)
    return system


def files_in(state: State) -> dict[str, bytes]:
    return {path: content for path, content in state.tree.items() if content is not None}


def states_of(system: FileSystem) -> list[dict[str, bytes]]:
    """Many torn states, each once."""
    found = []
    for number in range(400):
        files = files_in(system.cut(Cut.TEAR, random.Random(number)))
        if files not in found:
            found.append(files)
    return found


def durable_file(name: str = "x", content: bytes = OLD) -> list[Operation]:
    return [Make(F, A, name, is_directory=False), Write(F, 0, content), Sync(F, NOW), Sync(A, NOW)]


@pytest.mark.parametrize(
    ("operations", "left"),
    [
        ([Make(F, A, "x", is_directory=False), Write(F, 0, NEW)], {}),
        ([Make(F, A, "x", is_directory=False), Write(F, 0, NEW), Sync(F, NOW)], {}),
        ([Make(F, A, "x", is_directory=False), Write(F, 0, NEW), Sync(A, NOW)], {"a/x": b""}),
        (durable_file(), {"a/x": OLD}),
        ([*durable_file(), Write(F, 0, NEW)], {"a/x": OLD}),
        ([*durable_file(), Resize(F, 5)], {"a/x": OLD}),
        ([*durable_file(), Resize(F, 5), Sync(F, NOW)], {"a/x": OLD[:5]}),
        ([*durable_file(), Unlink(A, "x")], {"a/x": OLD}),
        ([*durable_file(), Unlink(A, "x"), Sync(A, NOW)], {}),
        ([*durable_file(), Rename(A, "x", A, "y")], {"a/x": OLD}),
        ([*durable_file(), Rename(A, "x", A, "y"), Sync(A, NOW)], {"a/y": OLD}),
        ([*durable_file(), Rename(A, "x", B, "y")], {"a/x": OLD}),
        ([*durable_file(), Rename(A, "x", B, "y"), Sync(B, NOW)], {"a/x": OLD, "b/y": OLD}),
        ([*durable_file(), Rename(A, "x", B, "y"), Sync(A, NOW)], {"b/y": OLD}),
        ([*durable_file(), Link(F, B, "y"), Sync(B, NOW)], {"a/x": OLD, "b/y": OLD}),
        ([*durable_file(), Link(F, A, "y"), Unlink(A, "x"), Sync(A, NOW)], {"a/y": OLD}),
        ([Make(3, A, "c", is_directory=True), Make(F, 3, "x", is_directory=False), Sync(F, NOW), Sync(3, NOW)], {}),
        # What was written while the sync was under way is not what it promised.
        ([*durable_file(), Write(F, 0, NEW), Sync(F, 7)], {"a/x": OLD}),
    ],
)
def test_ok__what_is_not_synced_is_lost(operations: list[Operation], left: dict[str, bytes]) -> None:
    assert files_in(played(*operations).cut(Cut.LOSE_ALL, random.Random(0))) == left


def test_ok__everything_kept_is_what_a_process_sees() -> None:
    system = played(*durable_file(), Write(F, SECTOR, NEW), Rename(A, "x", B, "y"), Make(G, A, "z", is_directory=False))
    assert system.cut(Cut.KEEP_ALL, random.Random(0)).tree == system.live_tree()
    assert system.live_tree()["b/y"] == OLD[:SECTOR] + NEW


def test_ok__names_kept_and_data_lost_is_the_empty_file_under_its_final_name() -> None:
    system = played(Make(F, A, ".part", is_directory=False), Write(F, 0, NEW), Rename(A, ".part", A, "x"))
    assert files_in(system.cut(Cut.LOSE_DATA, random.Random(0))) == {"a/x": b""}
    assert files_in(system.cut(Cut.LOSE_NAMES, random.Random(0))) == {}


def test_ok__a_write_is_torn_at_sectors_only() -> None:
    states = states_of(played(*durable_file(), Write(F, 0, NEW)))
    assert {state["a/x"] for state in states} == {
        b"".join(old[:SECTOR] for old in (one, two, three))
        for one in (OLD, NEW)
        for two in (OLD, NEW)
        for three in (OLD, NEW)
    }


def test_ok__a_lost_sector_of_a_file_that_grew_reads_as_zeros() -> None:
    states = states_of(played(*durable_file(content=b""), Write(F, 0, NEW)))
    contents = {state["a/x"] for state in states}
    assert bytes(SECTOR) + NEW[SECTOR:] in contents
    assert bytes(3 * SECTOR) in contents  # the size arrived, the data did not
    assert b"" in contents


def test_ok__a_later_write_may_arrive_before_an_earlier_one() -> None:
    states = states_of(played(*durable_file(), Write(F, 0, b"1" * SECTOR), Write(F, SECTOR, b"2" * SECTOR)))
    contents = {state["a/x"] for state in states}
    assert OLD[:SECTOR] + b"2" * SECTOR + OLD[2 * SECTOR :] in contents
    assert b"1" * SECTOR + OLD[SECTOR:] in contents


def test_ok__a_rename_between_directories_is_torn_into_both_names_never_into_none() -> None:
    states = states_of(played(*durable_file(), Rename(A, "x", B, "y")))
    assert sorted(map(sorted, states)) == [["a/x"], ["a/x", "b/y"], ["b/y"]]
    state = played(*durable_file(), Rename(A, "x", B, "y"), Sync(B, NOW)).cut(Cut.LOSE_ALL, random.Random(0))
    assert state.same == {"b/y": "a/x"}  # one file, not a copy


def test_ok__a_rename_inside_a_directory_is_one_change() -> None:
    states = states_of(played(*durable_file(), Rename(A, "x", A, "y")))
    assert sorted(map(sorted, states)) == [["a/x"], ["a/y"]]


def test_ok__a_rename_over_a_file_leaves_the_old_or_the_new() -> None:
    new: list[Operation] = [
        Make(G, A, ".part", is_directory=False),
        Write(G, 0, NEW),
        Sync(G, NOW),
        Rename(A, ".part", A, "x"),
    ]
    for state in states_of(played(*durable_file(), *new)):
        assert state["a/x"] in (OLD, NEW)


def test_ok__changes_of_one_name_come_in_their_order() -> None:
    again: list[Operation] = [Unlink(A, "x"), Make(G, A, "x", is_directory=False), Sync(G, NOW)]
    contents = [state.get("a/x") for state in states_of(played(*durable_file(), *again))]
    assert sorted(map(repr, contents)) == sorted(map(repr, [OLD, None, b""]))


def test_ok__renaming_a_name_to_another_of_the_same_file_does_nothing() -> None:
    system = played(*durable_file(), Link(F, B, "y"), Rename(A, "x", B, "y"))
    assert set(system.live_tree()) == {"a", "b", "a/x", "b/y"}


def test_fail__what_is_not_there() -> None:
    for wrong in (
        Unlink(A, "x"),
        Link(F, A, "x"),
        Rename(A, "x", A, "y"),
        Write(99, 0, b""),
        Make(F, 99, "x", is_directory=False),
    ):
        with pytest.raises(KeyError):
            played(wrong)
    with pytest.raises(KeyError):
        played(*durable_file(), Make(G, A, "x", is_directory=False))
    with pytest.raises(KeyError):
        played(*durable_file(), Link(F, A, "x"))


NAMES = st.sampled_from(["x", "y", "z"])
PLACES = st.sampled_from([A, B])


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Any operations that a process could have done, in order."""
    system, done, next_inode = played(), [], F
    for _ in range(draw(st.integers(0, 25))):
        names = [(parent, name) for parent in (A, B) for name in system._live[parent]]
        inodes = [inode for _, inode in system.paths()]
        kind = draw(st.sampled_from(["make", "write", "resize", "sync", "sync directory", "unlink", "rename", "link"]))
        operation: Operation | None = None
        parent, name = draw(PLACES), draw(NAMES)
        if kind == "make" and (parent, name) not in names:
            next_inode += 1
            operation = Make(next_inode, parent, name, is_directory=False)
        elif kind == "sync directory":
            operation = Sync(parent, NOW)
        elif inodes and kind in ("write", "resize", "sync"):
            inode = draw(st.sampled_from(inodes))
            length, offset = draw(st.integers(1, 1200)), draw(st.integers(0, 1200))
            letter = bytes([draw(st.integers(65, 90))])
            changed: dict[str, Operation] = {
                "write": Write(inode, offset, letter * length),
                "resize": Resize(inode, offset),
                "sync": Sync(inode, NOW),
            }
            operation = changed[kind]
        elif names and kind == "unlink":
            operation = Unlink(*draw(st.sampled_from(names)))
        elif names and kind == "rename":
            operation = Rename(*draw(st.sampled_from(names)), parent, name)
        elif inodes and kind == "link" and (parent, name) not in names:
            operation = Link(draw(st.sampled_from(inodes)), parent, name)
        if operation is not None:
            system.apply(operation)
            done.append(operation)
    return done


@given(histories(), st.integers(0, 1000), st.sampled_from(list(Cut)))
@settings(max_examples=80)
def test_ok__what_every_cut_of_any_history_keeps(history: list[Operation], seed: int, cut: Cut) -> None:
    system = played(*history)
    state = system.cut(cut, random.Random(seed))
    # The same seed gives the same state, and looking changes nothing.
    assert system.cut(cut, random.Random(seed)) == state
    # A file all of whose data is synced is whole wherever it lies.
    whole = {bytes(file.live) for file in system._files.values() if not file.pending}
    torn = [file for file in system._files.values() if file.pending]
    for content in files_in(state).values():
        assert content in whole or torn
    # Behind a sync of everything nothing can be lost.
    for operation in (*(Sync(inode, NOW) for _, inode in system.paths()), Sync(A, NOW), Sync(B, NOW)):
        system.apply(operation)
    assert system.pending() == sum(len(file.pending) for file in system._files.values())
    assert system.cut(cut, random.Random(seed)).tree == system.live_tree()


@given(histories(), st.integers(0, 1000))
@settings(max_examples=60)
def test_ok__no_file_loses_its_only_durable_name_unless_somebody_removed_it(
    history: list[Operation], seed: int
) -> None:
    kept = [operation for operation in history if not isinstance(operation, Unlink)]
    system = played()
    named: set[int] = set()
    replaced: set[int] = set()
    for operation in kept:
        try:
            before = dict(system._live[operation.new_parent]) if isinstance(operation, Rename) else {}
            system.apply(operation)
        except KeyError:
            continue
        if isinstance(operation, Rename) and operation.new_name in before:
            replaced.add(before[operation.new_name])
        named |= {inode for entries in system._durable.values() for inode in entries.values()}
    state = system.cut(Cut.TEAR, random.Random(seed))
    left = {path for path in state.tree if path not in ("a", "b")}
    files = len(left) - len(state.same)
    assert files >= len({inode for inode in named if inode in system._files} - replaced)
