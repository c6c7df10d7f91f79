"""Python on the pages: configs are loaded and checked as trainings do, programs run."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks, pages
from tests.docs.rules import Rule, Way
from tests.docs.shell import Shell

BLOCKS = [b for path in pages() for b in blocks(path) if b.language in ('python', 'py', 'pycon')]
BASE = "_base_ = 'configs/yolov5/ins_seg/yolov5_ins_n-v61_320_sample_instance.py'\n"
MODULE = re.compile(r'# ([\w/]+\.py)\n')


def is_config(block: Block) -> bool:
    """Tell whether a block sets fields and does nothing else."""
    plain = (ast.Assign, ast.AugAssign, ast.ImportFrom)
    body = ast.parse(block.text).body
    return all(
        isinstance(statement, plain)
        and getattr(statement, 'module', 'mmengine.config') == 'mmengine.config'
        for statement in body
    )


def named(chosen: list[Block]) -> list:
    return [pytest.param(block, id=f'{block.page}:{block.line}') for block in chosen]


def test_blocks_are_python() -> None:
    for block in BLOCKS:
        compile(block.text, f'{block.page}, line {block.line}', 'exec')
    assert len(BLOCKS) >= 8


CHECK = """
from mmyolo_lite.engine.config import TRAIN_PARTS, check_files, load_config
config = load_config('documented_config.py', None, TRAIN_PARTS)
check_files(config, TRAIN_PARTS)
"""


@pytest.mark.parametrize('block', named([block for block in BLOCKS if is_config(block)]))
def test_config_loads(block: Block, here: Path, shell: Shell) -> None:
    text = block.text if '_base_ =' in block.text else BASE + block.text
    write_modules(block.page, here)
    (here / 'documented_config.py').write_text(text)
    (here / 'check.py').write_text(CHECK)
    done = shell.run(here, 'PYTHONPATH=. python check.py')
    assert done.code == 0, f'{text}\n{done.err[-3000:]}'


def write_modules(page: str, folder: Path) -> None:
    """Write the blocks of a page that say a file's name in their first line."""
    for block in BLOCKS:
        name = MODULE.match(block.text)
        if block.page == page and name:
            (folder / name[1]).parent.mkdir(exist_ok=True, parents=True)
            (folder / name[1]).write_text(block.text)


@pytest.mark.parametrize('block', named([block for block in BLOCKS if not is_config(block)]))
def test_program_runs(block: Block, here: Path, shell: Shell) -> None:
    (here / 'documented.py').write_text(Rule('', Way.LITTLE).script(block.text))
    shell.run(here, 'python documented.py').check()
