"""Reports as self-contained HTML files, with styles, tables and pictures inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}caption{text-align:left;color:#555}
th,td{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}
pre{background:#f6f6f6;padding:1rem;overflow:auto;font-size:12px}
"""


def page(title: str, parts: Iterable[str], style: str = "") -> str:
    """Return a complete page; the title and the parts must be HTML already, `style` is more CSS."""
    head = f"<meta charset=utf-8><title>{title}</title><style>{_STYLE}{style}</style>"
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table of plain texts, which are escaped here."""

    def line(cells: Iterable[object], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(str(c))}</{tag}>" for c in cells) + "</tr>"

    body = "".join(line(row, "td") for row in rows)
    return (
        f"<table><caption>{escape(caption)}</caption><thead>{line(heads, 'th')}</thead>"
        f"<tbody>{body}</tbody></table>"
    )


def svg(image: bytes) -> str:
    """Return an SVG file as an element of the page."""
    text = image.decode()
    return text[text.index("<svg") :]


def percent(share: float | None) -> str:
    """Format a share as `12.3 %`, or as an empty text for None."""
    return "" if share is None else f"{100 * share:.1f} %"
