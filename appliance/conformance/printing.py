"""A document as HTML that prints well, as Markdown, and as DocBook 5."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from appliance.conformance.document import Block, Contents, Document, Flow, Paragraph, Section, Sequence, Table
from appliance.conformance.picture import SVG, flow_svg, sequence_svg

_DOCBOOK = "http://docbook.org/ns/docbook"
_XML = "{http://www.w3.org/XML/1998/namespace}"
_LONG = 40  # sections: so many chapters begin on pages of their own
# Ink on paper: no colour carries a meaning, tables may break and repeat their heads, chapters begin on a page.
STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 "Noto Sans", Helvetica, Arial, sans-serif; color: #111; background: #fff;
       max-width: 75em; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 2em; } h2 { font-size: 1.5em; margin-top: 2em; } h3 { font-size: 1.2em; } h4, h5, h6 { font-size: 1em; }
table { border-collapse: collapse; width: 100%; margin: 1em 0; font-size: .87em; }
caption { text-align: left; font-weight: bold; padding: .3em 0; }
th, td { border: 1px solid #888; padding: .25em .5em; text-align: left; vertical-align: top;
         overflow-wrap: break-word; }
th { background: #eee; } svg { max-width: 100%; height: auto; } figure { margin: 1em 0; break-inside: avoid; }
figcaption { font-weight: bold; } nav a { display: block; color: inherit; }
nav .depth-2 { margin-left: 1em; } nav .depth-3 { margin-left: 2em; } nav .depth-4 { margin-left: 3em; }
nav .depth-5 { margin-left: 4em; }
.back { position: sticky; top: .5em; display: inline-block; padding: .4em 1em; font-size: 1.5em; background: #eee;
        border: 1px solid #888; color: inherit; text-decoration: none; }
@media print { .back { display: none; } body { font-size: 9.5pt; margin: 0; max-width: none; padding: 0; }
  .long h2 { break-before: page; } .long h2.first { break-before: auto; } nav { columns: 3; }
  tbody tr:first-child, tbody tr:nth-child(2) { break-before: avoid; }
  h1, h2, h3, h4, caption { break-after: avoid; } thead { display: table-header-group; } tr { break-inside: avoid; }
  @page { size: A4 landscape; margin: 14mm; } }
"""


class Format(StrEnum):
    """How a document is printed."""

    HTML = "html"
    MARKDOWN = "markdown"
    DOCBOOK = "docbook"


def print_document(document: Document, form: Format, stylesheet: str = "", back: str = "") -> str:
    """The whole document as text.

    HTML has its style in it, or that of the address `stylesheet` (STYLE), and above all a way to the address `back`.
    """
    match form:
        case Format.HTML:
            return _html(document, stylesheet, back)
        case Format.MARKDOWN:
            return _markdown(document)
        case Format.DOCBOOK:
            return _docbook(document)


# -- HTML


def _html(document: Document, stylesheet: str, back: str) -> str:
    page = Element("html", lang="en")
    head = SubElement(page, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width")
    SubElement(head, "title").text = document.title
    if stylesheet:
        SubElement(head, "link", rel="stylesheet", href=stylesheet)
    else:
        SubElement(head, "style").text = STYLE
    body = SubElement(page, "body", {"class": "long"} if len(document.sections) > _LONG else {})
    if back:
        SubElement(body, "a", {"class": "back", "href": back}).text = "←"
    SubElement(body, "h1").text = document.title
    _html_table(body, Table("", ("", ""), document.cover), has_head=False)
    for section in document.sections:
        level = min(section.depth + 1, 6)
        place = {"id": _anchor(section)} | ({"class": "first"} if section is document.sections[0] else {})
        SubElement(body, f"h{level}", place).text = section.heading
        for block in section.blocks:
            _html_block(body, block, document)
    register_namespace("", SVG)
    text = tostring(page, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n"


def _html_block(body: Element, block: Block, document: Document) -> None:
    match block:
        case Paragraph():
            SubElement(body, "p").text = block.text
        case Table():
            _html_table(body, block)
        case Sequence() | Flow():
            figure = SubElement(body, "figure")
            figure.append(sequence_svg(block) if isinstance(block, Sequence) else flow_svg(block))
            SubElement(figure, "figcaption").text = block.caption
        case Contents():
            contents = SubElement(body, "nav")
            for section in document.sections:
                place = {"href": f"#{_anchor(section)}", "class": f"depth-{section.depth}"}
                SubElement(contents, "a", place).text = section.heading


def _html_table(body: Element, table: Table, *, has_head: bool = True) -> None:
    element = SubElement(body, "table")
    if has_head:
        SubElement(element, "caption").text = table.caption
        row = SubElement(SubElement(element, "thead"), "tr")
        for column in table.columns:
            SubElement(row, "th", scope="col").text = column
    rows = SubElement(element, "tbody")
    for cells in table.rows:
        row = SubElement(rows, "tr")
        for cell in cells:
            first, *more = cell.split("\n")
            element = SubElement(row, "td")
            element.text = first
            for line in more:
                SubElement(element, "br").tail = line


# -- Markdown


def _markdown(document: Document) -> str:
    lines = [f"# {document.title}", "", *_markdown_table(Table("", ("", ""), document.cover)), ""]
    for section in document.sections:
        lines += [f"{'#' * min(section.depth + 1, 6)} {section.heading}", ""]
        for block in section.blocks:
            lines += [*_markdown_block(block, document), ""]
    return "\n".join(lines)


def _markdown_block(block: Block, document: Document) -> list[str]:
    match block:
        case Paragraph():
            return [_escaped(block.text)]
        case Table():
            return [f"**{_escaped(block.caption)}**", "", *_markdown_table(block)]
        case Sequence():
            names = [f"  participant P{place} as {name}" for place, name in enumerate(block.participants)]
            arrows = [f"  P{arrow.start}->>P{arrow.end}: {arrow.words}" for arrow in block.arrows]
            return [f"**{block.caption}**", "", "```mermaid", "sequenceDiagram", *names, *arrows, "```"]
        case Flow():
            return _markdown_block(Table(block.caption, ("Activity", "Service", "With"), block.rows), document)
        case Contents():
            return [f"{'  ' * (one.depth - 1)}- {_escaped(one.heading)}" for one in document.sections]


def _markdown_table(table: Table) -> list[str]:
    rows = [table.columns, tuple("---" for _ in table.columns), *table.rows]
    return [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in rows]


def _escaped(text: str) -> str:
    """Without what Markdown takes for its own; a line within a cell is a break."""
    for mark in "\\|*_`<>":
        text = text.replace(mark, f"\\{mark}")
    return "<br>".join(" ".join(line.split()) for line in text.split("\n"))


# -- DocBook


def _docbook(document: Document) -> str:
    article = Element(f"{{{_DOCBOOK}}}article", {"version": "5.0", f"{_XML}lang": "en"})
    info = SubElement(article, f"{{{_DOCBOOK}}}info")
    SubElement(info, f"{{{_DOCBOOK}}}title").text = document.title
    _docbook_table(article, Table("Cover", ("Name", "Value"), document.cover))
    open_sections = [article]
    for section in document.sections:
        del open_sections[section.depth :]
        element = SubElement(open_sections[-1], f"{{{_DOCBOOK}}}section", {f"{_XML}id": _anchor(section)})
        SubElement(element, f"{{{_DOCBOOK}}}title").text = section.heading
        for block in section.blocks:
            if not isinstance(block, Contents):  # whatever prints DocBook makes its own
                _docbook_block(element, block)
        open_sections.append(element)
    register_namespace("", _DOCBOOK)
    register_namespace("svg", SVG)
    indent(article)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(article, encoding="unicode")}\n'


def _docbook_block(element: Element, block: Paragraph | Table | Sequence | Flow) -> None:
    match block:
        case Paragraph():
            SubElement(element, f"{{{_DOCBOOK}}}para").text = block.text
        case Table():
            _docbook_table(element, block)
        case Sequence() | Flow():
            figure = SubElement(element, f"{{{_DOCBOOK}}}figure")
            SubElement(figure, f"{{{_DOCBOOK}}}title").text = block.caption
            media = SubElement(SubElement(figure, f"{{{_DOCBOOK}}}mediaobject"), f"{{{_DOCBOOK}}}imageobject")
            picture = sequence_svg(block) if isinstance(block, Sequence) else flow_svg(block)
            SubElement(media, f"{{{_DOCBOOK}}}imagedata").append(picture)


def _docbook_table(element: Element, table: Table) -> None:
    outer = SubElement(element, f"{{{_DOCBOOK}}}table", frame="all")
    SubElement(outer, f"{{{_DOCBOOK}}}title").text = table.caption
    group = SubElement(outer, f"{{{_DOCBOOK}}}tgroup", cols=str(len(table.columns)))
    _docbook_rows(SubElement(group, f"{{{_DOCBOOK}}}thead"), [table.columns])
    # DocBook wants at least one row.
    _docbook_rows(SubElement(group, f"{{{_DOCBOOK}}}tbody"), table.rows or [("",) * len(table.columns)])


def _docbook_rows(part: Element, rows: Iterable[tuple[str, ...]]) -> None:
    for cells in rows:
        row = SubElement(part, f"{{{_DOCBOOK}}}row")
        for cell in cells:
            entry = SubElement(row, f"{{{_DOCBOOK}}}entry")
            lines = cell.split("\n")
            if len(lines) == 1:
                entry.text = cell
            else:
                for line in lines:
                    SubElement(entry, f"{{{_DOCBOOK}}}para").text = line


def _anchor(section: Section) -> str:
    return f"section-{section.number}"
