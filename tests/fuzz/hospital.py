"""What comes from the network and is read by code of ours: messages, commitment reports, objects' headers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from appliance.dimse import commitment
from appliance.dimse.elements import NotAnObject, encode_elements, read_header
from appliance.dimse.transmit import Assembler, elements_of_command, find_command, store_command
from tests.fuzz.target import Target


def message(data: bytes) -> None:
    """P-DATA in any cut: messages, or a refusal."""
    assembler = Assembler(longest_data=1024)
    try:
        for one in assembler.add(data):
            assert len(one.data) <= 1024
            assert isinstance(one.comment, str)
            one.is_answer_to(one.status)
    except ValueError:
        pass
    try:
        elements_of_command(data)
    except ValueError:
        return


def _value(context: int, control: int, data: bytes) -> bytes:
    return (len(data) + 2).to_bytes(4, "big") + bytes((context, control)) + data


def message_seeds() -> list[bytes]:
    store = store_command(1, "1.2.840.10008.5.1.4.1.1.7", "1.2.3")
    return [
        _value(1, 3, store) + _value(1, 0, b"data") + _value(1, 2, b"more"),
        _value(3, 3, find_command(7, "1.2.840.10008.5.1.4.31")),
        store,
    ]


def report(data: bytes) -> None:
    """A stranger's N-EVENT-REPORT: references, or an exception that its handler answers with a failure."""
    syntax = ImplicitVRLittleEndian if data[:1] < b"\x80" else ExplicitVRLittleEndian
    try:
        information = commitment._information_in(BytesIO(data[1:]), syntax)
        said = commitment.report_from(information, "ARCHIVE")
    except Exception:  # noqa: BLE001 -- pydicom raises what its innermost line does; `hear` catches all of it
        return
    assert "" not in said.committed
    assert not said.committed & said.failed.keys()


def report_seeds() -> list[bytes]:
    information = Dataset()
    information.TransactionUID = "1.2.3"
    good, bad = Dataset(), Dataset()
    good.ReferencedSOPClassUID = bad.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    good.ReferencedSOPInstanceUID, bad.ReferencedSOPInstanceUID = "1.2.4", "1.2.5"
    bad.FailureReason = 0x0112
    information.ReferencedSOPSequence, information.FailedSOPSequence = Items([good]), Items([bad])
    return [
        bytes((mark,)) + (encode(information, is_implicit, True) or b"")
        for mark, is_implicit in ((0, True), (128, False))
    ]


def header(data: bytes) -> None:
    """An object's elements: read with every length checked, and written again as they were."""
    descriptor = os.memfd_create("object")
    try:
        os.write(descriptor, data)
        found = read_header(descriptor, 0)
    except NotAnObject:
        return
    finally:
        os.close(descriptor)
    encode_elements(found.elements, is_implicit=True)
    encode_elements(found.elements, is_implicit=False)


def header_seeds() -> list[bytes]:
    return [one[1:] for one in report_seeds()] + [
        b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff\x08\0\x50\x11UI\x04\x001.2\0"
        b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0\xe0\x7f\x10\0OW\0\0\x02\0\0\0ab"
    ]


def targets() -> Sequence[Target]:
    """What is read by pynetdicom's and pydicom's code is theirs; of it, only the report's is run here."""
    return (
        Target("dimse-message", message, message_seeds),
        Target("event-report", report, report_seeds, megabytes=96),
        Target("object-header", header, header_seeds),
    )
