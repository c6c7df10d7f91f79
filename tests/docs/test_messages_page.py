"""docs/messages.md is what the source says."""

import ast

import pytest

from mmyolo_lite import errors
from tests.docs.messages import PAGE, messages, page, template, user_errors


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text('utf-8') == page(), 'run python -m tests.docs.messages'


def test_all_kinds_of_errors_are_found() -> None:
    kinds = user_errors()
    assert {'ConfigError', 'DataError', 'CheckpointError', 'DependencyError'} <= kinds
    assert {message.kind for message in messages()} <= kinds
    assert all(
        issubclass(getattr(errors, name), errors.UserError)
        for name in kinds
        if hasattr(errors, name)
    )
    assert len(messages()) > 400


@pytest.mark.parametrize(
    ('source', 'text'),
    [
        ("'plain'", 'plain'),
        ("f'{name!r} is {len(given)} of {self.total}'", '{name} is {number} of {total}'),
        ('f\'one of {", ".join(names)}\'', 'one of {names}'),
        ("f'{a if b else c}.' + f'{hint}'", '{a or c}.{hint}'),
        ('str(error)', ''),
    ],
)
def test_templates(source: str, text: str) -> None:
    assert template(ast.parse(source, mode='eval').body) == text


def test_every_message_has_words() -> None:
    for message in messages():
        assert len(message.text) > 10, message
        assert '\n' not in message.text
