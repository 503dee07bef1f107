"""HTML by element. No page is written as a string, so every text and attribute is escaped; what is not printable is left out."""

from typing import Final
from xml.etree import ElementTree

from lore_operator.cli.output import printable

Element = ElementTree.Element
Child = Element | str

STYLE: Final = """
body{font:15px/1.45 sans-serif;max-width:1180px;margin:0 auto;padding:0 20px 40px;color:#1c1c1c}
header{display:flex;gap:16px;align-items:center;border-bottom:1px solid #d5d5d5;padding:10px 0;margin-bottom:18px}
header form{margin:0}header .who{margin-left:auto;color:#5c5c5c}
h1{font-size:22px}h2{font-size:17px;margin-top:28px}a{color:#1f5fa8}
table{border-collapse:collapse;margin:8px 0 20px}th,td{border:1px solid #d5d5d5;padding:4px 9px;text-align:left;vertical-align:top}
th{background:#f3f3f3}td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:12px;word-break:break-all}
td:last-child{overflow-wrap:anywhere}td.d1{padding-left:32px}td.d2{padding-left:56px}td.d3{padding-left:80px}.note{color:#5c5c5c}
.state{display:inline-block;padding:1px 9px;border-radius:4px;color:#fff;background:#6b6b6b}
.Ready,.Passed,.Stable{background:#2c7a4b}.Stalled,.Failed,.Blocked{background:#b3261e}
.Working,.Candidate,.Waiting{background:#1f5fa8}.Suspended,.Inconclusive,.Missing,.Disabled{background:#8a6d00}
tr.now td{background:#eef4fb}label{display:block;margin:10px 0 3px}input{font:inherit;padding:4px 7px;width:30em;max-width:100%}
button{font:inherit;padding:4px 14px;margin-top:8px}
"""


def tag(name: str, /, *children: Child, **attributes: str) -> Element:
    """An element; `class_` stands for the attribute `class`."""
    found = Element(name, {key.rstrip("_"): printable(value) for key, value in attributes.items()})
    for child in children:
        if not isinstance(child, str):
            found.append(child)
        elif len(found):
            found[-1].tail = (found[-1].tail or "") + printable(child)
        else:
            found.text = (found.text or "") + printable(child)
    return found


def table(heads: list[str], rows: list[Element]) -> Element:
    """A table; each row is a `tr`."""
    return tag("table", tag("tr", *(tag("th", head) for head in heads)), *rows)


def cells(*values: Child) -> list[Element]:
    """One `td` a value."""
    return [tag("td", value) for value in values]


def chip(word: str) -> Element:
    """A state as a coloured word; a word that the style does not know is grey."""
    return tag("span", word, class_=f"state {word}" if word.isalpha() else "state") if word else tag("span")


def drawing(chart: str) -> Element:
    """A chart of lore_core.chart as an element. Names in it must be printable: XML knows no control characters."""
    return ElementTree.fromstring(chart)


def document(title: str, *body: Element) -> str:
    """A whole page."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", title),
        tag("link", rel="stylesheet", href="/style.css"),
    )
    page = tag("html", head, tag("body", *body), lang="en")
    return "<!doctype html>\n" + ElementTree.tostring(page, encoding="unicode", method="html") + "\n"
