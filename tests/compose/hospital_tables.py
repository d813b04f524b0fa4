"""The tables worklist → image → performed step, transcribed by hand from facts and standard, never from the product.

Sources: IHE RAD TF-2 Appendix A, PS3.17 Annex J, PS3.4 Table F.7.2-1, the MESA modality tests, dcm4che's N-CREATE and
N-SET IODs. Tags as `gggg,eeee`; a path inside the worklist's step is written `0040,0100>gggg,eeee`.

A cell is HOW/TYPE. HOW: `copy` the value of the worklist's attribute in column *from*; `=X` that text; `0` present
and empty; `gen` present with a value of the box's own; `-` not present. TYPE 1, 2, 3 as PS3.5 7.4 has it: without a
value in the worklist, `copy/2` is present and empty, `copy/3` is absent; `copy or X` has X then.

Several entries in one exam: FIRST is the patient's and the same in all; SAME is the value that stands in all entries,
or none ("same / empty"); ALL is the items of all of them, each once. Where the tables leave a choice, the comment says
what was decided.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST, SAME, ALL = "first", "same", "all"


@dataclass(frozen=True)
class Line:
    """One attribute: what the image has, what N-CREATE, and whether N-SET may have it."""

    tag: str
    name: str
    source: str
    gather: str
    image: str
    create: str
    is_settable: bool = False


# A. Patient and visit. Nothing of it may stand in an N-SET.
PATIENT = (
    Line("0010,0010", "Patient's Name", "0010,0010", FIRST, "copy/2", "copy/2"),
    Line("0010,0020", "Patient ID", "0010,0020", FIRST, "copy/2", "copy/2"),
    Line("0010,0021", "Issuer of Patient ID", "0010,0021", FIRST, "copy/3", "copy/3"),
    Line("0010,0024", "Issuer of Patient ID Qualifiers", "0010,0024", FIRST, "copy/3", "copy/3"),
    Line("0010,0030", "Patient's Birth Date", "0010,0030", FIRST, "copy/2", "copy/2"),
    Line("0010,0040", "Patient's Sex", "0010,0040", FIRST, "copy/2", "copy/2"),
    Line("0010,2203", "Patient's Sex Neutered", "0010,2203", FIRST, "copy/3", "copy/3"),
    Line("0010,1002", "Other Patient IDs", "0010,1002", FIRST, "copy/3", "-"),  # type 3: not told
    Line("0010,1020", "Patient's Size", "0010,1020", FIRST, "copy/3", "-"),
    Line("0010,1030", "Patient's Weight", "0010,1030", FIRST, "copy/3", "-"),
    # Optional in the tables, and left out: what nobody needs in an image should not travel with it.
    Line("0010,1040", "Patient's Address", "0010,1040", FIRST, "-", "-"),
    Line("0010,1080", "Military Rank", "0010,1080", FIRST, "-", "-"),
    Line("0010,2160", "Ethnic Group", "0010,2160", FIRST, "-", "-"),
    Line("0010,21B0", "Additional History", "0010,21B0", FIRST, "-", "-"),
    Line("0010,2000", "Medical Alerts", "0010,2000", FIRST, "-", "-"),
    Line("0010,2110", "Allergies", "0010,2110", FIRST, "-", "-"),
    Line("0010,21C0", "Pregnancy Status", "0010,21C0", FIRST, "-", "-"),
    Line("0038,0010", "Admission ID", "0038,0010", SAME, "copy/3", "copy/3"),
    Line("0038,0014", "Issuer of Admission ID", "0038,0014", FIRST, "copy/3", "copy/3"),
    Line("0038,0016", "Route of Admissions", "0038,0016", SAME, "copy/3", "-"),
    Line("0038,0300", "Current Patient Location", "0038,0300", FIRST, "-", "-"),
    Line("0040,3001", "Confidentiality Constraint", "0040,3001", FIRST, "-", "-"),
    Line("0038,0500", "Patient State", "0038,0500", FIRST, "-", "-"),
)

# B. Study. In N-CREATE the study's identifiers stand in the items of (0040,0270).
STUDY = (
    Line("0020,000D", "Study Instance UID", "", FIRST, "gen/1", "-"),  # judged case by case
    Line("0008,0020", "Study Date", "", FIRST, "gen/1", "-"),
    Line("0008,0030", "Study Time", "", FIRST, "gen/1", "-"),
    Line("0008,1110", "Referenced Study Sequence", "0008,1110", ALL, "copy/3", "-"),
    Line("0008,0050", "Accession Number", "0008,0050", SAME, "copy/2", "-"),
    Line("0008,0051", "Issuer of Accession Number", "0008,0051", SAME, "copy/3", "-"),
    Line("0020,0010", "Study ID", "0040,1001", SAME, "copy/2", "copy/2"),
    Line("0008,1030", "Study Description", "0032,1060", SAME, "copy/3", "-"),
    Line("0008,1032", "Procedure Code Sequence", "0032,1064", ALL, "copy/3", "copy/2", is_settable=True),
    Line("0008,1050", "Performing Physician", "0040,0100>0040,0006", SAME, "copy/3", "-"),
    Line("0008,0090", "Referring Physician", "0008,0090", SAME, "copy/2", "-"),
    Line("0008,0096", "Referring Physician Identification", "0008,0096", SAME, "copy/3", "-"),
    Line("0032,1032", "Requesting Physician", "0032,1032", SAME, "-", "-"),
    Line("0032,1031", "Requesting Physician Identification", "0032,1031", SAME, "-", "-"),
    Line("0032,1033", "Requesting Service", "0032,1033", SAME, "copy/3", "-"),
    Line("0032,1034", "Requesting Service Code", "0032,1034", SAME, "copy/3", "-"),
    Line("0008,0080", "Institution Name", "0008,0080", SAME, "copy or Klinik am Hügel/3", "-"),
    Line("0040,1012", "Reason for Performed Procedure", "0040,100A", ALL, "copy/3", "copy/3", is_settable=True),
)

# D. The performed step. "gen" is judged by value where a test knows it.
STEP = (
    Line("0008,1111", "Referenced PPS Sequence", "", FIRST, "gen/1", "-"),
    Line("0040,0253", "PPS ID", "", FIRST, "gen/1", "gen/1"),
    Line("0040,0244", "PPS Start Date", "", FIRST, "=20261122/1", "=20261122/1"),
    Line("0040,0245", "PPS Start Time", "", FIRST, "=093015/1", "=093015/1"),
    Line("0040,0254", "PPS Description", "0032,1060", SAME, "copy/3", "copy/2", is_settable=True),
    Line("0040,0250", "PPS End Date", "", FIRST, "-", "0/2", is_settable=True),
    Line("0040,0251", "PPS End Time", "", FIRST, "-", "0/2", is_settable=True),
    Line("0040,0252", "PPS Status", "", FIRST, "-", "=IN PROGRESS/1", is_settable=True),
    # Type 3, and yet created empty: only what was created may be set.
    Line("0040,0281", "PPS Discontinuation Reason", "", FIRST, "-", "0/2", is_settable=True),
    Line("0040,0241", "Performed Station AE Title", "", FIRST, "-", "=BRIDGE3/1"),
    Line("0040,0242", "Performed Station Name", "", FIRST, "-", "=bridge-3/2"),
    Line("0040,0243", "Performed Location", "", FIRST, "-", "0/2"),
    Line("0040,0255", "Performed Procedure Type Description", "", FIRST, "-", "0/2", is_settable=True),
    Line("0008,0060", "Modality", "", FIRST, "=US/1", "=US/1"),
    Line("0008,1120", "Referenced Patient Sequence", "", FIRST, "-", "0/2"),
    Line("0038,0060", "Service Episode ID", "0038,0060", FIRST, "-", "-"),  # type 3: not asked for
    Line("0040,0260", "Performed Protocol Code", "0040,0100>0040,0008", ALL, "copy/3", "copy/2", is_settable=True),
    Line("0040,0340", "Performed Series Sequence", "", FIRST, "-", "0/2", is_settable=True),
    # Type 3, of the SOP Common module: one offset for all dates and times of the step, so it is never set again.
    Line("0008,0201", "Timezone Offset From UTC", "", FIRST, "=+0100/1", "=+0100/1"),
)

LINES = (*PATIENT, *STUDY, *STEP)

# Who gave a number says nothing where the number is not there.
ISSUED = {"0010,0021": "0010,0020", "0010,0024": "0010,0020", "0008,0051": "0008,0050", "0038,0014": "0038,0010"}


@dataclass(frozen=True)
class ItemLine:
    """One attribute of an item that stands for one chosen entry; `cell` as above."""

    tag: str
    source: str
    cell: str


# C. Request Attributes Sequence (0040,0275) of the image; none for an unscheduled patient.
REQUEST = (
    ItemLine("0008,0050", "0008,0050", "copy/3"),
    ItemLine("0008,0051", "0008,0051", "copy/3"),
    ItemLine("0008,1110", "0008,1110", "copy/3"),
    ItemLine("0020,000D", "0020,000D", "copy/3"),
    ItemLine("0040,1001", "0040,1001", "copy/3"),
    ItemLine("0032,1060", "0032,1060", "copy/3"),
    ItemLine("0032,1064", "0032,1064", "copy/3"),
    ItemLine("0040,1002", "0040,1002", "copy/3"),
    ItemLine("0040,100A", "0040,100A", "copy/3"),
    ItemLine("0032,1032", "0032,1032", "copy/3"),
    ItemLine("0032,1031", "0032,1031", "copy/3"),
    ItemLine("0032,1033", "0032,1033", "copy/3"),
    ItemLine("0032,1034", "0032,1034", "copy/3"),
    ItemLine("0040,0009", "0040,0100>0040,0009", "copy/3"),
    ItemLine("0040,0007", "0040,0100>0040,0007", "copy/3"),
    ItemLine("0040,0008", "0040,0100>0040,0008", "copy/3"),
)

# E. Scheduled Step Attributes Sequence (0040,0270) of N-CREATE, never in N-SET; for an unscheduled patient one item
# whose type 2 attributes are empty and whose study is the images' own.
SCHEDULED_STEP = (
    ItemLine("0020,000D", "0020,000D", "copy/1"),
    ItemLine("0008,1110", "0008,1110", "copy/2"),
    ItemLine("0008,0050", "0008,0050", "copy/2"),
    ItemLine("0008,0051", "0008,0051", "copy/3"),
    ItemLine("0040,2016", "0040,2016", "copy/3"),
    ItemLine("0040,2017", "0040,2017", "copy/3"),
    ItemLine("0040,0026", "0040,0026", "copy/3"),
    ItemLine("0040,0027", "0040,0027", "copy/3"),
    ItemLine("0040,1001", "0040,1001", "copy/2"),
    ItemLine("0032,1064", "0032,1064", "copy/3"),
    ItemLine("0032,1060", "0032,1060", "copy/2"),
    ItemLine("0040,0009", "0040,0100>0040,0009", "copy/2"),
    ItemLine("0040,0007", "0040,0100>0040,0007", "copy/2"),
    ItemLine("0040,0008", "0040,0100>0040,0008", "copy/2"),
)

# The items of Performed Series Sequence (0040,0340) in N-SET, each attribute present: type 1 has a value.
SERIES_TYPES = {
    "0020,000E": 1,
    "0018,1030": 1,
    "0008,103E": 2,
    "0008,1050": 2,
    "0008,1070": 2,
    "0008,0054": 2,
    "0008,1140": 2,
    "0040,0220": 2,
}

# What an image may hold besides: PS3.3 C.7.3 to C.7.6, C.8.6 and C.12.1 as far as this box fills them.
_OTHER = {
    "0008": "0005 0008 0016 0018 0022 0023 0032 0033 0064 0070 0201 1010 103E 1070 1090",
    "0018": "1000 1010 1012 1014 1016 1018 1019 1022 1023 1030 1063 2010",
    "0020": "000E 0011 0013 0020 0060 4000",
    "0028": "0002 0004 0006 0008 0009 0010 0011 0100 0101 0102 0103 0301 1052 1053 1054 2110 2112 2114",
    "0040": "0275",
    "2050": "0020",
}
OTHER_IMAGE_TAGS = {f"{group},{element}" for group, elements in _OTHER.items() for element in elements.split()}
