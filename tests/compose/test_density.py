"""A wedge's steps as a table of densities: by hand, by a reckoning of numpy's, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut

from appliance.compose.density import density_table_from
from tests.compose.world import STEPS, film_of

FALLING = ((2, 3.0), (4, 2.0), (8, 0.0))


def densities_of(steps: tuple[tuple[int, float], ...], bits: int) -> np.ndarray:
    table = density_table_from(steps, bits)
    found = np.frombuffer(table.data, "<u2")
    assert len(found) == table.entries == 1 << bits
    assert (found.min(), found.max()) == (table.least, table.most)
    return found


def test_ok__by_hand() -> None:
    found = densities_of(FALLING, 8)
    assert list(found[:10]) == [3000, 3000, 3000, 2500, 2000, 1500, 1000, 500, 0, 0]
    assert not found[8:].any()


def test_ok__a_digitizer_that_gives_densities_rises() -> None:
    assert list(densities_of(((0, 0.0), (255, 2.55)), 8)) == list(range(0, 2551, 10))


@settings(max_examples=30, deadline=None)
@given(
    samples=st.lists(st.integers(0, 65535), min_size=2, max_size=20, unique=True),
    densities=st.lists(st.integers(0, 6000), min_size=20, max_size=20, unique=True),
    is_rising=st.booleans(),
)
def test_ok__as_numpy_reckons(samples: list[int], densities: list[int], is_rising: bool) -> None:
    samples = sorted(samples)
    levels = sorted(densities[: len(samples)], reverse=not is_rising)
    found = densities_of(tuple((at, level / 1000) for at, level in zip(samples, levels, strict=True)), 16)
    wanted = np.interp(np.arange(65536), samples, levels)
    assert np.abs(found - wanted).max() <= 0.501
    steps = np.diff(found.astype(int))
    assert (steps >= 0).all() if is_rising else (steps <= 0).all()


@pytest.mark.parametrize(
    "steps",
    [
        (),
        ((0, 1.0),),
        ((5, 1.0), (5, 0.5)),
        ((9, 1.0), (5, 0.5)),
        ((1, 1.0), (2, 0.5), (3, 0.7)),
        ((1, 1.0), (2, 1.0), (3, 0.7)),
        ((1, 1.0), (256, 0.5)),
        ((-1, 1.0), (25, 0.5)),
        ((1, 1.0), (25, -0.5)),
    ],
)
def test_fail__no_wedge(steps: tuple[tuple[int, float], ...]) -> None:
    with pytest.raises(ValueError, match="steps of a wedge"):
        density_table_from(steps, 8)


def test_ok__a_reader_sees_densities_and_dark_where_they_are_high(tmp_path: Path) -> None:
    """pydicom's Modality LUT is another's; MONOCHROME1 shows what is high behind it as black."""
    made = film_of(density_steps=STEPS)(tmp_path / "film.dcm", None)
    stored = dcmread(made.path)
    (table,) = stored.ModalityLUTSequence
    assert (table.LUTDescriptor, table.ModalityLUTType, table["LUTData"].VR) == ([0, 0, 16], "OD", "OW")
    assert (stored.PhotometricInterpretation, stored.WindowCenter, stored.WindowWidth) == ("MONOCHROME1", 1550, 2901)
    seen = apply_modality_lut(stored.pixel_array, stored)
    samples, levels = zip(*STEPS, strict=True)
    assert np.abs(seen - np.interp(stored.pixel_array, samples, np.array(levels) * 1000)).max() <= 0.501
