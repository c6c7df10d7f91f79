"""The HTML page: its parts and its data in one file."""

import json
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

_ASSETS = files(__package__) / 'assets'


@cache
def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding='utf-8')


def render(title: str, data: dict[str, Any], thumbnails: list[str | None]) -> str:
    """Return the page.

    Args:
        title: of the page.
        data: what ``assets/report.js`` reads; plain JSON values, None for what is not known.
        thumbnails: JPEG files in base64, None for photos that are not there; the items of
            ``data['gallery']`` name them by their place.
    """
    return Template(_asset('report.html')).substitute(
        title=escape(title),
        uplot_css=_asset('uplot.min.css'),
        css=_asset('report.css'),
        uplot_js=_asset('uplot.min.js'),
        charts_js=_asset('charts.js'),
        gallery_js=_asset('gallery.js'),
        js=_asset('report.js'),
        data=embedded(data),
        thumbnails=embedded(thumbnails),
    )


def embedded(value: Any) -> str:
    r"""Return JSON that nothing inside a script element can end or change.

    >>> embedded(['</script>'])
    '["\\u003c/script>"]'
    """
    text = json.dumps(value, ensure_ascii=False, separators=(',', ':'), allow_nan=False)
    # escapes that JSON reads back as they were
    return text.replace('<', '\\u003c').replace('\u2028', '\\u2028').replace('\u2029', '\\u2029')
