"""Sequences and flows as SVG, readable in black and white and on paper."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from appliance.conformance.document import Flow, Sequence

SVG = "http://www.w3.org/2000/svg"
_COLUMN, _ROW, _HEAD, _MARGIN = 220, 34, 44, 110
_BOX_WIDTH, _BOX_HEIGHT = 180, 30
_LETTER = 6.2  # of Helvetica at 11 px, on average


def sequence_svg(sequence: Sequence) -> Element:
    """A column for each participant with its line downwards, an arrow for each message."""
    width = 2 * _MARGIN + _COLUMN * (len(sequence.participants) - 1)
    height = _HEAD + _ROW * (len(sequence.arrows) + 1)
    svg = _canvas(width, height, sequence.caption)
    for place, name in enumerate(sequence.participants):
        across = _MARGIN + _COLUMN * place
        _box(svg, across - _BOX_WIDTH // 2, 4, name)
        _line(svg, across, 4 + _BOX_HEIGHT, across, height - 4, "4 3")
    for number, arrow in enumerate(sequence.arrows):
        down = _HEAD + _ROW * (number + 1)
        start, end = _MARGIN + _COLUMN * arrow.start, _MARGIN + _COLUMN * arrow.end
        if arrow.start == arrow.end:
            _text(svg, start + 8, down, arrow.words, "start")
            SubElement(svg, f"{{{SVG}}}circle", cx=str(start), cy=str(down - 4), r="4")
            continue
        _line(svg, start, down, end, down)
        _head(svg, end, down, 1 if end > start else -1)
        _text(svg, (start + end) // 2, down - 6, arrow.words, "middle")
    return svg


def flow_svg(flow: Flow) -> Element:
    """Services in boxes in the middle; the interface is the dashed line between them and whom they concern."""
    middle, right = 240, 560
    longest = max((len(line) for _, _, who in flow.rows for line in _lines(who, 34)), default=0)
    width = right + int(longest * _LETTER) + 20
    height = 20
    rows = []
    for _activity, service, who in flow.rows:
        lines = _lines(service, 44), _lines(who, 34)
        rows.append((height, lines))
        height += 16 * max(map(len, lines)) + 24
    svg = _canvas(width, height, flow.caption)
    for place, (top, (service_lines, who_lines)) in enumerate(rows):
        tall = 16 * max(len(service_lines), len(who_lines)) + 12
        SubElement(
            svg,
            f"{{{SVG}}}rect",
            {
                "x": "10",
                "y": str(top),
                "width": str(middle + 40),
                "height": str(tall),
                "rx": "8",
                "fill": "none",
                "stroke": "black",
            },
        )
        for number, line in enumerate(service_lines):
            _text(svg, 22, top + 18 + 16 * number, line, "start")
        for number, line in enumerate(who_lines):
            _text(svg, right, top + 18 + 16 * number, line, "start")
        across = top + tall // 2
        _line(svg, middle + 50, across, right - 12, across)
        if place in flow.asked:
            _head(svg, middle + 50, across, -1)
        else:
            _head(svg, right - 12, across, 1)
    _line(svg, 420, 4, 420, height - 4, "6 4")
    return svg


def _canvas(width: int, height: int, caption: str) -> Element:
    svg = Element(f"{{{SVG}}}svg", {"viewBox": f"0 0 {width} {height}", "width": str(width), "role": "img"})
    SubElement(svg, f"{{{SVG}}}title").text = caption
    return svg


def _box(svg: Element, x: int, y: int, words: str) -> None:
    place = {"x": str(x), "y": str(y), "width": str(_BOX_WIDTH), "height": str(_BOX_HEIGHT)}
    SubElement(svg, f"{{{SVG}}}rect", {**place, "rx": "4", "fill": "white", "stroke": "black"})
    _text(svg, x + _BOX_WIDTH // 2, y + 19, words, "middle")


def _line(svg: Element, x1: int, y1: int, x2: int, y2: int, dashes: str = "") -> None:
    ends = {"x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2), "stroke": "black"}
    SubElement(svg, f"{{{SVG}}}line", ends | ({"stroke-dasharray": dashes} if dashes else {}))


def _head(svg: Element, x: int, y: int, direction: int) -> None:
    back = x - 9 * direction
    SubElement(svg, f"{{{SVG}}}polygon", points=f"{x},{y} {back},{y - 4} {back},{y + 4}")


def _text(svg: Element, x: int, y: int, words: str, anchor: str) -> None:
    style = {"font-family": "Helvetica, Arial, sans-serif", "font-size": "11", "text-anchor": anchor}
    # Letters stand on paper, whatever line runs below them.
    style |= {"paint-order": "stroke", "stroke": "white", "stroke-width": "4"}
    SubElement(svg, f"{{{SVG}}}text", {"x": str(x), "y": str(y), **style}).text = words


def _lines(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` letters, where its words allow."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
