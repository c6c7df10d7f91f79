"""Where a checkpoint may stand on a command line, and how many."""

import argparse

import pytest

from mmyolo_lite.apis.cli import (
    add_checkpoint_argument,
    add_config_arguments,
    parse_with_checkpoint,
)


def parse(monkeypatch: pytest.MonkeyPatch, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser('test.py')
    add_config_arguments(parser)
    add_checkpoint_argument(parser)
    parser.add_argument('--show-dir')
    monkeypatch.setattr('sys.argv', ['test.py', *words])
    return parse_with_checkpoint(parser)


@pytest.mark.parametrize(
    'words',
    ['a.py b.pth --show-dir d', 'a.py --show-dir d b.pth', '--show-dir d a.py b.pth'],
)
def test_options_stand_anywhere(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    args = parse(monkeypatch, *words.split())
    assert (args.config, args.checkpoint, args.show_dir) == ('a.py', 'b.pth', 'd')


def test_without_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(monkeypatch, 'published.pth').checkpoint is None


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ('a.py best_1.pth best_2.pth', 'too many words: best_2.pth. One checkpoint is taken'),
        ('a.py b.pth --shwo-dir d', 'unrecognized arguments: --shwo-dir d'),
        ('a.py --cfg-options x=1 b.pth', "'b.pth' is no KEY=VALUE. Lists are"),
        ('a.py b.pth --cfg-options x', "'x' is no KEY=VALUE"),
        ('', 'required: config'),
    ],
)
def test_mistakes(
    words: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parse(monkeypatch, *words.split())
    assert message in capsys.readouterr().err
