"""Reading a configuration: every problem at once, each with file and key, in words; nothing but that for any bytes."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.devices import FilmDevice, GrabberDevice, SerialDevice
from appliance.config.example import EXAMPLE
from appliance.config.load import MAX_FILE_BYTES, ConfigurationError, configuration_from, load_configuration
from appliance.config.schema import Configuration

FILE = Path("site.toml")

DESTINATION = """[[destinations]]
name = "archive"
ae_title = "ARCHIVE"
host = "pacs.example"
port = 104
"""
SOURCE = """[[worklist]]
name = "ris"
ae_title = "RIS"
host = "10.0.0.1"
port = 104
"""
SERIAL = """[[devices]]
name = "ultrasound"
driver = "xmodem"
modality = "US"
line = "/dev/ttyUSB0"
"""
GRABBER = """[[devices]]
name = "endoscope"
driver = "grabber"
modality = "ES"
source = "grabber.sock"
"""
FILM = """[[devices]]
name = "film"
driver = "sane"
modality = "RG"
sane_device = "test:0"
"""
TLS = """[tls]
certificate = "box.crt"
key = "box.key"
authorities = "ca.crt"
"""


def _problems(text: str | bytes) -> dict[str, str]:
    """Key → sentence of everything that is wrong with `text`."""
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigurationError) as refused:
        configuration_from(data, FILE)
    for problem in refused.value.problems:
        assert problem.file == FILE
        assert str(problem) in refused.value.sentence
    assert refused.value.suggestion
    return {problem.key: problem.sentence for problem in refused.value.problems}


def _read(text: str) -> Configuration:
    return configuration_from(text.encode(), FILE)


def test_ok__nothing_written_is_a_box_with_defaults() -> None:
    configuration = _read("")
    assert configuration == Configuration()
    assert (configuration.box.ae_title, configuration.listener.port) == ("BRIDGE", 11119)
    assert not configuration.devices and not configuration.destinations and configuration.performed_step is None


def test_ok__everything_that_must_be_said_and_the_defaults_of_the_rest() -> None:
    configuration = _read(DESTINATION + SOURCE + SERIAL + GRABBER + FILM)
    assert [type(device) for device in configuration.devices] == [SerialDevice, GrabberDevice, FilmDevice]
    assert configuration.device("film").conversion_type == "DF"
    assert configuration.destinations[0].commitment
    with pytest.raises(KeyError):
        configuration.device("x-ray")


def test_ok__peers_on_encrypted_connections() -> None:
    pinned = DESTINATION.replace("archive", "second") + f"tls = true\ntls_pin = '{':'.join(['aB'] * 32)}'\n"
    text = TLS + "[listener]\ntls_port = 2762\n" + DESTINATION + "tls = true\ntls_name = 'pacs'\n" + pinned
    configuration = _read(text)
    assert [one.tls for one in configuration.destinations] == [True, True]
    assert configuration.listener.port == 11119
    # An archive without commitment reports nothing, so nobody need listen for it.
    assert _read(TLS + DESTINATION + "tls = true\ncommitment = false").destinations[0].tls


def test_ok__a_configuration_cannot_be_changed() -> None:
    configuration = _read(DESTINATION)
    with pytest.raises(ValueError, match="frozen"):
        configuration.destinations[0].port = 105  # type: ignore[misc]


@pytest.mark.parametrize(
    "data",
    [
        DESTINATION.encode("utf-8-sig"),  # what Windows' Notepad writes
        DESTINATION.replace("\n", "\r\n").encode(),
    ],
)
def test_ok__as_other_systems_write_files(data: bytes) -> None:
    assert configuration_from(data, FILE).destinations[0].host == "pacs.example"


# One thing wrong: the text, the key that is named, and what is said of it.
WRONG: list[tuple[str, str, str]] = [
    ("[box]\nae_titel = 'X'", "box.ae_titel", "is not a key that is known here; did you mean 'ae_title'?"),
    ("[boxx]", "boxx", "is not a key that is known here; did you mean 'box'?"),
    ("[box]\nport = 1", "box.port", "is not a key that is known here"),
    (DESTINATION + "hosts = 'x'", "destinations[0].hosts", "is not a key that is known here; did you mean 'host'?"),
    (SERIAL + "bauds = 9600", "devices[0].bauds", "is not a key that is known here; did you mean 'baud'?"),
    (SERIAL + "frame_second = 1", "devices[0].frame_second", "is not a key that is known here"),
    (GRABBER + "frame_second = 1", "devices[0].frame_second", "did you mean 'frame_seconds'?"),
    ("sane = 1", "sane", "is not a key that is known here"),
    ("xmodem = 1", "xmodem", "is not a key that is known here"),
    (FILM + "sane = 1", "devices[0].sane", "is not a key that is known here"),
    (DESTINATION.replace("port = 104", ""), "destinations[0].port", "is missing"),
    (SERIAL.replace('driver = "xmodem"', ""), "devices[0].driver", "is missing"),
    (
        SERIAL.replace("xmodem", "usb"),
        "devices[0].driver",
        "must be one of 'xmodem', 'printer', 'text', 'grabber', 'sane' (it is 'usb')",
    ),
    (
        SERIAL.replace('"xmodem"', '"printer"\nlanguage = "pcl"\ndpi = 1200'),
        "devices[0]",
        "max_pixels must not be below a page of this paper, which has 139201551 pixels",
    ),
    # memory: what the process's unit does not have
    (SERIAL + "max_pixels = 60_000_000", "devices[0]", "takes 464 MiB of memory, and there are 416: give less max_pix"),
    (
        SERIAL.replace('"xmodem"', '"printer"\nlanguage = "pcl"\nmax_pixels = 200_000_000'),
        "devices[0]",
        "takes 596 MiB of memory, and there are 416: give less max_pixels",
    ),
    (
        GRABBER + "clip_queue_bytes = 300_000_000",
        "devices[0]",
        "there are 416: give less clip_queue_bytes or max_frame",
    ),
    # types: no text becomes a number, no number a text, no `true` a port
    (DESTINATION.replace("104", "'104'"), "destinations[0].port", "should be a valid integer (it is '104')"),
    (DESTINATION.replace("104", "true"), "destinations[0].port", "should be a valid integer (it is True)"),
    (DESTINATION.replace("104", "104.5"), "destinations[0].port", "should be a valid integer (it is 104.5)"),
    (DESTINATION + "commitment = 'yes'", "destinations[0].commitment", "should be a valid boolean (it is 'yes')"),
    (DESTINATION + "commitment = 1", "destinations[0].commitment", "should be a valid boolean (it is 1)"),
    ("[box]\ninstitution = 7", "box.institution", "should be a valid string (it is 7)"),
    ("[box]\ninstitution = 2026-11-22", "box.institution", "should be a valid string"),
    ("box = 3", "box", "should be an object (it is 3)"),
    ("[devices]\nname = 'x'", "devices", "should be a valid array"),
    ("devices = [3]", "devices[0]", "should be an object (it is 3)"),
    ("[panel]\nallowed_hosts = 'localhost'", "panel.allowed_hosts", "should be a valid array (it is 'localhost')"),
    ("[panel]\nallowed_hosts = []", "panel.allowed_hosts", "should have at least 1 item"),
    # ranges
    (DESTINATION.replace("104", "0"), "destinations[0].port", "should be greater than or equal to 1 (it is 0)"),
    (DESTINATION.replace("104", "65536"), "destinations[0].port", "should be less than or equal to 65535"),
    (DESTINATION + "connect_seconds = 0.0", "destinations[0].connect_seconds", "should be greater than 0"),
    (DESTINATION + "connect_seconds = inf", "destinations[0].connect_seconds", "should be less than or equal to 120"),
    (DESTINATION + "answer_seconds = nan", "destinations[0].answer_seconds", "should be less than or equal to 600"),
    # shapes
    (DESTINATION.replace("ARCHIVE", "A" * 17), "destinations[0].ae_title", "must be an AE title"),
    (DESTINATION.replace("ARCHIVE", " A"), "destinations[0].ae_title", "must be an AE title"),
    (DESTINATION.replace("ARCHIVE", r"A\\B"), "destinations[0].ae_title", "must be an AE title"),
    (DESTINATION.replace('"archive"', '"Archive"'), "destinations[0].name", "must be a name"),
    (DESTINATION.replace('"archive"', '"../archive"'), "destinations[0].name", "must be a name"),
    (DESTINATION.replace('"archive"', '"a\\n"'), "destinations[0].name", "must be a name"),
    (DESTINATION.replace("pacs.example", ""), "destinations[0].host", "must be a host's name or address"),
    ("[box]\nname = 'abcdefghijklmnopq'", "box.name", "must be a short name"),
    ("[box]\ninstitution = '" + "x" * 65 + "'", "box.institution", "must have at most 64 characters"),
    (SERIAL.replace("US", "us"), "devices[0].modality", "must be 1 to 16 of capital letters"),
    (SERIAL + "station_name = 'seventeen letters'", "devices[0].station_name", "must have at most 16 characters"),
    (SOURCE + "character_set = 'latin1'", "worklist[0].character_set", "must be a DICOM character set"),
    # several together
    (
        DESTINATION + "retry_first_seconds = 60.0\nretry_longest_seconds = 30.0",
        "destinations[0]",
        "retry_longest_seconds must not be below retry_first_seconds",
    ),
    (DESTINATION * 2, "destinations[1].name", "the name 'archive' is used twice"),
    (SERIAL + GRABBER.replace("endoscope", "ultrasound"), "devices[1].name", "the name 'ultrasound' is used twice"),
    # encryption
    (
        DESTINATION + "tls_name = 'x'",
        "destinations[0]",
        "tls_name and tls_pin need tls = true",
    ),
    (SOURCE + "tls_pin = '" + "0" * 64 + "'", "worklist[0]", "tls_name and tls_pin need tls = true"),
    (
        DESTINATION + "tls = true\ntls_name = 'x'\ntls_pin = '" + "0" * 64 + "'",
        "destinations[0]",
        "tls_pin makes tls_name useless",
    ),
    (DESTINATION + "tls = true\ntls_pin = '12:34'", "destinations[0].tls_pin", "must be a certificate's SHA-256"),
    (SOURCE + "tls = true", "worklist[0].tls", "needs the box's own certificate: [tls] is missing"),
    ("[listener]\ntls_port = 2762", "listener.tls_port", "needs the box's own certificate: [tls] is missing"),
    ("[audit]\nhost = 'logs.example'", "audit", "needs the box's own certificate: [tls] is missing"),
    ("[logs]\nhost = 'logs.example'", "logs", "needs the box's own certificate: [tls] is missing"),
    ("[audit]\nhost = 'a'\ntls_name = 'x'\ntls_pin = '" + "0" * 64 + "'", "audit", "tls_pin makes tls_name useless"),
    (
        TLS + DESTINATION + "tls = true",
        "destinations[0].commitment",
        "its reports need listener.tls_port, which is miss",
    ),
    (DESTINATION + "transfer_syntaxes = ['jpeg-baseline']", "destinations[0]", "must have explicit- or implicit-"),
    (DESTINATION + "transfer_syntaxes = ['jpeg']", "destinations[0].transfer_syntaxes[0]", "'jpeg-baseline'"),
    (DESTINATION + "concurrency = 0", "destinations[0].concurrency", "should be greater than or equal to 1"),
    ("[test_patient]\npatient_id = ''", "test_patient.patient_id", "should have at least 1 character"),
    # not even TOML
    ("a", "", "is not TOML: "),
    ("a = 1\na = 2", "", "is not TOML: "),
    ("a = " + "9" * 5000, "", "holds something that is too long or too deep"),
    ("a = 0x" + "f" * 9000, "", "holds something that is too long or too deep"),
    ("a = " + "[" * 20_000, "", "holds something that is too long or too deep"),
]


@pytest.mark.parametrize(("text", "key", "sentence"), WRONG)
def test_fail__what_is_wrong_is_said_with_its_key(text: str, key: str, sentence: str) -> None:
    problems = _problems(text)
    assert list(problems) == [key]
    assert sentence in problems[key]


@pytest.mark.parametrize("text", ["\\\\ISO 2022 IR 87", "ISO 2022 IR 6\\\\ISO 2022 IR 87", "ISO_IR 192", "GB18030", ""])
def test_ok__character_sets_alone_and_together(text: str) -> None:
    assert _read(SOURCE + f'character_set = "{text}"').worklist[0].character_set == text.replace("\\\\", "\\")


def test_ok__spaces_around_a_text_do_not_count() -> None:
    """A description of spaces alone would be a type 1 attribute without a value."""
    device = _read(SERIAL + 'series_description = "   "\nmanufacturer = " Demo "').devices[0]
    assert (device.series_description, device.manufacturer) == ("", "Demo")


def test_fail__all_problems_are_said_at_once() -> None:
    text = DESTINATION.replace("104", "0").replace("host", "hots") + SERIAL.replace("US", "us") + "[bix]\n"
    assert set(_problems(text)) == {
        "destinations[0].port",
        "destinations[0].host",
        "destinations[0].hots",
        "devices[0].modality",
        "bix",
    }


def test_fail__what_sections_must_be_together_is_said_at_once_and_with_its_line() -> None:
    with pytest.raises(ConfigurationError) as refused:
        configuration_from((DESTINATION + "tls = true\n" + SOURCE * 2).encode(), Path("site.toml"))
    problems = {problem.key: problem.line for problem in refused.value.problems}
    lines = (DESTINATION + "tls = true\n" + SOURCE * 2).splitlines()
    second = len(lines) - lines[::-1].index('name = "ris"')
    assert problems == {
        "worklist[1].name": second,
        "destinations[0].tls": lines.index("tls = true") + 1,
        "destinations[0].commitment": lines.index("[[destinations]]") + 1,
    }


def test_fail__a_long_value_is_not_repeated_whole() -> None:
    assert len(_problems("[box]\nname = '" + "x" * 100_000 + "'")["box.name"]) < 200


def test_fail__not_utf_8_is_said_with_the_place() -> None:
    assert _problems(b"# Klinik am H\xfcgel\n") == {"": "is not UTF-8 at byte 13"}


def test_fail__a_file_that_is_too_large(tmp_path: Path) -> None:
    assert "is larger than" in _problems(b"#" * (MAX_FILE_BYTES + 1))[""]
    with pytest.raises(ConfigurationError, match="is larger than"):
        load_configuration(Path("/dev/zero"))  # read no further than to the limit
    (tmp_path / "just.toml").write_bytes(b"#" * MAX_FILE_BYTES)
    assert load_configuration(tmp_path / "just.toml") == Configuration()


@pytest.mark.parametrize(("name", "sentence"), [("none.toml", "No such file"), (".", "Is a directory")])
def test_fail__a_file_that_cannot_be_read(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as refused:
        load_configuration(tmp_path / name)
    assert str(tmp_path / name) in refused.value.sentence


def _configuration_or_problems(data: bytes) -> None:
    try:
        assert isinstance(configuration_from(data, FILE), Configuration)
    except ConfigurationError as error:
        assert error.problems
        assert all(problem.sentence for problem in error.problems)


@given(st.binary(max_size=200))
def test_fail__any_bytes(data: bytes) -> None:
    _configuration_or_problems(data)


_EXAMPLE_LINES = EXAMPLE.read_text().splitlines()


@given(st.data())
def test_fail__the_example_with_one_line_spoiled(data: st.DataObject) -> None:
    lines = list(_EXAMPLE_LINES)
    place = data.draw(st.integers(0, len(lines) - 1))
    key = lines[place].partition("=")[0]
    lines[place] = data.draw(
        st.text(max_size=20)
        | st.sampled_from(["", "nan", "-1", "[]", "{}", "true", "''", "1979-05-27T07:32:00Z", "[[1]]", "1e400"]).map(
            lambda value: f"{key} = {value}"
        )
    )
    _configuration_or_problems("\n".join(lines).encode(errors="surrogatepass"))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "driver", "sane", "0", ""]), inner)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["box", "devices", "destinations", "worklist", "panel", "x"]), _JSON))
def test_fail__any_tree(tree: dict[str, Any]) -> None:
    def toml(value: Any) -> str:
        match value:
            case None:
                return "{}"
            case bool():
                return "true" if value else "false"
            case int() | float():
                return repr(value)
            case str():
                return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
            case list():
                return "[" + ", ".join(map(toml, value)) + "]"
            case dict():
                return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
        raise TypeError

    text = "".join(f"{key} = {toml(value)}\n" for key, value in tree.items())
    tomllib.loads(text)
    _configuration_or_problems(text.encode())


@pytest.mark.parametrize(
    ("more", "is_accepted"),
    [
        ('formats = ["YUYV", "GREY"]\ndeinterlace = true\n', True),
        ('formats = ["YUYV", "MJPEG"]\ndeinterlace = true\n', False),  # nor may it be what is left over
        ("deinterlace = true\n", False),  # MJPEG comes first by default
    ],
)
def test_ok__fields_are_taken_out_of_uncompressed_pictures_alone(more: str, is_accepted: bool) -> None:
    node = GRABBER.replace("grabber.sock", "/dev/appliance/endoscope")
    if is_accepted:
        (device,) = _read(node + more).devices
        assert isinstance(device, GrabberDevice) and device.is_video_node
        assert "below /dev" in str(_problems(GRABBER + more))  # a socket gives JPEG
    else:
        assert "deinterlace needs formats without MJPEG" in str(_problems(node + more))


def test_ok__any_picture_can_be_cut_and_masked() -> None:
    (device,) = _read(GRABBER + "crop = [0, 0, 640, 480]\nmasks = [[0, 0, 64, 16]]\n").devices
    assert isinstance(device, GrabberDevice)
    assert (device.crop, device.masks) == ((0, 0, 640, 480), ((0, 0, 64, 16),))


def test_fail__a_device_with_the_name_of_a_trigger_would_never_be_started() -> None:
    (sentence,) = _problems(SERIAL.replace('"ultrasound"', '"ultrasound-trigger"')).values()
    assert sentence.startswith("must not end in -trigger")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("density_steps = [[900, 3.05], [4100, 2.4], [61000, 0.05]]\n", ""),
        ('photometric = "MONOCHROME1"\ndensity_steps = [[9, 0.05], [41, 1.4], [610, 3.0]]\n', ""),
        ("density_steps = [[900, 3.05], [61000, 0.05]]\n", "needs three steps at least"),
        ("density_steps = [[900, 3.05], [900, 2.4], [61000, 0.05]]\n", "must go up by their samples: 900 follows 900"),
        (
            "density_steps = [[900, 3.05], [4100, 3.1], [61000, 0.05]]\n",
            "must fall in density, since photometric is MONOCHROME2: 3.1 follows 3.05",
        ),
        (
            'photometric = "MONOCHROME1"\ndensity_steps = [[900, 3.05], [4100, 2.4], [61000, 0.05]]\n',
            "must rise in density, since photometric is MONOCHROME1: 2.4 follows 3.05",
        ),
        ("depth = 12\ndensity_steps = [[9, 3.05], [41, 2.4], [4096, 0.05]]\n", "a sample of more than depth = 12 bits"),
        ('compression = "jpeg-ls"\nwidth_mm = 356\nheight_mm = 432\nresolution_dpi = 300\n', ""),
        (
            'compression = "jpeg-ls"\nwidth_mm = 356\nheight_mm = 432\nresolution_dpi = 600\n',
            "compression takes films of 128 MB at most, in memory; this one has 171 MB",
        ),
        ("depth = 7\n", "greater than or equal to 8"),
    ],
)
def test_ok__a_film_s_samples(more: str, problem: str) -> None:
    film = '[[devices]]\nname = "film"\ndriver = "sane"\nmodality = "RG"\nsane_device = "test:0"\n' + more
    if problem:
        assert problem in str(_problems(film))
    else:
        _read(film)
