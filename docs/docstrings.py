"""Turns what docstrings borrow from reStructuredText into Markdown, for the API pages."""

import re
from typing import Any

import griffe

ROLE = re.compile(r':(?:func|class|meth|mod|data|attr|exc):`~?([^`]*)`')
# a doctest outside of a section: from its first prompt to the next empty line
DOCTEST = re.compile(r'^(?P<indent> *)>>> .*?(?=\n[ ]*\n|\Z)', re.MULTILINE | re.DOTALL)
LITERAL = re.compile(r'::$', re.MULTILINE)


class AsMarkdown(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(text: str) -> str:
    """Return a docstring with roles as code, doctests as fenced blocks and no double colons.

    >>> as_markdown('See :func:`~a.b` ::')
    'See `a.b` :'
    """
    text = LITERAL.sub(':', ROLE.sub(r'`\1`', text))
    return DOCTEST.sub(r'\g<indent>```pycon\n\g<0>\n\g<indent>```', text)
