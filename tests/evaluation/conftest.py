"""What tests of scores start from: an annotation file, and each of the backends."""

from pathlib import Path

import pytest

from tests.evaluation import samples as given

BACKENDS = ('pycocotools', 'faster_coco_eval')


@pytest.fixture
def ann_file(tmp_path: Path) -> Path:
    return given.write_set(tmp_path)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return request.param
