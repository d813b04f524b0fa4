"""A film's samples as optical density, from the steps of a wedge: the table of a Modality LUT (PS3.3 C.11.1). Pure."""

from __future__ import annotations

import array
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# LUT values of the type OD are thousandths of the density (PS3.3 C.11.1.1.2).
_THOUSANDTHS = 1000


@dataclass(frozen=True, slots=True)
class DensityTable:
    """The density of each sample from 0 on: `entries` values of 16 bits in `data`, little-endian, in thousandths."""

    entries: int
    data: bytes
    least: int
    most: int


def density_table_from(steps: Sequence[tuple[int, float]], bits: int) -> DensityTable:
    """The table for samples of `bits`, from (sample, optical density) of each step of a wedge as it was measured.

    Between two steps the density goes in a straight line; beyond the outermost ones, where nothing was measured, it is
    theirs. ValueError for fewer than two steps, for samples that do not rise, and for densities that neither rise nor
    fall all the way.
    """
    samples, densities = [sample for sample, _ in steps], [density for _, density in steps]
    if not is_rising(samples) or not (is_rising(densities) or is_rising(densities[::-1])) or len(steps) < 2:
        raise ValueError("steps of a wedge that do not rise or fall all the way")
    if samples[0] < 0 or samples[-1] >> bits or min(densities) < 0:
        raise ValueError("steps of a wedge outside of the samples or densities that there are")
    values = array.array("H", [round(densities[0] * _THOUSANDTHS)]) * samples[0]
    for (low, first), (high, last) in pairwise(steps):
        slope = (last - first) / (high - low)
        values.extend(round((first + slope * at) * _THOUSANDTHS) for at in range(high - low))
    values.extend(array.array("H", [round(densities[-1] * _THOUSANDTHS)]) * ((1 << bits) - samples[-1]))
    least, most = sorted((values[0], values[-1]))
    if sys.byteorder == "big":
        values.byteswap()
    return DensityTable(len(values), values.tobytes(), least, most)


def is_rising(values: Sequence[float]) -> bool:
    """Whether each is more than the one before it."""
    return all(low < high for low, high in pairwise(values))
