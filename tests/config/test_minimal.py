"""What is typed at a new box's panel: what is wrong with each field, and the text that comes of what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.base.errors import ApplianceError
from appliance.config.first import summary_from
from appliance.config.load import configuration_from
from appliance.config.minimal import FIELDS, problems_of, text_from, typed_from

_RIGHT: dict[str, Any] = {
    "name": "room-9",
    "ae_title": "ROOM9",
    "is_fixed": True,
    "address": "10.0.0.5/24",
    "gateway": "10.0.0.1",
    "dns": "10.0.0.2, 10.0.0.3",
    "worklist_host": "ris.hospital.example",
    "worklist_port": "104",
    "worklist_ae_title": "RIS",
    "destination_host": "10.0.0.9",
    "destination_port": "11112",
    "destination_ae_title": "PACS",
    "has_commitment": True,
}
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUvdjTnTpPLBRrxqkEgCjMdLhnRfTMd2ZK6CIwnrb0l maria"
_BROUGHT = f"""# What the image brought.
[box]
name = "bridge"   # its label
[network]
interface = "eth1"
address = "192.168.1.2/24"
gateway = "192.168.1.1"
[firewall]
ssh_from = ["10.20.0.0/16"]
[[support_keys]]
name = "maria"
role = "admin"
key = "{_KEY}"
"""


def _problems(**typed: Any) -> dict[str, str]:
    return problems_of(typed_from({**_RIGHT, **typed}))


def test_ok__what_is_right_has_no_problem() -> None:
    assert _problems() == {}
    assert _problems(address="2001:db8::5/64", gateway="fe80::1", dns="2001:db8::2", worklist_host="2001:db8::7") == {}
    assert _problems(gateway="", dns="", worklist_host="10.0.0.7") == {}
    assert _problems(is_fixed=False, address="nonsense", gateway="", dns="") == {}
    assert _problems(name="  room-9 ", worklist_ae_title=" RIS ") == {}


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"name": ""}, {"name": "missing"}),
        ({"name": "Room 9"}, {"name": "name"}),
        ({"name": "r" * 17}, {"name": "name"}),
        ({"ae_title": "KÖLN"}, {"ae_title": "ae_title"}),
        ({"ae_title": "A" * 17}, {"ae_title": "ae_title"}),
        ({"worklist_ae_title": "A\\B"}, {"worklist_ae_title": "ae_title"}),
        ({"destination_ae_title": ""}, {"destination_ae_title": "missing"}),
        ({"address": ""}, {"address": "missing"}),
        ({"address": "10.0.0.5"}, {"address": "address"}),
        ({"address": "10.0.0.0/24"}, {"address": "address"}),
        ({"address": "127.0.0.1/8"}, {"address": "address"}),
        ({"address": "2001:db8::5"}, {"address": "address", "gateway": ""}),
        ({"gateway": "10.0.1.1"}, {"gateway": "gateway"}),
        ({"gateway": "10.0.0.5"}, {"gateway": "gateway"}),
        ({"gateway": "router"}, {"gateway": "gateway"}),
        ({"dns": "10.0.0.2 dns"}, {"dns": "dns"}),
        ({"dns": "1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5"}, {"dns": "dns"}),
        ({"worklist_host": "10.0.0.300"}, {"worklist_host": "host"}),
        ({"worklist_host": "10.0.0"}, {"worklist_host": "host"}),
        ({"worklist_host": "ris hospital"}, {"worklist_host": "host"}),
        ({"worklist_host": "0.0.0.0"}, {"worklist_host": "host"}),
        ({"dns": ""}, {"worklist_host": "host_without_dns"}),
        ({"destination_host": "10.0.0.5"}, {"destination_host": "host_is_box"}),
        ({"destination_port": "0"}, {"destination_port": "port"}),
        ({"destination_port": "65536"}, {"destination_port": "port"}),
        ({"worklist_port": "104x"}, {"worklist_port": "port"}),
        ({"worklist_port": "١٠٤"}, {"worklist_port": "port"}),
        ({"worklist_port": ""}, {"worklist_port": "missing"}),
    ],
)  # fmt: skip
def test_fail__a_field_that_cannot_be_is_told(typed: dict[str, Any], wrong: dict[str, str]) -> None:
    found = _problems(**typed)
    assert {field: found.get(field, "") for field in wrong} == wrong
    assert set(found) == {field for field, word in wrong.items() if word}


def test_ok__what_the_image_brought_stays() -> None:
    text = text_from(typed_from(_RIGHT), _BROUGHT)
    after = configuration_from(text.encode(), Path("active.toml"))
    assert "# What the image brought." in text and "# its label" in text
    assert [one.name for one in after.support_keys] == ["maria"] and after.firewall.ssh_from == ("10.20.0.0/16",)
    assert after.network is not None and after.network.interface == "eth1"
    assert summary_from(after) == {
        "name": "room-9",
        "ae_title": "ROOM9",
        "address": "10.0.0.5/24",
        "gateway": "10.0.0.1",
        "dns": ["10.0.0.2", "10.0.0.3"],
        "worklist": [{"ae_title": "RIS", "host": "ris.hospital.example", "port": 104, "tls": False}],
        "destinations": [{"ae_title": "PACS", "host": "10.0.0.9", "port": 11112, "tls": False, "commitment": True}],
        "performed_step": None,
        "devices": [],
        "support": ["maria"],
        "report_port": 11119,
    }


def test_ok__dhcp_takes_a_fixed_address_away() -> None:
    text = text_from(typed_from({**_RIGHT, "is_fixed": False}), _BROUGHT)
    network = configuration_from(text.encode(), Path("active.toml")).network
    assert network is not None and (network.interface, network.address, network.gateway) == ("eth1", None, None)


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ({}, "0.0.0.0"),
        ({"is_fixed": False}, "0.0.0.0"),
        ({"address": "2001:db8::5/64", "gateway": ""}, "::"),
        ({"has_commitment": False}, "127.0.0.1"),
    ],
)
def test_ok__reports_of_commitment_can_arrive(typed: dict[str, Any], host: str) -> None:
    after = configuration_from(text_from(typed_from({**_RIGHT, **typed}), "").encode(), Path("active.toml"))
    assert after.listener.host == host
    assert after.destinations[0].commitment is typed.get("has_commitment", True)


@pytest.mark.parametrize("body", [{"name": 7}, {"is_fixed": "yes"}, {"name": "x" * 254}, {"has_commitment": None}])
def test_fail__a_request_that_is_no_form(body: dict[str, Any]) -> None:
    with pytest.raises(ApplianceError, match="is not the form"):
        typed_from(body)


def test_fail__a_box_whose_file_is_no_toml() -> None:
    with pytest.raises(ApplianceError, match="not TOML"):
        text_from(typed_from(_RIGHT), "[box")


_TEXTS = st.text(max_size=40) | st.sampled_from([str(value) for value in _RIGHT.values()])


@settings(deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(FIELDS, _TEXTS)), st.booleans(), st.booleans())
def test_ok__what_has_no_problem_is_a_configuration(typed: dict[str, str], is_fixed: bool, commits: bool) -> None:
    """Whatever is typed: the form lets nothing through that the schema would refuse."""
    form = typed_from({**_RIGHT, **typed, "is_fixed": is_fixed, "has_commitment": commits})
    if not problems_of(form):
        configuration_from(text_from(form, _BROUGHT).encode(), Path("active.toml"))


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(FIELDS), _TEXTS)
def test_ok__one_field_of_the_right_ones(field: str, text: str) -> None:
    form = typed_from({**_RIGHT, field: text})
    if not problems_of(form):
        configuration_from(text_from(form, _BROUGHT).encode(), Path("active.toml"))
