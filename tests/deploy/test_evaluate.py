"""An exported file scored as a checkpoint is."""

import pytest
from mmengine.config import Config

from mmyolo_lite.apis.label_files import coco_dataset
from mmyolo_lite.apis.predictor import Predictor
from mmyolo_lite.datasets.file_io import write_json
from mmyolo_lite.deploy.evaluate import use_exported
from mmyolo_lite.engine.config import TEST_PARTS, load_config
from mmyolo_lite.engine.runner import test as run_test
from mmyolo_lite.errors import ConfigError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword"
)


@pytest.fixture(scope='module')
def truth(toy, tmp_path_factory):
    """The best predictions of the model as the truth, so that there is something to score."""
    path = tmp_path_factory.mktemp('truth') / 'truth.json'
    found = list(Predictor(toy.config, toy.checkpoint, 'cpu', score_thr=0.36)(toy.images))
    write_json(coco_dataset(found, found[0].class_names), path)
    return path


def scores(toy, folder, truth, exported_path=None, options=None):
    config: Config = load_config(toy.config, options, TEST_PARTS)
    config.work_dir, config.experiment_name = str(folder), f'scores_{folder.name}'
    config.visualizer.name = config.experiment_name  # one of a name in a process
    config.test_dataloader.dataset.ann_file = str(truth)
    config.test_evaluator.ann_file = str(truth)
    config.load_from = str(toy.checkpoint)
    if exported_path is not None:
        use_exported(config, exported_path)
    return run_test(config)


@pytest.mark.parametrize('nms', ['graph', 'none'])
def test_average_precision_is_that_of_the_checkpoint(toy, exported, tmp_path, truth, nms):
    wanted = scores(toy, tmp_path / f'wanted_{nms}', truth)
    found = scores(toy, tmp_path / f'found_{nms}', truth, exported(nms=nms))
    assert wanted['coco/bbox_mAP'] > 0.8 < wanted['coco/segm_mAP']
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=0.001), name


def test_masks_of_a_file_without(toy, exported, tmp_path, truth):
    with pytest.raises(ConfigError, match='segm'):
        scores(toy, tmp_path / 'masks', truth, exported(boxes_alone=True))


def test_other_classes(toy, exported, tmp_path, truth):
    options = {'test_dataloader.dataset.metainfo.classes': ('kite',)}
    with pytest.raises(ConfigError, match=r'balloon.*kite'):
        scores(toy, tmp_path / 'classes', truth, exported(), options)


def test_augmented_views_and_missing_files(toy, exported, tmp_path):
    config = load_config(toy.config)
    with pytest.raises(ConfigError, match='--tta'):
        use_exported(config, exported(), with_tta=True)
    with pytest.raises(ConfigError, match='not found'):
        use_exported(config, tmp_path / 'none.onnx')
