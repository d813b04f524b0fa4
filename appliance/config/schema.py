"""What a site can configure. Frozen models; an unknown key is an error; every bound has a default and a range.

Lengths are seconds, bytes, millimetres or pixels as the name says. The commented example beside this file
(`example.toml`) is the reference for people; a test holds that it names every key of these models.
"""

from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from appliance.config.devices import Device
from appliance.config.host import Firewall, Network, SupportKey, Time
from appliance.config.texts import (
    AETitle,
    BoxName,
    CharacterSet,
    CodeString,
    Fingerprint,
    Host,
    HostName,
    KeptPin,
    LongString,
    Name,
    PlainPath,
    Port,
    Section,
    ShortString,
)
from appliance.config.together import faults_in


class Box(Section):
    """The box itself: what it is called in the hospital's network and in the objects it makes."""

    name: BoxName = "bridge"
    ae_title: AETitle = "BRIDGE"
    institution: LongString = ""
    reserve_bytes: int = Field(
        default=256 * 1024 * 1024, ge=0, description="flash kept free; below it capture is refused"
    )
    corrections: bool = Field(
        default=False, description="images that were sent as of a wrong patient are rejected by a note, and sent anew"
    )


class Retention(Section):
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
    def _check_order(self) -> Self:
        if self.unproven_days < self.committed_days:
            raise ValueError("unproven_days must not be below committed_days")
        return self


class Tls(Section):
    """The box's own identity on encrypted connections, and whom it trusts (PS3.15 B.12, BCP 195). PEM files.

    The key's file may be read by its owner alone.
    """

    certificate: PlainPath
    key: PlainPath
    authorities: PlainPath


class Listener(Section):
    """Where the archives' commitment reports arrive, and where anyone may verify that the box is there."""

    host: Host = "127.0.0.1"
    port: Port | None = 11119
    tls_port: Port | None = None


class AuditCollector(Section):
    """Who collects the audit trail: syslog over TLS (PS3.15 A.6, RFC 5425). Never unencrypted: it names patients."""

    host: Host
    port: Port = 6514
    connect_seconds: float = Field(default=10.0, gt=0, le=120)
    stall_seconds: float = Field(default=60.0, gt=0, le=600)
    tls_name: Host | None = None
    tls_pin: Fingerprint | None = None

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if self.tls_name and self.tls_pin:
            raise ValueError("tls_pin makes tls_name useless: leave one of them out")
        return self


class LogCollector(Section):
    """Who collects what the box's programs log: systemd-journal-remote(8), over TLS with the identity of [tls]."""

    host: HostName
    port: Port = 19532


class Metrics(Section):
    """Where a hospital's Prometheus reads the box in numbers (OpenMetrics over HTTP). They name nobody."""

    host: Host = "127.0.0.1"
    port: Port = 9464


class Language(StrEnum):
    """The languages of the panel (ISO 639-1)."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"
    SPANISH = "es"
    JAPANESE = "ja"
    ARABIC = "ar"


class Panel(Section):
    """The touchscreen's page.

    `allowed_hosts` are the names under which a browser may reach it (guards against DNS rebinding).
    """

    allowed_hosts: tuple[Host, ...] = Field(default=("127.0.0.1", "localhost"), min_length=1)
    language: Language = Language.ENGLISH
    clock_hours: Literal[12, 24] = 24
    night: str = Field(default="", pattern=r"^(([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d)?$")
    dark_seconds: float = Field(default=300.0, gt=0, le=86_400)
    lock_seconds: float = Field(default=300.0, ge=0, le=86_400)
    ask_patient_seconds: float = Field(default=900.0, ge=0, le=86_400)
    close_exam_seconds: float = Field(default=7200.0, ge=0, le=172_800)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.close_exam_seconds and self.ask_patient_seconds > self.close_exam_seconds:
            raise ValueError("close_exam_seconds must not be below ask_patient_seconds")
        return self


class Operator(Section):
    """Who works at the panel: the PN of Operators' Name (0008,1070), and what is kept of the PIN."""

    name: LongString = Field(min_length=1)
    pin: KeptPin


class Unscheduled(Section):
    """Patients whom nobody scheduled. The box gives a Patient ID to those who have none: prefix, counter and moment."""

    id_prefix: ShortString = Field(default="", description="empty: the box's AE title")
    issuer: LongString = Field(default="", description="of those IDs; empty: the box's AE title")
    emergency_name: LongString = Field(default="UNKNOWN^EMERGENCY", min_length=1)


class Peer(Section):
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
    def _check_tls(self) -> Self:
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


MANAGER = "performed-step"
"""What the performed-step manager is called, which has no configured name."""


class PerformedStepManager(Peer):
    """Who hears that an examination began and ended (PS3.4 F.7)."""


TransferSyntax = Literal["jpeg-baseline", "jpeg-ls-lossless", "explicit-little-endian", "implicit-little-endian"]


class Destination(Peer):
    """An archive."""

    name: Name
    transfer_syntaxes: tuple[TransferSyntax, ...] = (
        "jpeg-baseline",
        "jpeg-ls-lossless",
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
    def _check_transfer_syntaxes(self) -> Self:
        if not {"explicit-little-endian", "implicit-little-endian"} & set(self.transfer_syntaxes):
            raise ValueError("transfer_syntaxes must have explicit- or implicit-little-endian: not every image is JPEG")
        return self

    @model_validator(mode="after")
    def _check_retry(self) -> Self:
        if self.retry_longest_seconds < self.retry_first_seconds:
            raise ValueError("retry_longest_seconds must not be below retry_first_seconds")
        return self


class TestPatient(Section):
    """Under whose name `appliance test NAME --write` stores and tells: a patient that the hospital keeps for tests."""

    patient_name: LongString = Field(default="TEST^BRIDGE", min_length=1)
    patient_id: LongString = Field(min_length=1)
    issuer_of_patient_id: LongString = ""


TOGETHER: Final = "together"
"""The kind of what pydantic tells of sections that do not fit together; `faults` is in its context."""


class Configuration(Section):
    """Everything. Relative paths are below the run directory (/run/appliance on the box)."""

    # Made without being validated, for which each section would need a validator of its own.

    box: Box = Box.model_construct()
    network: Network | None = None
    firewall: Firewall = Firewall.model_construct()
    time: Time | None = None
    support_keys: tuple[SupportKey, ...] = Field(default=(), max_length=100)
    retention: Retention = Retention.model_construct()
    listener: Listener = Listener.model_construct()
    tls: Tls | None = None
    audit: AuditCollector | None = None
    logs: LogCollector | None = None
    metrics: Metrics | None = None
    panel: Panel = Panel.model_construct()
    unscheduled: Unscheduled = Unscheduled.model_construct()
    operators: tuple[Operator, ...] = ()
    worklist: tuple[WorklistSource, ...] = ()
    performed_step: PerformedStepManager | None = None
    destinations: tuple[Destination, ...] = ()
    test_patient: TestPatient | None = None
    devices: tuple[Device, ...] = ()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if faults := faults_in(self):
            said = "; ".join(f"{keys[0]}: {sentence}" for keys, sentence in faults)
            raise PydanticCustomError(TOGETHER, "{said}", {"said": said, "faults": faults})
        return self

    def device(self, name: str) -> Device:
        """The device called `name`; KeyError when there is none."""
        for device in self.devices:
            if device.name == name:
                return device
        raise KeyError(name)
