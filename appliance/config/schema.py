"""What a site can configure. Frozen models; an unknown key is an error; every bound has a default and a range.

Lengths are seconds, bytes, millimetres or pixels as the name says. The commented example beside this file
(`example.toml`) is the reference for people; a test holds that it names every key of these models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

# What people are told of a text that does not fit: pattern → sentence. Filled below, beside the patterns.
SHAPES: dict[str, str] = {}


def _shape(pattern: str, sentence: str, *, strip: bool = False) -> StringConstraints:
    SHAPES[pattern] = sentence
    return StringConstraints(pattern=pattern, strip_whitespace=strip)


# PS3.5 6.2 for AE, CS, LO and SH.
AETitle = Annotated[
    str,
    _shape(
        r"^[!-\[\]-~](?:[ -\[\]-~]{0,14}[!-\[\]-~])?$",
        "must be an AE title: 1 to 16 ASCII characters, no backslash, no space at either end",
    ),
]
# A name becomes part of directories, unit instances and sockets.
Name = Annotated[
    str,
    _shape(
        r"^[a-z][a-z0-9-]{0,23}$",
        "must be a name: 1 to 24 of small letters, digits and hyphens, a letter first",
    ),
]
# Performed Station Name (0040,0242) is SH: a longer name of the box would be refused with every performed step.
BoxName = Annotated[
    str,
    _shape(
        r"^[a-z][a-z0-9-]{0,15}$",
        "must be a short name: 1 to 16 of small letters, digits and hyphens, a letter first",
    ),
]
CodeString = Annotated[str, _shape(r"^[A-Z0-9_]{1,16}$", "must be 1 to 16 of capital letters, digits and underscores")]
LongString = Annotated[
    str, _shape(r"^[^\\\x00-\x1f]{0,64}$", "must have at most 64 characters and no backslash", strip=True)
]
ShortString = Annotated[
    str, _shape(r"^[^\\\x00-\x1f]{0,16}$", "must have at most 16 characters and no backslash", strip=True)
]
Host = Annotated[str, _shape(r"^[^\s/]{1,253}$", "must be a host's name or address")]
# Specific Character Set (0008,0005): defined terms of PS3.3 C.12.1.1.2, several joined by a backslash.
_TERM = (
    r"(ISO_IR (6|13|100|101|109|110|126|127|138|144|148|166|192)|GB18030|GBK"
    r"|ISO 2022 IR (6|13|58|87|100|101|109|110|126|127|138|144|148|149|159|166))"
)
CharacterSet = Annotated[
    str, _shape(rf"^{_TERM}?(\\{_TERM})*$", 'must be a DICOM character set, "ISO_IR 192" for instance')
]
Port = Annotated[int, Field(ge=1, le=65535)]
Fingerprint = Annotated[
    str,
    _shape(
        r"^(?:[0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$",
        "must be a certificate's SHA-256 fingerprint: 64 hexadecimal digits, colons between pairs or none",
    ),
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Box(_Section):
    """The box itself: what it is called in the hospital's network and in the objects it makes."""

    name: BoxName = "bridge"
    ae_title: AETitle = "BRIDGE"
    institution: LongString = ""
    reserve_bytes: int = Field(
        default=256 * 1024 * 1024, ge=0, description="flash kept free; below it capture is refused"
    )


class Retention(_Section):
    """How long the box keeps what nobody waits for any more: objects as a cache, and the records of exams.

    `unproven_days` are for what C-FIND verified where no archive commits, and for what a person released. What was only
    stored there is never deleted before a person releases it. Days are counted while the box is at work, not by the
    wall clock. Where flash runs short, what may go does so before its time, the oldest first.
    """

    committed_days: float = Field(default=14.0, ge=0, le=3650)
    unproven_days: float = Field(default=90.0, ge=0, le=3650)
    # The worklist marks what was examined in the last seven days, and a study is added to by these records.
    facts_days: float = Field(default=90.0, ge=7, le=3650)

    @model_validator(mode="after")
    def _check_order(self) -> Retention:
        if self.unproven_days < self.committed_days:
            raise ValueError("unproven_days must not be below committed_days")
        return self


class Tls(_Section):
    """The box's own identity on encrypted connections, and whom it trusts (PS3.15 B.12, BCP 195). PEM files.

    The key's file may be read by its owner alone.
    """

    certificate: Path
    key: Path
    authorities: Path


class Listener(_Section):
    """Where the archives' commitment reports arrive, and where anyone may verify that the box is there."""

    host: Host = "127.0.0.1"
    port: Port | None = 11119
    tls_port: Port | None = None


class AuditCollector(_Section):
    """Who collects the audit trail: syslog over TLS (PS3.15 A.6, RFC 5425). Never unencrypted: it names patients."""

    host: Host
    port: Port = 6514
    connect_seconds: float = Field(default=10.0, gt=0, le=120)
    stall_seconds: float = Field(default=60.0, gt=0, le=600)
    tls_name: Host | None = None
    tls_pin: Fingerprint | None = None

    @model_validator(mode="after")
    def _check_tls(self) -> AuditCollector:
        if self.tls_name and self.tls_pin:
            raise ValueError("tls_pin makes tls_name useless: leave one of them out")
        return self


class Panel(_Section):
    """Names under which a browser may reach the panel (guards against DNS rebinding)."""

    allowed_hosts: tuple[Host, ...] = Field(default=("127.0.0.1", "localhost"), min_length=1)


class Peer(_Section):
    """A DICOM application entity of the hospital."""

    ae_title: AETitle
    host: Host
    port: Port
    connect_seconds: float = Field(default=10.0, gt=0, le=120)
    answer_seconds: float = Field(default=60.0, gt=0, le=600)
    tls: bool = False
    tls_name: Host | None = Field(default=None, description="the name in the peer's certificate, if not the host's")
    tls_pin: Fingerprint | None = Field(default=None, description="the peer's certificate itself; name and chain rest")

    @model_validator(mode="after")
    def _check_tls(self) -> Peer:
        if not self.tls and (self.tls_name or self.tls_pin):
            raise ValueError("tls_name and tls_pin need tls = true")
        if self.tls_name and self.tls_pin:
            raise ValueError("tls_pin makes tls_name useless: leave one of them out")
        return self


class WorklistSource(Peer):
    """The RIS that is asked for scheduled procedure steps (PS3.4 K)."""

    name: Name
    every_seconds: float = Field(default=60.0, ge=1, le=3600)
    days_back: int = Field(default=0, ge=0, le=30)
    days_ahead: int = Field(default=0, ge=0, le=30)
    modalities: tuple[CodeString, ...] = ()
    scheduled_station_ae_title: AETitle | None = None
    character_set: CharacterSet = "ISO_IR 100"
    max_items: int = Field(default=10_000, ge=1, le=100_000)


class PerformedStepManager(Peer):
    """Who hears that an examination began and ended (PS3.4 F.7)."""


TransferSyntax = Literal["jpeg-baseline", "explicit-little-endian", "implicit-little-endian"]


class Destination(Peer):
    """An archive."""

    name: Name
    transfer_syntaxes: tuple[TransferSyntax, ...] = (
        "jpeg-baseline",
        "explicit-little-endian",
        "implicit-little-endian",
    )
    concurrency: int = Field(default=1, ge=1, le=8)
    commitment: bool = True
    commitment_seconds: float = Field(default=3600.0, ge=1, le=86_400)
    commitment_rounds: int = Field(default=3, ge=1, le=100)
    report_ae_titles: tuple[AETitle, ...] = ()
    report_tls_pins: tuple[Fingerprint, ...] = ()
    verify_by_find: bool = False
    retry_first_seconds: float = Field(default=5.0, ge=0.1, le=600)
    retry_longest_seconds: float = Field(default=300.0, ge=0.1, le=86_400)

    @model_validator(mode="after")
    def _check_transfer_syntaxes(self) -> Destination:
        if not {"explicit-little-endian", "implicit-little-endian"} & set(self.transfer_syntaxes):
            raise ValueError("transfer_syntaxes must have explicit- or implicit-little-endian: not every image is JPEG")
        return self

    @model_validator(mode="after")
    def _check_retry(self) -> Destination:
        if self.retry_longest_seconds < self.retry_first_seconds:
            raise ValueError("retry_longest_seconds must not be below retry_first_seconds")
        return self


class TestPatient(_Section):
    """Under whose name `appliance test NAME --write` stores and tells: a patient that the hospital keeps for tests."""

    patient_name: LongString = Field(default="TEST^BRIDGE", min_length=1)
    patient_id: LongString = Field(min_length=1)
    issuer_of_patient_id: LongString = ""


class _Device(_Section):
    """What every attached machine says of itself in the objects (PS3.3 C.7.5.1, General Equipment)."""

    name: Name
    title: LongString = ""
    modality: CodeString
    manufacturer: LongString = ""
    model: LongString = ""
    serial_number: LongString = ""
    station_name: ShortString = ""
    series_description: LongString = ""
    burned_in_annotation: Literal["YES", "NO"] = "YES"


class SerialDevice(_Device):
    """A machine that sends image files over a serial line by XMODEM."""

    driver: Literal["xmodem"]
    line: Path
    baud: int = Field(default=115_200, ge=300, le=4_000_000)
    conversion_type: Literal["DI"] = "DI"
    max_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=1 << 30)
    max_pixels: int = Field(default=16_000_000, ge=1024, le=100_000_000)
    gap_seconds: float = Field(default=10.0, gt=0, le=120)
    transfer_seconds: float = Field(default=1800.0, gt=0, le=14_400)


class PrinterDevice(_Device):
    """A machine that prints: the box is its printer. `dpi` is the pages' resolution; None: the language's own."""

    driver: Literal["printer"]
    line: Path
    baud: int = Field(default=9600, ge=300, le=4_000_000)
    data_bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    flow: Literal["none", "rtscts", "xonxoff", "dtr"] = "none"
    conversion_type: Literal["DI"] = "DI"
    language: Literal["escp9", "escp24", "escpos", "pcl"]
    dpi: int | None = Field(default=None, ge=60, le=1200)
    paper_width_mm: float = Field(default=210.0, ge=20, le=500)
    paper_height_mm: float = Field(default=297.0, ge=0, le=1000)
    ink: Literal["black", "white"] = "black"
    idle_seconds: float = Field(default=10.0, ge=1, le=25)
    max_pixels: int = Field(default=40_000_000, ge=100_000, le=400_000_000)
    max_pages: int = Field(default=100, ge=1, le=10_000)

    @model_validator(mode="after")
    def _check_page(self) -> PrinterDevice:
        width, height = (round(side * self.page_dpi / 25.4) for side in (self.paper_width_mm, self.paper_height_mm))
        pixels = width * height
        if pixels > self.max_pixels:
            raise ValueError(f"max_pixels must not be below a page of this paper, which has {pixels} pixels")
        return self

    @property
    def page_dpi(self) -> int:
        """The pages' resolution: as fine as printers of this language mostly are."""
        return self.dpi or {"escp9": 240, "escp24": 360, "escpos": 203, "pcl": 300}[self.language]


Rectangle = tuple[
    Annotated[int, Field(ge=0, le=8192)],
    Annotated[int, Field(ge=0, le=8192)],
    Annotated[int, Field(ge=1, le=8192)],
    Annotated[int, Field(ge=1, le=8192)],
]
PixelFormatName = Literal["MJPEG", "RGB24", "BGR24", "YUYV", "UYVY", "NV12", "Y16", "Y12", "Y10", "GREY"]
PIXEL_FORMATS: tuple[PixelFormatName, ...] = get_args(PixelFormatName)
Standard = Literal["", "PAL", "PAL-M", "PAL-N", "PAL-Nc", "PAL-60", "NTSC", "NTSC-443", "SECAM"]


class GrabberDevice(_Device):
    """A frame grabber: a video node of the kernel (V4L2) below /dev, or a socket that gives JPEG frames.

    From `input` on, the keys are a video node's; `crop`, `masks` and `deinterlace` need an uncompressed format.
    """

    driver: Literal["grabber"]
    source: Path
    conversion_type: Literal["DV", "DI"] = "DV"
    frames_per_second: float = Field(default=30.0, gt=0, le=240)
    frame_seconds: float = Field(default=2.0, gt=0, le=30)
    max_frame_bytes: int = Field(default=8 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    max_clip_seconds: float = Field(default=300.0, gt=0, le=3600)
    max_clip_bytes: int = Field(default=2_000_000_000, ge=1_000_000, le=4_000_000_000)
    clip_queue_frames: int = Field(default=360, ge=2, le=2000)
    clip_queue_bytes: int = Field(default=96 * 1024 * 1024, ge=1_000_000, le=1 << 30)
    lookback_seconds: float = Field(default=0.0, ge=0, le=60)
    preview_frames_per_second: float = Field(default=10.0, gt=0, le=30)
    preview_width: int = Field(default=640, ge=64, le=1920)
    freeze_trigger: bool = False
    refuse_black: bool = True
    frozen_seconds: float = Field(default=10.0, ge=0, le=3600)
    input: LongString = ""
    standard: Standard = ""
    formats: tuple[PixelFormatName, ...] = Field(default=PIXEL_FORMATS, min_length=1)
    size: tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]] | None = None
    crop: Rectangle | None = None
    masks: tuple[Rectangle, ...] = Field(default=(), max_length=16)
    deinterlace: bool = False
    controls: dict[str, int] = Field(default_factory=dict, max_length=64)

    @property
    def is_video_node(self) -> bool:
        """Whether `source` is the kernel's, and not a socket of another process."""
        return self.source.is_relative_to("/dev")

    @model_validator(mode="after")
    def _check_areas(self) -> GrabberDevice:
        is_changed = self.crop or self.masks or self.deinterlace
        if is_changed and ("MJPEG" in self.formats or not self.is_video_node):
            raise ValueError("crop, masks and deinterlace need formats without MJPEG, and a source below /dev")
        return self


class FilmDevice(_Device):
    """A film digitizer that SANE drives."""

    driver: Literal["sane"]
    sane_device: str
    sane_config_directory: Path | None = None
    conversion_type: Literal["DF"] = "DF"
    resolution_dpi: int = Field(default=150, ge=25, le=4800)
    width_mm: float = Field(default=200.0, gt=0, le=500)
    height_mm: float = Field(default=250.0, gt=0, le=600)
    options: dict[str, str] = Field(default_factory=dict)
    stall_seconds: float = Field(default=30.0, gt=0, le=600)
    scan_seconds: float = Field(default=600.0, gt=0, le=3600)
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1024, le=2_000_000_000)


Device = Annotated[SerialDevice | PrinterDevice | GrabberDevice | FilmDevice, Field(discriminator="driver")]


class Configuration(_Section):
    """Everything. Relative paths are below the run directory (/run/appliance on the box)."""

    box: Box = Box()
    retention: Retention = Retention()
    listener: Listener = Listener()
    tls: Tls | None = None
    audit: AuditCollector | None = None
    panel: Panel = Panel()
    worklist: tuple[WorklistSource, ...] = ()
    performed_step: PerformedStepManager | None = None
    destinations: tuple[Destination, ...] = ()
    test_patient: TestPatient | None = None
    devices: tuple[Device, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Configuration:
        twice: list[str] = []
        for kind, named in (
            ("worklist", self.worklist),
            ("destinations", self.destinations),
            ("devices", self.devices),
        ):
            names = [entry.name for entry in named]
            twice += [
                f"{kind}: the name {name!r} is used twice" for name in sorted(set(names)) if names.count(name) > 1
            ]
        if twice:
            raise ValueError("; ".join(twice))
        return self

    @model_validator(mode="after")
    def _check_encryption(self) -> Configuration:
        peers = [*self.worklist, *self.destinations, *([self.performed_step] if self.performed_step else ())]
        if self.tls is None and (self.listener.tls_port or self.audit or any(peer.tls for peer in peers)):
            raise ValueError("tls: is missing, and a peer, the listener or audit needs it")
        if self.listener.port is None and self.listener.tls_port is None:
            raise ValueError("listener: has neither port nor tls_port, so nobody could report a commitment")
        for number, one in enumerate(self.destinations):
            port = self.listener.tls_port if one.tls else self.listener.port
            if one.commitment and port is None:
                wanted = "tls_port" if one.tls else "port"
                raise ValueError(f"destinations[{number}]: its commitment reports need listener.{wanted}")
        return self

    def device(self, name: str) -> Device:
        """The device called `name`; KeyError when there is none."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)
