"""Pictures of a run in its work dir, and the file of results that they are drawn from."""

import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmyolo_lite.datasets.coco_truth import no_garbage_collection
from mmyolo_lite.datasets.statistics import BoxTable, box_table
from mmyolo_lite.engine.hooks.results_csv import FILE_NAME, progress, read_rows
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.evaluation.coco_metric import CocoMetric
from mmyolo_lite.evaluation.results_file import read_results, results_content, write_results
from mmyolo_lite.registry import HOOKS
from mmyolo_lite.visualization.batch_pictures import results_pictures, train_batch_picture
from mmyolo_lite.visualization.drawing import Legend
from mmyolo_lite.visualization.picture_files import save_figure, save_jpeg
from mmyolo_lite.visualization.run_plots import (
    plot_course,
    plot_labels,
    result_figures,
)
from mmyolo_lite.visualization.vis_backends import record_picture

VAL_FILE, TEST_FILE = 'val_results.json', 'test_results.json'
FALLBACK_KEYS = ('coco/segm_mAP', 'coco/bbox_mAP')
MAX_LABEL_IMAGES = 20_000
"""Images of a training set that labels.jpg looks at, evenly spread."""


@HOOKS.register_module()
class RunPicturesHook(Hook):
    """Leave pictures of a run, as users of YOLO know them, and the numbers behind them.

    In the work dir: ``labels.jpg`` and ``train_batch0.jpg`` and so on from the beginning of a
    training; ``val_results.json`` from the best validation so far; and drawn from that at the end
    ``results.png``, ``Box...`` and ``Mask..._curve.png``, ``confusion_matrix.png`` and so on, and
    ``val_batch0_labels.jpg``, ``val_batch0_pred.jpg`` and both as ``val_batch0.jpg``. A test leaves
    ``test_results.json`` and the same pictures beside its log. Batches go to TensorBoard, W&B and
    the like, too.

    Nothing of it stops a run: what cannot be drawn or written is warned of.

    Args:
        train_batches: pictures of the first batches of training.
        val_batches: pictures of so many times `max_images` images of the validation.
        max_images: images in a picture.
        enabled: False leaves nothing at all.

    Raises:
        ConfigError: a number is none or negative.
    """

    priority = 'LOW'  # behind what logs

    def __init__(
        self,
        train_batches: int = 3,
        val_batches: int = 3,
        max_images: int = 16,
        enabled: bool = True,
    ) -> None:
        least = {'train_batches': (train_batches, 0), 'val_batches': (val_batches, 0)}
        for name, (value, low) in {**least, 'max_images': (max_images, 1)}.items():
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigError(
                    f'{name}={value!r} of RunPicturesHook must be a whole number of at least {low}'
                )
        self.train_batches, self.val_batches = train_batches, val_batches
        self.max_images, self.enabled = max_images, enabled
        self._drawn = 0
        self._best: float | None = None
        self._has_results = False

    def before_train(self, runner: Runner) -> None:
        """Draw the training set, and look up what the best validation so far was."""
        self._drawn, self._best, self._has_results = 0, None, False
        if not self._works():
            return
        work_dir = Path(runner.work_dir)
        self._draw_all({'labels.jpg': partial(_save_labels, runner, work_dir / 'labels.jpg')})
        if runner.iter and (work_dir / VAL_FILE).is_file():
            self._best = self._score_of_file(runner, work_dir / VAL_FILE)
            self._has_results = self._best is not None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Draw the first batches."""
        if self._drawn >= self.train_batches or not self._works():
            return
        path = Path(runner.work_dir, f'train_batch{self._drawn}.jpg')
        self._drawn += 1

        def draw() -> None:
            legend = _legend(runner.train_dataloader.dataset.metainfo)
            save_jpeg(train_batch_picture(data_batch, legend, self.max_images), path)

        if self._draw_all({path.name: draw}):
            self._record(runner, [path])
        else:
            self._drawn = self.train_batches

    def before_val_epoch(self, runner: Runner) -> None:
        """Have the metric keep what it scores."""
        self._keep_results(runner.val_loop)

    def before_test_epoch(self, runner: Runner) -> None:
        """Have the metric keep what it scores."""
        self._keep_results(runner.test_loop)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the results, if they are the best so far."""
        score, is_better = score_of(runner, metrics or {})
        if self._best is not None and (score is None or not is_better(score, self._best)):
            _take_kept(runner.val_loop)
            return
        path = Path(runner.work_dir, VAL_FILE)
        if self._write_results(runner, runner.val_loop, metrics, path):
            self._best, self._has_results = score, True

    def after_train(self, runner: Runner) -> None:
        """Draw the course of the training and its best validation."""
        if not self._works():
            return
        work_dir = Path(runner.work_dir)
        drawings: dict[str, Callable[[], None]] = {}
        if (work_dir / FILE_NAME).is_file():
            drawings['results.png'] = partial(_save_course, work_dir)
        if self._has_results:
            drawings.update(self._drawings(work_dir / VAL_FILE, work_dir, 'val'))
        self._draw_all(drawings)
        names = [f'val_batch{number}.jpg' for number in range(self.val_batches)]
        self._record(runner, [work_dir / name for name in names if name in drawings])

    def _record(self, runner: Runner, paths: Sequence[Path]) -> None:
        """Show pictures in TensorBoard and the like, too."""
        for path in paths:
            record_picture(runner.visualizer, path, step=runner.iter + 1)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write the results and draw them."""
        folder = Path(runner.log_dir)
        if self._write_results(runner, runner.test_loop, metrics, folder / TEST_FILE):
            self._draw_all(self._drawings(folder / TEST_FILE, folder, 'test'))

    def _works(self) -> bool:
        return self.enabled and is_main_process()

    def _keep_results(self, loop: Any) -> None:
        if self.enabled:
            for metric in _metrics(loop):
                metric.keeps_results = True

    def _write_results(
        self, runner: Runner, loop: Any, metrics: Mapping[str, float] | None, path: Path
    ) -> bool:
        """Write the file of results; say whether it is there."""
        kept = _take_kept(loop)
        if kept is None or not self._works():
            return False

        def write() -> None:
            with no_garbage_collection():
                content = results_content(kept, *progress(runner), metrics or {})
                write_results(content, path)

        return self._draw_all({path.name: write})

    def _drawings(self, source: Path, folder: Path, name: str) -> dict[str, Callable[[], None]]:
        """Return what draws the pictures of a file of results, by their names."""
        try:
            content = read_results(source)
        except Exception as error:
            print_log(f'no pictures of {source}: {error}', 'current', logging.WARNING)
            return {}
        drawings: dict[str, Callable[[], None]] = {
            file_name: partial(save_figure, draw, folder / file_name)
            for file_name, draw in result_figures(content).items()
        }
        for number in range(self.val_batches):
            images = content['images'][number * self.max_images :][: self.max_images]
            if images:
                start = f'{name}_batch{number}'
                drawings[f'{start}.jpg'] = partial(
                    _save_batch, images, _legend(content), folder, start
                )
        return drawings

    def _draw_all(self, drawings: Mapping[str, Callable[[], None]]) -> bool:
        """Call all, and warn once of those that fail; say whether none does."""
        failed: dict[str, Exception] = {}
        for name, draw in drawings.items():
            try:
                draw()
            except Exception as error:
                failed[name] = error
        if failed:
            name, first = next(iter(failed.items()))
            others = f' and {len(failed) - 1} more' if len(failed) > 1 else ''
            print_log(
                f'{name}{others} could not be made ({type(first).__name__}: {first}); the run '
                'goes on. default_hooks.pictures.enabled=False leaves pictures out.',
                'current',
                logging.WARNING,
            )
        return not failed

    def _score_of_file(self, runner: Runner, path: Path) -> float | None:
        """Return the score of an earlier part of this training; None for what is to be replaced."""
        try:
            content = read_results(path)
            if content['iter'] > runner.iter:  # trained again from here on
                return None
            return score_of(runner, content['scores'])[0]
        except Exception as error:
            print_log(f'{path} is made anew ({error})', 'current', logging.WARNING)
            return None


def score_of(
    runner: Runner, metrics: Mapping[str, Any]
) -> tuple[float | None, Callable[[float, float], bool]]:
    """Return the score by which validations are compared, and whether one score is better.

    It is that of the checkpoint hook's ``save_best``, else the precision of masks, or of boxes.
    """
    hook = next((one for one in runner.hooks if isinstance(one, CheckpointHook)), None)
    keys, is_better = list(FALLBACK_KEYS), operator.gt
    if hook is not None and hook.save_best:
        asked = hook.key_indicators[0]
        keys.insert(0, next(iter(metrics), asked) if asked == 'auto' else asked)
        if (hook.rules or [None])[0] == 'less':
            is_better = operator.lt
    for key in keys:
        value = metrics.get(key)
        if isinstance(value, (int, float)) and np.isfinite(value):
            return float(value), is_better
    return None, is_better


def _metrics(loop: Any) -> list[CocoMetric]:
    metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', ())
    return [metric for metric in metrics if isinstance(metric, CocoMetric)]


def _take_kept(loop: Any) -> Any:
    """Return what the first metric has kept, and let go of it in all."""
    kept = [metric.kept for metric in _metrics(loop) if metric.kept is not None]
    for metric in _metrics(loop):
        metric.kept, metric.keeps_results = None, False
    return kept[0] if kept else None


def _legend(meta: Mapping[str, Any]) -> Legend:
    return Legend(meta['classes'], meta.get('palette') or [(220, 20, 60)])


def _save_labels(runner: Runner, path: Path) -> None:
    dataset = runner.train_dataloader.dataset
    while not hasattr(dataset, 'get_data_info') and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    if not hasattr(dataset, 'get_data_info'):
        return
    subset = _Spread(dataset)
    note = f' ({len(subset):,} of {len(dataset):,} images)' if len(subset) < len(dataset) else ''
    table: BoxTable = box_table(subset)
    save_figure(partial(plot_labels, table, note=note), path)


class _Spread:
    """At most :data:`MAX_LABEL_IMAGES` images of a data set."""

    def __init__(self, dataset: Any) -> None:
        self.dataset, self.metainfo = dataset, dataset.metainfo
        self._step = -(-len(dataset) // MAX_LABEL_IMAGES) or 1

    def __len__(self) -> int:
        return -(-len(self.dataset) // self._step)

    def get_data_info(self, index: int) -> dict:
        """Return an image of them."""
        return self.dataset.get_data_info(index * self._step)


def _save_course(work_dir: Path) -> None:
    rows = read_rows(work_dir / FILE_NAME)
    save_figure(partial(plot_course, rows), work_dir / 'results.png')


def _save_batch(images: list[dict], legend: Legend, folder: Path, start: str) -> None:
    for ending, picture in results_pictures(images, legend).items():
        save_jpeg(picture, folder / f'{start}{"_" * bool(ending)}{ending}.jpg')
