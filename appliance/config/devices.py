"""The old machines that a site can configure: one model for each driver."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from appliance.config.node_names import TRIGGER_SUFFIX
from appliance.config.texts import CodeString, HardwareName, LongString, Name, Section, ShortString
from appliance.config.triggers import Trigger, check_nodes

# What a device's process may hold beside what it needs at rest: its unit's MemoryMax is 96 MiB more (systemd/).
MOST_MEMORY_BYTES = 416 * 1024 * 1024


class MachineDevice(Section):
    """What every attached machine says of itself in the objects (PS3.3 C.7.5.1, General Equipment).

    What `hardware` sets (known_devices.toml) is filled in before a model is made: here it only says where it came from.
    """

    name: Name
    hardware: HardwareName | Literal[""] = ""
    title: LongString = ""
    modality: CodeString
    manufacturer: LongString = ""
    model: LongString = ""
    serial_number: LongString = ""
    station_name: ShortString = ""
    series_description: LongString = ""
    burned_in_annotation: Literal["YES", "NO"] = "YES"

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name.endswith(TRIGGER_SUFFIX):
            raise ValueError(
                f"must not end in {TRIGGER_SUFFIX}: a line that only triggers is named so (udev/README.md)"
            )
        return name

    @property
    def memory_bytes(self) -> int:
        """The most that its process holds at once beside what it needs at rest."""
        return 0

    @model_validator(mode="after")
    def _check_memory(self) -> Self:
        if self.memory_bytes > MOST_MEMORY_BYTES:
            needed, most = self.memory_bytes >> 20, MOST_MEMORY_BYTES >> 20
            raise ValueError(f"this takes {needed} MiB of memory, and there are {most}: {self.memory_advice}")
        return self

    @property
    def memory_advice(self) -> str:
        """Which keys to make smaller."""
        return ""

    @property
    def protocol_name(self) -> str:
        """What an examination with it is called (PS3.3 C.7.3.1, Protocol Name), which must have a value in a step."""
        return self.series_description or self.title or self.modality


class TriggeredDevice(MachineDevice):
    """A machine that is captured from when something says so."""

    triggers: tuple[Trigger, ...] = Field(default=(), max_length=10)

    @model_validator(mode="after")
    def _check_triggers(self) -> Self:
        check_nodes(self.triggers)
        return self


class LineDevice(MachineDevice):
    """A machine on a serial line. `transcript_bytes` of what went over it are kept in memory for support."""

    line: Path
    transcript_bytes: int = Field(default=0, ge=0, le=16 * 1024 * 1024)


class SerialDevice(LineDevice):
    """A machine that sends image files over a serial line by XMODEM or YMODEM."""

    driver: Literal["xmodem"]
    baud: int = Field(default=115_200, ge=300, le=4_000_000)
    conversion_type: Literal["DI"] = "DI"
    max_bytes: int = Field(default=32 * 1024 * 1024, ge=1024, le=1 << 30)
    max_pixels: int = Field(default=16_000_000, ge=1024, le=100_000_000)
    gap_seconds: float = Field(default=10.0, gt=0, le=120)
    transfer_seconds: float = Field(default=1800.0, gt=0, le=14_400)

    @property
    def memory_bytes(self) -> int:
        """A picture while it is decoded, four bytes a pixel of Pillow's and three of ours; its file, and as it came."""
        return 7 * self.max_pixels + 2 * self.max_bytes

    @property
    def memory_advice(self) -> str:
        return "give less max_pixels or max_bytes"


class TalkingDevice(LineDevice):
    """A machine that speaks by itself, on a line that is set as the machine is."""

    baud: int = Field(default=9600, ge=300, le=4_000_000)
    data_bits: Literal[7, 8] = 8
    parity: Literal["none", "even", "odd"] = "none"
    flow: Literal["none", "rtscts", "xonxoff", "dtr"] = "none"


class PrinterDevice(TalkingDevice):
    """A machine that prints: the box is its printer. `dpi` is the pages' resolution; None: the language's own."""

    driver: Literal["printer"]
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
    def _check_page(self) -> Self:
        width, height = (round(side * self.page_dpi / 25.4) for side in (self.paper_width_mm, self.paper_height_mm))
        pixels = width * height
        if pixels > self.max_pixels:
            raise ValueError(f"max_pixels must not be below a page of this paper, which has {pixels} pixels")
        return self

    @property
    def page_dpi(self) -> int:
        """The pages' resolution: as fine as printers of this language mostly are."""
        return self.dpi or {"escp9": 240, "escp24": 360, "escpos": 203, "pcl": 300}[self.language]

    @property
    def memory_bytes(self) -> int:
        """One page while it is saved, two bytes a pixel; eight that wait and one that comes, a bit each."""
        return 2 * self.max_pixels + 9 * self.max_pixels // 8

    @property
    def memory_advice(self) -> str:
        return "give less max_pixels"


class TextDevice(TalkingDevice):
    """A machine that says its results in framed text. `profile` is a name of `text_profiles`, or the path of a file."""

    driver: Literal["text"]
    conversion_type: Literal["DI"] = "DI"
    profile: str = Field(min_length=1, max_length=200)
    pdf: bool = False
    max_bytes: int = Field(default=65_536, ge=256, le=1_048_576)

    @model_validator(mode="after")
    def _check_profile(self) -> Self:
        from appliance.config.text_profiles import list_profiles  # its models are read by nobody else

        if "/" not in self.profile and self.profile not in list_profiles():
            raise ValueError(f"there is no text profile {self.profile!r}; there are {', '.join(list_profiles())}")
        return self

    @property
    def page_bytes(self) -> int:
        """The most that one of its objects takes: a page, or the document of all of them."""
        return 8_000_000


Rectangle = tuple[
    Annotated[int, Field(ge=0, le=8192)],
    Annotated[int, Field(ge=0, le=8192)],
    Annotated[int, Field(ge=1, le=8192)],
    Annotated[int, Field(ge=1, le=8192)],
]
PixelFormatName = Literal["MJPEG", "RGB24", "BGR24", "YUYV", "UYVY", "NV12", "Y16", "Y12", "Y10", "GREY"]
PIXEL_FORMATS: tuple[PixelFormatName, ...] = get_args(PixelFormatName)
Standard = Literal["", "PAL", "PAL-M", "PAL-N", "PAL-Nc", "PAL-60", "NTSC", "NTSC-443", "SECAM"]


class GrabberDevice(TriggeredDevice):
    """A frame grabber: a video node of the kernel (V4L2) below /dev, or a socket that gives JPEG frames.

    From `input` on, the keys are a video node's, but for `crop` and `masks`. `deinterlace` needs uncompressed formats.
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
    quality: Literal["normal", "diagnostic"] = "normal"
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

    @property
    def memory_bytes(self) -> int:
        """A clip's queue, half of one before the tap, and the frames that the driver and the loop have in hand."""
        return self.clip_queue_bytes * 3 // 2 + 8 * self.max_frame_bytes

    @property
    def memory_advice(self) -> str:
        return "give less clip_queue_bytes or max_frame_bytes"

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if any(one.action == "film" for one in self.triggers):
            raise ValueError("a grabber's triggers take stills and clips, not films")
        if self.deinterlace and ("MJPEG" in self.formats or not self.is_video_node):
            raise ValueError(
                "deinterlace needs formats without MJPEG, and a source below /dev: "
                "fields cannot be taken out of a JPEG picture without coding it anew"
            )
        return self


# A film is compressed as a whole: it and what becomes of it are in the memory of a process that has 512 MiB.
MAX_COMPRESSED_FILM_BYTES = 128_000_000
DensityStep = tuple[Annotated[int, Field(ge=0, le=65535)], Annotated[float, Field(ge=0, le=6)]]


class FilmDevice(TriggeredDevice):
    """A film digitizer that SANE drives."""

    driver: Literal["sane"]
    sane_device: str
    sane_config_directory: Path | None = None
    conversion_type: Literal["DF"] = "DF"
    source: str = Field(default="", max_length=100)
    stack: bool = False
    max_films: int = Field(default=50, ge=1, le=500)
    resolution_dpi: int = Field(default=150, ge=25, le=4800)
    depth: int = Field(default=16, ge=8, le=16)
    left_mm: float = Field(default=0.0, ge=0, le=500)
    top_mm: float = Field(default=0.0, ge=0, le=600)
    width_mm: float = Field(default=200.0, gt=0, le=500)
    height_mm: float = Field(default=250.0, gt=0, le=600)
    options: dict[str, str] = Field(default_factory=dict)
    stall_seconds: float = Field(default=30.0, gt=0, le=600)
    scan_seconds: float = Field(default=600.0, gt=0, le=3600)
    max_bytes: int = Field(default=512 * 1024 * 1024, ge=1024, le=2_000_000_000)
    compression: Literal["none", "jpeg-ls"] = "none"
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] = "MONOCHROME2"
    density_steps: tuple[DensityStep, ...] = Field(default=(), max_length=64)

    @model_validator(mode="after")
    def _check_compression(self) -> Self:
        if self.compression == "jpeg-ls" and self.film_bytes > MAX_COMPRESSED_FILM_BYTES:
            size, most = self.film_bytes // 1_000_000, MAX_COMPRESSED_FILM_BYTES // 1_000_000
            raise ValueError(f"compression takes films of {most} MB at most, in memory; this one has {size} MB")
        return self

    @property
    def film_bytes(self) -> int:
        """Of a film without compression, as it is configured."""
        pixels = self.width_mm * self.height_mm * (self.resolution_dpi / 25.4) ** 2
        return round(pixels) * (1 if self.depth == 8 else 2)

    @model_validator(mode="after")
    def _check_steps(self) -> Self:
        """Each step of the wedge is measured as brighter or darker than the one before, as `photometric` has it."""
        if not self.density_steps:
            return self
        if len(self.density_steps) < 3:
            raise ValueError("density_steps needs three steps at least")
        rise = 1 if self.photometric == "MONOCHROME1" else -1
        for (low, first), (high, last) in pairwise(self.density_steps):
            if low >= high:
                raise ValueError(f"density_steps must go up by their samples: {high} follows {low}")
            if (last - first) * rise <= 0:
                way = f"must {'rise' if rise > 0 else 'fall'} in density, since photometric is {self.photometric}"
                raise ValueError(f"density_steps {way}: {last:g} follows {first:g}")
        if self.density_steps[-1][0] >> self.depth:
            raise ValueError(f"density_steps has a sample of more than depth = {self.depth} bits")
        return self

    @model_validator(mode="after")
    def _check_actions(self) -> Self:
        if any(one.action in ("still", "clip") for one in self.triggers):
            raise ValueError("a digitizer's triggers scan films: action must be film or end")
        return self


Device = Annotated[
    SerialDevice | PrinterDevice | TextDevice | GrabberDevice | FilmDevice, Field(discriminator="driver")
]
