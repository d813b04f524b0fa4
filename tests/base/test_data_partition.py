"""What the boot left word of, and that nobody else leaves a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.base.data_partition import read_data_findings


def left(run: Path, word: str) -> list[tuple[str, str]]:
    (run / "data").write_text(f"{word}\n", encoding="ascii")
    return [(one.code, one.sentence.partition(":")[0]) for one in read_data_findings(run)]


def test_ok__nothing_is_told_of_a_partition_that_is_whole(tmp_path: Path) -> None:
    assert read_data_findings(tmp_path) == ()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("mended", ("data-mended", "The data partition was damaged and was mended")),
        ("lost", ("data-lost", "The data partition was missing and was made anew")),
        ("damaged", ("data-damaged", "The data partition cannot be used")),
    ],
)
def test_ok__what_the_boot_found_is_told(tmp_path: Path, word: str, told: tuple[str, str]) -> None:
    assert left(tmp_path, word) == [told]


def test_fail__a_word_that_nobody_leaves(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="broken"):
        left(tmp_path, "broken")


def test_ok__the_words_are_those_that_the_image_leaves() -> None:
    program = Path(__file__).parents[2] / "image/mkosi.extra/usr/sbin/mount.appliance"
    said = {line.split("say ")[1].split(";")[0].strip() for line in program.read_text().splitlines() if "say " in line}
    assert said == {"mended", "lost", "damaged"}
