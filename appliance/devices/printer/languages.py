"""Which decoder speaks which printer's language."""

from __future__ import annotations

from typing import Literal

from appliance.devices.printer import escp, pcl
from appliance.devices.printer.decoder import PrinterDecoder
from appliance.devices.printer.escp import EscpDecoder
from appliance.devices.printer.escpos import EscposDecoder
from appliance.devices.printer.paper import Paper, PaperSize
from appliance.devices.printer.pcl import PclDecoder

Language = Literal["escp9", "escp24", "escpos", "pcl"]


def decoder_of(language: Language, size: PaperSize) -> PrinterDecoder:
    """A printer of `language` with this paper in it, just switched on."""
    match language:
        case "escp9":
            return EscpDecoder(Paper(size, escp.UNITS), 9)
        case "escp24":
            return EscpDecoder(Paper(size, escp.UNITS), 24)
        case "escpos":
            return EscposDecoder(Paper(size, size.dpi), size.dpi)
        case "pcl":
            return PclDecoder(Paper(size, pcl.UNITS))
