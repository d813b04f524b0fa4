"""The Host header, read as RFC 9110 7.2 has it, and never more generously."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.console.guard import host_from, is_unix_socket


def test_ok__names_with_and_without_port() -> None:
    for value, host in {
        "localhost": "localhost",
        "LocalHost:8080": "localhost",
        "127.0.0.1:80": "127.0.0.1",
        "[::1]": "[::1]",
        "[::1]:8080": "[::1]",
        "": "",
    }.items():
        assert host_from(value) == host


def test_fail__what_is_malformed_is_nobody() -> None:
    for value in ("localhost:", "localhost:80a", "localhost:80:", "a@localhost:x", "localhost, evil.example:y"):
        assert host_from(value) != "localhost", value


@given(st.text(max_size=40))
def test_ok__only_the_name_itself_is_the_name(value: str) -> None:
    if host_from(value) == "localhost":
        name, _, port = value.partition(":")
        assert name.lower() == "localhost"
        assert port == "" or port.isdecimal()


def test_ok__a_unix_socket_has_no_port() -> None:
    assert is_unix_socket({"type": "http", "server": ("/run/appliance/console.sock", None)})
    assert is_unix_socket({"type": "http", "server": None})
    assert not is_unix_socket({"type": "http", "server": ("127.0.0.1", 8080)})
