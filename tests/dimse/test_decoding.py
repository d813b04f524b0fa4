"""Objects for archives without JPEG: decoded while they are sent, the rest untouched; with real peers and readers."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from appliance.base.sockets import pick_free_port
from appliance.config.schema import Peer, TransferSyntax
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.decoding import (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    JPEG_BASELINE,
    JPEG_LS_LOSSLESS,
    UnsendableObject,
    open_recoded,
)
from appliance.dimse.elements import NotAnObject, read_file_meta
from appliance.dimse.store import UnreadableObject, contexts_for, storable_as, store_object
from appliance.dimse.transmit import Source
from tests.compose.world import (
    ALLOWED_ERROR,
    KINDS,
    Made,
    clip_frames,
    exam_on,
    full_entry,
    jpeg,
    make_clip,
    run,
)
from tests.peers import running, start_orthanc, start_storescp

CALLER = Caller("BRIDGE")
STILL, CLIP = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4"
ALL: tuple[TransferSyntax, ...] = (
    "jpeg-baseline",
    "jpeg-ls-lossless",
    "explicit-little-endian",
    "implicit-little-endian",
)
# What may differ from the object on flash, and nothing else.
_CHANGED = ("00280004", "00280006", "7FE00010")  # Photometric Interpretation, Planar Configuration, Pixel Data


def _peer(port: int) -> Peer:
    return Peer(ae_title="ARCHIVE", host="127.0.0.1", port=port, answer_seconds=20)


def _contexts(paths: list[Path], allowed: tuple[TransferSyntax, ...] = ALL) -> list[Context]:
    metas = [dcmread(path, stop_before_pixels=True).file_meta for path in paths]
    return contexts_for([(one.MediaStorageSOPClassUID, one.TransferSyntaxUID) for one in metas], allowed)


def _recoded(path: Path, syntax: str = EXPLICIT_LITTLE_ENDIAN) -> bytes:
    """The data set as it would be sent."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _all_of(open_recoded(descriptor, read_file_meta(descriptor), syntax))
    finally:
        os.close(descriptor)


def _all_of(source: Source) -> bytes:
    content = bytearray(source.length + 1)
    assert source.read_into([memoryview(content)]) == source.length, "the length that was said before"
    return bytes(content[:-1])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    """Every kind of object that the box makes, each with a UID of its own."""
    directory = tmp_path_factory.mktemp("made")
    objects = {}
    for number, (kind, make) in enumerate(KINDS.items()):
        one = make(directory / f"{number}.dcm", exam_on(full_entry()))
        dataset = dcmread(one.path)
        uid = one.path.read_bytes().count(dataset.SOPInstanceUID.encode())
        assert uid == 2
        # Same length: "2.25.1234567890" becomes "2.25.1234567801" and so on.
        one.path.write_bytes(one.path.read_bytes().replace(b"2.25.1234567890", b"2.25.12345678%02d" % number))
        objects[kind] = one
    return objects


@pytest.mark.parametrize(
    ("syntax", "allowed", "expected"),
    [
        (JPEG_BASELINE, ALL, [JPEG_BASELINE, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]),
        (JPEG_BASELINE, ALL[2:], [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]),
        (JPEG_BASELINE, ALL[:1], [JPEG_BASELINE]),
        (JPEG_LS_LOSSLESS, ALL, [JPEG_LS_LOSSLESS, EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]),
        (JPEG_LS_LOSSLESS, (*ALL[:1], *ALL[2:]), [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]),
        (EXPLICIT_LITTLE_ENDIAN, ALL, [EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN]),
        (EXPLICIT_LITTLE_ENDIAN, ALL[:1], []),
        (IMPLICIT_LITTLE_ENDIAN, ALL, [IMPLICIT_LITTLE_ENDIAN]),
        ("1.2.840.10008.1.2.4.90", ALL, ["1.2.840.10008.1.2.4.90"]),
    ],
)
def test_ok__what_is_proposed(syntax: str, allowed: tuple[TransferSyntax, ...], expected: list[str]) -> None:
    assert storable_as(STILL, syntax, allowed) == [Context(STILL, (one,)) for one in expected]


def test_ok__contexts_are_proposed_once() -> None:
    contexts = contexts_for([(STILL, JPEG_BASELINE), (STILL, EXPLICIT_LITTLE_ENDIAN), (CLIP, JPEG_BASELINE)], ALL)
    assert len(contexts) == len(set(contexts)) == 6


@pytest.mark.parametrize(
    ("accepts", "syntax"),
    [("+x=", EXPLICIT_LITTLE_ENDIAN), ("+xi", IMPLICIT_LITTLE_ENDIAN)],
    ids=["explicit", "implicit"],
)
def test_ok__storescp_without_jpeg_gets_every_kind(
    tmp_path: Path, made: dict[str, Made], accepts: str, syntax: str
) -> None:
    paths = [one.path for one in made.values()]
    with running(start_storescp(tmp_path / "scp", "--max-pdu", "4096", accepts=accepts)) as scp:
        bodies = []
        for _again in range(2):
            with open_association(_peer(scp.port), CALLER, _contexts(paths)) as association:
                for path in paths:
                    assert store_object(association, path).code == 0
            received = {dcmread(one).SOPInstanceUID: one for one in (tmp_path / "scp").iterdir()}
            bodies.append({uid: one.read_bytes() for uid, one in received.items()})
            shutil.copytree(tmp_path / "scp", tmp_path / "received", dirs_exist_ok=True)
        assert bodies[0] == bodies[1], "a retry sends the same bytes"
    assert len(received) == len(paths)
    for kind, one in made.items():
        sent = dcmread(one.path)
        got_at = tmp_path / "received" / received[sent.SOPInstanceUID].name
        got = dcmread(got_at)
        assert got.file_meta.TransferSyntaxUID == syntax
        said = run("dciodvfy", "-new", got_at)
        errors = [line for line in (said.stdout + said.stderr).splitlines() if "Error" in line]
        assert not [line for line in errors if ALLOWED_ERROR not in line], kind
        _check_attributes(sent, got)
        _check_pixels(one.path, got, tmp_path)


def _check_attributes(sent: Dataset, got: Dataset) -> None:
    assert got.SOPInstanceUID == sent.SOPInstanceUID
    assert got.get("LossyImageCompression") == sent.get("LossyImageCompression")
    if sent.file_meta.TransferSyntaxUID == JPEG_BASELINE:
        assert got.LossyImageCompression == "01", "what is lost is lost"
        assert (got.PhotometricInterpretation, got.get("PlanarConfiguration")) == (
            ("RGB", 0) if sent.SamplesPerPixel == 3 else ("MONOCHROME2", None)
        )
    else:
        assert got.PixelData == sent.PixelData or sent.file_meta.TransferSyntaxUID == JPEG_LS_LOSSLESS
        assert got.PhotometricInterpretation == sent.PhotometricInterpretation
    left, right = sent.to_json_dict(), got.to_json_dict()
    for tag in _CHANGED:
        left.pop(tag, None)
        right.pop(tag, None)
    assert left == right


def _check_pixels(path: Path, got: Dataset, directory: Path) -> None:
    """Against DCMTK's decoder."""
    decoded = directory / "dcmtk.dcm"
    syntax = dcmread(path).file_meta.TransferSyntaxUID
    program = {JPEG_BASELINE: "dcmdjpeg", JPEG_LS_LOSSLESS: "dcmdjpls"}.get(syntax, "dcmconv")
    assert run(program, path, decoded).returncode == 0
    theirs = dcmread(decoded)
    assert theirs.PhotometricInterpretation == got.PhotometricInterpretation
    kind = np.uint8 if got.BitsAllocated == 8 else np.uint16
    count = got.Rows * got.Columns * got.SamplesPerPixel * int(got.get("NumberOfFrames", 1))
    ours_values = np.frombuffer(got.PixelData, kind)[:count].astype(int)
    theirs_values = np.frombuffer(theirs.PixelData, kind)[:count].astype(int)
    apart = np.abs(ours_values - theirs_values)
    if syntax != JPEG_BASELINE:
        assert not apart.any()
    # Two decoders: IDCT and the upsampling of chrominance may round otherwise.
    assert apart.max() <= 6, apart.max()
    assert apart.mean() < 0.6, apart.mean()


def test_ok__orthanc_without_jpeg(tmp_path: Path, made: dict[str, Made]) -> None:
    paths = [made[kind].path for kind in ("clip", "still, JPEG 4:2:2", "film")]
    with running(start_orthanc(tmp_path / "orthanc", box_port=pick_free_port(), takes_jpeg=False)) as orthanc:
        with open_association(_peer(orthanc.port), CALLER, _contexts(paths)) as association:
            assert not [one for one in association.accepted_contexts if one.transfer_syntax[0] == JPEG_BASELINE]
            for path in paths:
                assert store_object(association, path).code == 0
        stored = orthanc.stored()
        for path in paths:
            received = tmp_path / "received.dcm"
            received.write_bytes(orthanc.file(stored[dcmread(path).SOPInstanceUID]))
            _check_attributes(dcmread(path), dcmread(received))
            _check_pixels(path, dcmread(received), tmp_path)


@pytest.mark.parametrize(
    ("kind", "syntax", "accepts"),
    [("clip", JPEG_BASELINE, None), ("film, JPEG-LS", JPEG_LS_LOSSLESS, "+xt")],
)
def test_ok__an_archive_with_jpeg_gets_the_object_as_it_lies(
    tmp_path: Path, made: dict[str, Made], kind: str, syntax: str, accepts: str | None
) -> None:
    path = made[kind].path
    with running(start_storescp(tmp_path / "scp", **({"accepts": accepts} if accepts else {}))) as scp:
        with open_association(_peer(scp.port), CALLER, _contexts([path])) as association:
            assert store_object(association, path).code == 0
    (received,) = (tmp_path / "scp").iterdir()
    assert dcmread(received).file_meta.TransferSyntaxUID == syntax
    assert dcmread(received).PixelData == dcmread(path).PixelData


def test_fail__a_film_that_cannot_be_decoded(tmp_path: Path, made: dict[str, Made]) -> None:
    content = bytearray(made["film, JPEG-LS"].path.read_bytes())
    at = content.rindex(b"\xff\xd8")
    content[at + 2 : at + 12] = bytes(10)
    (tmp_path / "film.dcm").write_bytes(content)
    with pytest.raises(UnsendableObject, match="takes no JPEG-LS, and the film cannot be decoded"):
        _recoded(tmp_path / "film.dcm")


# -- any legal encapsulation (PS3.5 A.4)


def _items(*contents: bytes) -> bytes:
    return b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in contents)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


def _halves(frame: bytes) -> list[bytes]:
    middle = len(frame) // 4 * 2
    return [frame[:middle], _padded(frame[middle:])]


def _offsets(frames: list[list[bytes]]) -> list[int]:
    offsets, at = [], 0
    for fragments in frames:
        offsets.append(at)
        at += sum(8 + len(one) for one in fragments)
    return offsets


def _encapsulated(clip: Path, target: Path, frames: list[list[bytes]], table: bytes, before: bytes = b"") -> Path:
    """`clip` with other fragments and tables; `before`: elements just before Pixel Data."""
    content = clip.read_bytes()
    at = content.index(bytes.fromhex("e07f1000") + b"OB\0\0" + b"\xff" * 4)
    fragments = [one for frame in frames for one in frame]
    pixels = content[at : at + 12] + _items(table, *fragments) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    target.write_bytes(content[:at] + before + pixels)
    return target


def test_ok__every_encapsulation_gives_the_same_bytes(tmp_path: Path, made: dict[str, Made]) -> None:
    clip, frames = made["clip"].path, clip_frames()
    expected = _recoded(clip)
    whole, halves = [[_padded(one)] for one in frames], [_halves(one) for one in frames]
    basic = struct.pack("<3I", *_offsets(halves))
    extended = struct.pack("<HH2sHI3Q", 0x7FE0, 0x0001, b"OV", 0, 24, *_offsets(halves))
    lengths = struct.pack("<HH2sHI3Q", 0x7FE0, 0x0002, b"OV", 0, 24, *(sum(map(len, one)) for one in halves))
    for number, (fragments, table, before) in enumerate(
        [
            (whole, b"", b""),
            (whole, struct.pack("<3I", *_offsets(whole)), b""),
            (halves, basic, b""),
            (halves, b"", extended + lengths),
            (halves, b"", b""),  # only JPEG's own marks tell where a frame begins
        ]
    ):
        path = _encapsulated(clip, tmp_path / f"{number}.dcm", fragments, table, before)
        assert _recoded(path) == expected, number


def test_ok__a_still_in_many_fragments(tmp_path: Path, made: dict[str, Made]) -> None:
    still = made["still, JPEG 4:2:2"]
    path = _encapsulated(still.path, tmp_path / "still.dcm", [_halves(still.pixels)], b"")
    assert _recoded(path) == _recoded(still.path)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda frames: frames[:2], "2 frames where 3"),
        (lambda frames: [[b"\0\0"], *frames, frames[0]], "before the first frame"),
    ],
    ids=["too few", "not JPEG"],
)
def test_fail__fragments_that_are_not_those_of_the_frames(
    tmp_path: Path, made: dict[str, Made], spoil: Callable[[list[list[bytes]]], list[list[bytes]]], what: str
) -> None:
    frames = spoil([[_padded(one)] for one in clip_frames()])
    path = _encapsulated(made["clip"].path, tmp_path / "clip.dcm", frames, b"")
    with pytest.raises(NotAnObject, match=what):
        _recoded(path)


def test_fail__cut_off_anywhere(tmp_path: Path, made: dict[str, Made]) -> None:
    content = made["still, JPEG gray"].path.read_bytes()
    path = tmp_path / "cut.dcm"
    for length in range(0, len(content) - 1, 23):
        path.write_bytes(content[:length])
        with pytest.raises((NotAnObject, UnsendableObject)):
            _recoded(path)


# -- what cannot be sent


def _with_frames(clip: Path, target: Path, count: int) -> Path:
    content = clip.read_bytes()
    at = content.index(bytes.fromhex("28000800") + b"IS")
    (width,) = struct.unpack_from("<H", content, at + 6)
    target.write_bytes(content[: at + 8] + str(count).encode().ljust(width) + content[at + 8 + width :])
    return target


def test_fail__what_would_pass_4_gib_is_refused_in_words(tmp_path: Path, made: dict[str, Made]) -> None:
    most = (2**32 - 2) // (48 * 32 * 3)
    path = _with_frames(made["clip"].path, tmp_path / "clip.dcm", most + 1)
    with running(start_storescp(tmp_path / "scp", accepts="+x=")) as scp:
        with open_association(_peer(scp.port), CALLER, _contexts([path])) as association:
            with pytest.raises(UnsendableObject, match=r"takes no JPEG.* 4\.3 GB.*more than the 4 GiB"):
                store_object(association, path)
            assert association.attend(0), "and the association is as good as before"
    # One frame less would fit, if the frames were there.
    with pytest.raises(NotAnObject, match="3 frames"):
        _recoded(_with_frames(path, path, most))


def test_fail__a_frame_that_cannot_be_decoded(tmp_path: Path, made: dict[str, Made]) -> None:
    frames = [[_padded(one)] for one in clip_frames()]
    first = _encapsulated(made["clip"].path, tmp_path / "first.dcm", [[b"\xff\xd8\xff\xd9"], *frames[1:]], b"")
    last = _encapsulated(made["clip"].path, tmp_path / "last.dcm", [*frames[:2], [frames[2][0][:300]]], b"")
    with running(start_storescp(tmp_path / "scp", accepts="+x=")) as scp:
        with open_association(_peer(scp.port), CALLER, _contexts([first])) as association:
            with pytest.raises(UnsendableObject, match="frame 1 cannot be decoded"):
                store_object(association, first)
            assert association.attend(0), "nothing had left"
        with pytest.raises(UnsendableObject, match="frame 3 cannot be decoded"):
            with open_association(_peer(scp.port), CALLER, _contexts([last])) as association:
                store_object(association, last)
        assert not association.is_established, "half a message had left"
    assert not list((tmp_path / "scp").glob("*2.25*")), "the archive keeps nothing of it"


def test_fail__a_frame_of_another_size(tmp_path: Path, made: dict[str, Made]) -> None:
    frames = [[_padded(one)] for one in clip_frames()]
    frames[0] = [_padded(jpeg(width=40, is_odd=False))]
    path = _encapsulated(made["clip"].path, tmp_path / "clip.dcm", frames, b"")
    with pytest.raises(UnsendableObject, match="Frame 1 is not as its object's header says"):
        _recoded(path)


def test_fail__a_damaged_object_leaves_the_association_usable(tmp_path: Path, made: dict[str, Made]) -> None:
    good = made["clip"].path
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(good.read_bytes()[:-200])
    with running(start_storescp(tmp_path / "scp", accepts="+x=")) as scp:
        with open_association(_peer(scp.port), CALLER, _contexts([good])) as association:
            with pytest.raises(UnreadableObject, match=r"bad\.dcm cannot be sent"):
                store_object(association, bad)
            assert store_object(association, good).code == 0


def test_ok__a_long_clip_is_decoded_in_flat_memory(tmp_path: Path) -> None:
    frame = jpeg(1280, 720, is_odd=False)
    short = make_clip(tmp_path / "short.dcm", exam_on(full_entry()), [frame] * 2).path
    long = make_clip(tmp_path / "long.dcm", exam_on(full_entry()), [frame] * 60).path
    program = """
import re, sys
from pathlib import Path
from appliance.config.schema import Peer
from appliance.dimse.association import Caller, Context, open_association
from appliance.dimse.store import store_object

def high_water():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

peer = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=int(sys.argv[1]), answer_seconds=60)
contexts = [Context("1.2.840.10008.5.1.4.1.1.7.4", ("1.2.840.10008.1.2.1",))]
with open_association(peer, Caller("BRIDGE"), contexts) as one:
    assert store_object(one, Path(sys.argv[2])).code == 0
    before = high_water()
    assert store_object(one, Path(sys.argv[3])).code == 0
    print(high_water() - before)
"""
    with running(start_storescp(tmp_path / "scp", "--ignore", accepts="+x=")) as scp:
        done = subprocess.run(
            [sys.executable, "-c", program, str(scp.port), str(short), str(long)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 4096, f"60 frames of 2.8 MB grew it by {int(done.stdout)} kB over what 2 take"
