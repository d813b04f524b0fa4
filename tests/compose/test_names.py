"""A name in every character set, from the worklist's bytes into an object, as an independent program reads it there."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import write_file_meta_info

from appliance.compose.charset import set_character_set
from appliance.compose.encode import encode_dataset
from appliance.dimse.identifier import elements_from
from appliance.exam.item import WorklistItem
from tests.dimse.test_text import NAMES, item_of


@pytest.mark.parametrize(("terms", "written", "groups"), NAMES, ids=lambda one: one if isinstance(one, str) else "")
def test_ok__a_name_is_in_the_object_as_it_was_on_the_worklist(
    tmp_path: Path, terms: str, written: str, groups: tuple[str, ...]
) -> None:
    scheduled = Dataset.from_json(item_of(terms, bytes.fromhex(written)).elements)
    instance = Dataset()
    instance.PatientName = scheduled.PatientName
    set_character_set(instance, [scheduled])
    encoded = encode_dataset(instance)
    elements, findings = elements_from(encoded, False, "ISO_IR 6")
    assert (WorklistItem("", elements).patient_name.groups(), findings) == (groups, ())

    sets = [str(term or "") for term in elements.get("00080005", {}).get("Value", [])]
    if sets in (["GB18030"], ["GBK"]):
        # DCMTK 3.6.9 takes a backslash or a caret that is a character's second byte for a delimiter, and fails.
        assert _converted(encoded, sets[0]) == str(scheduled.PatientName).rstrip("= ")
    elif _is_dcmtks(sets):
        assert _dumped(tmp_path, encoded) == str(scheduled.PatientName).rstrip("= ")


def _converted(encoded: bytes, name_of_set: str) -> str:
    """The name's bytes, as the C library's iconv(1) reads them."""
    value = encoded.partition(b"\x10\0\x10\0PN")[2][2:]
    command = ["/usr/bin/iconv", "--from-code", name_of_set, "--to-code", "UTF-8"]
    done = subprocess.run(command, input=value, capture_output=True, check=True, timeout=60)
    return done.stdout.decode().rstrip("= ")


def _is_dcmtks(terms: list[str]) -> bool:
    """DCMTK converts by the C library, which lacks two sets, and wants two values where code extensions are named."""
    return not {"ISO 2022 IR 87", "ISO 2022 IR 159"}.intersection(terms) and not (
        len(terms) == 1 and terms[0].startswith("ISO 2022")
    )


def _dumped(directory: Path, encoded: bytes) -> str:
    """The name as dcmdump reads it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    content = io.BytesIO()
    content.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(content, meta)
    path = directory / "object.dcm"
    path.write_bytes(content.getvalue() + encoded)
    done = subprocess.run(
        ["/usr/bin/dcmdump", "-q", "+U8", "+P", "0010,0010", path], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode()
    return shown[shown.index("[") + 1 : shown.rindex("]")].rstrip("= ")
