"""Types are found under both scopes, with and without prefix, and quietly."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import mmengine.registry as root
import pytest
from mmengine.registry import DefaultScope
from torch import nn

from mmyolo_lite import registry
from mmyolo_lite.models.coder import YOLOv5BBoxCoder
from mmyolo_lite.registry import MODELS, TASK_UTILS
from tests.shared_data import REPO

SCOPES = ['mmyolo_lite', 'mmyolo']


@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('table', [root.TASK_UTILS, TASK_UTILS])
def test_types_without_prefix_under_a_default_scope(scope: str, table: Any) -> None:
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(table.build({'type': 'YOLOv5BBoxCoder'}), YOLOv5BBoxCoder)
        assert type(root.HOOKS.build({'type': 'YOLOv5ParamSchedulerHook'})).__module__.startswith(
            'mmyolo_lite.'
        )
        # and those of the packages below ours
        assert root.HOOKS.build({'type': 'EMAHook'}) is not None
        assert root.MODELS.build({'type': 'mmdet.CrossEntropyLoss'}) is not None


@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize('default_scope', [None, 'mmengine', 'mmdet', *SCOPES])
def test_types_with_prefix_under_any_default_scope(scope: str, default_scope: str | None) -> None:
    with DefaultScope.overwrite_default_scope(default_scope):
        for table in (root.TASK_UTILS, TASK_UTILS):
            assert isinstance(table.build({'type': f'{scope}.YOLOv5BBoxCoder'}), YOLOv5BBoxCoder)


@pytest.mark.parametrize('scope', SCOPES)
def test_a_scope_given_beside_the_type(scope: str) -> None:
    assert isinstance(
        root.TASK_UTILS.build({'type': 'YOLOv5BBoxCoder', '_scope_': scope}), YOLOv5BBoxCoder
    )


class Extension(nn.Module):
    """A component of a user."""


@pytest.fixture
def registered() -> Iterator[None]:
    MODELS.register_module(name='TestExtension', module=Extension)
    yield
    MODELS.module_dict.pop('TestExtension')


@pytest.mark.usefixtures('registered')
@pytest.mark.parametrize('scope', SCOPES)
def test_extensions_are_found_under_both_scopes(scope: str) -> None:
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(root.MODELS.build({'type': 'TestExtension'}), Extension)
    assert isinstance(root.MODELS.build({'type': f'{scope}.TestExtension'}), Extension)


def test_extensions_registered_under_the_alias_are_found_under_ours() -> None:
    twin = root.MODELS.children['mmyolo']
    twin.register_module(name='TestExtension', module=Extension)
    try:
        assert isinstance(MODELS.build({'type': 'TestExtension'}), Extension)
    finally:
        MODELS.module_dict.pop('TestExtension')


def test_every_table_of_mmengine_has_a_child() -> None:
    ours = {table.name for table in vars(registry).values() if isinstance(table, root.Registry)}
    theirs = {table.name for table in vars(root).values() if isinstance(table, root.Registry)}
    assert theirs <= ours


FRESH = """
import warnings
warnings.simplefilter('error')
warnings.filterwarnings('ignore', '.*torch.jit.*|.*pkg_resources.*')
warnings.filterwarnings('ignore', 'Implicitly cleaning up', ResourceWarning)  # PyTorch 2.4
warnings.filterwarnings('ignore', '.* deprecated - use ', DeprecationWarning)  # matplotlib < 3.10
warnings.filterwarnings('ignore', category=ImportWarning)
warnings.filterwarnings('ignore', category=DeprecationWarning, module='mm')
import mmyolo_lite
from mmengine.registry import DefaultScope, MODELS, TASK_UTILS
for scope in ('mmyolo', 'mmyolo_lite'):
    with DefaultScope.overwrite_default_scope(scope):
        TASK_UTILS.build(dict(type='YOLOv5BBoxCoder'))
    MODELS.build(dict(type=scope + '.IoULoss', iou_mode='ciou'))
import sys
assert 'mmyolo' not in sys.modules
print('built')
"""


def test_a_fresh_process_builds_quietly() -> None:
    # in a process of its own: registries load their packages once
    done = subprocess.run(
        [sys.executable, '-c', FRESH], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # the fork onedl-mmdetection tells of a package of its makers at every import
    assert [line for line in done.stdout.split('\n') if 'OneDL' not in line] == ['built', '']
    # PyTorch 2.4 warns of its own optimizers, whatever is filtered
    own = ('TorchScript', 'torch.distributed.optim')
    assert [line for line in done.stderr.splitlines() if not any(x in line for x in own)] == []
