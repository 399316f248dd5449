"""Tables and figures for notebooks: what `_repr_html_` of the public types is made of."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of plain values; all text is escaped, None is shown as a dash."""

    def row(cell: str, values: Sequence[object]) -> str:
        return "<tr>" + "".join(f"<{cell}>{escape(_text(value))}</{cell}>" for value in values) + "</tr>"

    body = "".join(row("td", values) for values in rows)
    return f"<table><caption>{escape(caption)}</caption><thead>{row('th', head)}</thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
