"""The COCO metric: scores from memory, masks as run lengths, in C++ where that is installed."""

import json
import pickle
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric as _MMDetCocoMetric
from mmdet.structures.mask import encode_mask_results
from mmengine.logging import MMLogger, print_log
from terminaltables import AsciiTable

from mmyolo_lite.datasets.coco_checks import check_classes_exist
from mmyolo_lite.datasets.coco_truth import no_garbage_collection, read_truth, unpacked_truth
from mmyolo_lite.datasets.file_io import write_text
from mmyolo_lite.errors import ConfigError
from mmyolo_lite.evaluation import coco_scores
from mmyolo_lite.registry import METRICS

KINDS = ('bbox', 'segm', 'proposal', 'proposal_fast')
CLASS_COLUMNS = ('category', 'mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


class Evaluation(NamedTuple):
    """What an evaluation was made of, for pictures and reports.

    Attributes:
        results: an image each: its truth (``img_id``, ``height``, ``width``, ``path``), and what
            :meth:`CocoMetric.process` keeps of its predictions.
        objects: by kind, packed :class:`coco_scores.Objects`.
        evaluated: by kind; kinds without any detection are missing.
        dataset_meta: ``classes`` and ``palette``.
        max_dets: best detections an image and class that count, at most.
    """

    results: Sequence[tuple[dict[str, Any], dict[str, Any]]]
    objects: Mapping[str, bytes]
    evaluated: Mapping[str, coco_scores.Evaluated]
    dataset_meta: Mapping[str, Any]
    max_dets: int


@METRICS.register_module()
class CocoMetric(_MMDetCocoMetric):
    """Average precision and recall of COCO for boxes and masks.

    Arguments, names of scores and files of results are those of mmdet's metric, whose work it does
    in less time and memory: nothing goes through files, and the annotations are read once for the
    data set and the metric. Proposals, and ``use_mp_eval``, are left to mmdet.

    Args:
        ann_file: annotation file; without one, objects come from the ``instances`` of the samples.
        metric: ``'bbox'``, ``'segm'``, ``'proposal'``, ``'proposal_fast'``, or a list of them.
        classwise: add the precision of each class.
        proposal_nums: limits of detections an image; of the first two and the third are the
            recalls, of the third the precisions at one threshold and by area.
        iou_thrs: thresholds of IoU; by default 0.5 to 0.95 in steps of 0.05.
        metric_items: names out of :data:`coco_scores.STATS` to report; by default the precisions.
        format_only: write the files of results alone.
        outfile_prefix: write results to ``<prefix>.bbox.json`` and ``<prefix>.segm.json``.
        backend_args: storage backend of `ann_file`.
        sort_categories: as in mmdet.
        use_mp_eval: as in mmdet.
        collect_device: ``'cpu'`` or ``'gpu'``, over which several processes join their results.
        prefix: of the names of the scores; by default ``coco``.
        backend: what scores: ``'faster_coco_eval'``, ``'pycocotools'``, or ``'auto'``, the first
            where it is installed. Scores are equal to 1e-6.

    Raises:
        ConfigError: an argument cannot be.
        DataError: the annotation file is unusable.
        DependencyError: `backend` is not installed.
    """

    def __init__(
        self,
        ann_file: str | None = None,
        metric: str | list[str] = 'bbox',
        classwise: bool = False,
        proposal_nums: Sequence[int] = (100, 300, 1000),
        iou_thrs: float | Sequence[float] | None = None,
        metric_items: Sequence[str] | None = None,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        backend_args: dict | None = None,
        sort_categories: bool = False,
        use_mp_eval: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        backend: str = 'auto',
    ) -> None:
        metric = [metric] if isinstance(metric, str) else list(metric)
        check_arguments(metric, proposal_nums, metric_items, format_only, outfile_prefix)
        super().__init__(
            metric=metric,
            classwise=classwise,
            proposal_nums=proposal_nums,
            iou_thrs=None if iou_thrs is None else np.atleast_1d(iou_thrs).astype(np.float64),
            metric_items=metric_items,
            format_only=format_only,
            outfile_prefix=outfile_prefix,
            backend_args=backend_args,
            use_mp_eval=use_mp_eval,
            collect_device=collect_device,
            prefix=prefix,
        )
        self.sort_categories = sort_categories
        self.backend = coco_scores.choose_backend(backend)
        self._says_backend = True
        self._has_file = ann_file is not None
        # blocks of bytes, which worker processes share: the content of the file, then its objects
        self._truth = None if ann_file is None else read_truth(ann_file, backend_args)
        self._objects: dict[str, bytes] = {}
        self._source = ann_file or 'the samples'
        # whoever sets the first before a validation finds the second behind it, and clears it
        self.keeps_results = False
        self.kept: Evaluation | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of a batch, masks as run lengths.

        Args:
            data_batch: not used.
            data_samples: B dicts with ``img_id``, ``ori_shape`` and ``pred_instances``: ``bboxes``
                (n, 4) xyxy pixels, ``scores`` (n,), ``labels`` (n,), possibly ``mask_scores`` (n,)
                and ``masks``: an array (n, H, W), or n run-length masks.
        """
        for sample in data_samples:
            found = sample['pred_instances']
            result = {'img_id': sample['img_id']}
            for name in ('bboxes', 'scores', 'labels', 'mask_scores'):
                if name in found:
                    result[name] = as_array(found[name])
            if 'masks' in found:
                result['masks'] = as_run_lengths(found['masks'])
            height, width = sample['ori_shape'][:2]
            truth = {'width': width, 'height': height, 'img_id': sample['img_id']}
            if self.keeps_results:
                truth['path'] = sample.get('img_path')
            if not self._has_file:
                if 'instances' not in sample:
                    raise ConfigError(
                        'CocoMetric has no ground truth: set its ann_file, or add "instances" to '
                        'meta_keys of PackDetInputs'
                    )
                truth['anns'] = sample['instances']
            self.results.append((truth, result))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score all predictions.

        Args:
            results: what :meth:`process` kept, of all processes.

        Returns:
            Scores of 0 to 1, rounded to 3 decimals; without the prefix ``coco``.
        """
        if self.cat_ids is None:
            with no_garbage_collection():
                self._prepare([truth for truth, _ in results])
        if self._needs_mmdet():
            return self._by_mmdet(results)
        predictions = [result for _, result in results]
        logger: MMLogger = MMLogger.get_current_instance()
        if self.outfile_prefix is not None:
            self.results2json(predictions, self.outfile_prefix)
        if self.format_only:
            logger.info(f'results are saved in {Path(self.outfile_prefix).parent}')
            return {}
        if self._says_backend:
            logger.info(f'COCO scores by {self.backend}')
            self._says_backend = False
        scores: dict[str, float] = {}
        tables: dict[str, coco_scores.Evaluated] = {}
        for kind in self.metrics:
            logger.info(f'Evaluating {kind}...')
            with no_garbage_collection():
                evaluated = self._evaluate(kind, predictions)
            if evaluated is None:
                logger.error('The testing results of the whole dataset is empty.')
                break
            tables[kind] = evaluated
            scores.update(self._report(kind, evaluated))
        if self.keeps_results:
            most = max(self.proposal_nums)
            self.kept = Evaluation(results, self._objects, tables, self.dataset_meta, most)
        return scores

    def _evaluate(
        self, kind: str, predictions: list[dict[str, Any]]
    ) -> coco_scores.Evaluated | None:
        """Match predictions with the truth; None if there are none."""
        masks = kind == 'segm'
        if masks and not all('masks' in result for result in predictions):
            raise ConfigError(
                "CocoMetric with metric 'segm' needs masks, but the model predicts none: set "
                "metric='bbox'."
            )
        objects = pickle.loads(self._objects[kind])
        found = coco_scores.found_objects(predictions, objects.ranks, masks)
        if not found:
            return None
        limits = coco_scores.Limits(
            np.asarray(self.iou_thrs, dtype=np.float64), tuple(sorted(self.proposal_nums))
        )
        return coco_scores.evaluate(objects, found, limits, self.backend)

    def _report(self, kind: str, evaluated: coco_scores.Evaluated) -> dict[str, float]:
        """Print the scores of a kind of results, and return those that are asked for."""
        logger: MMLogger = MMLogger.get_current_instance()
        stats, lines = coco_scores.summary(evaluated)
        print('\n'.join(lines), flush=True)
        scores: dict[str, float] = {}
        if self.classwise:
            rows = []
            for label, name in enumerate(self.dataset_meta['classes']):
                values = [round(value, 3) for value in coco_scores.class_scores(evaluated, label)]
                scores[f'{name}_precision'] = values[0]
                rows.append([name, *map(str, values)])
            logger.info('\n' + AsciiTable([list(CLASS_COLUMNS), *rows]).table)
        for item in self.metric_items or coco_scores.STATS[:6]:
            value = stats[coco_scores.STATS.index(item)]
            scores[f'{kind}_{item}'] = float(round(value, 3))
        precisions = ' '.join(f'{value:.3f}' for value in stats[:6])
        logger.info(f'{kind}_mAP_copypaste: {precisions}')
        return scores

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write results in COCO's format, to files that appear whole or not at all.

        Args:
            results: an image each, as :meth:`process` keeps them.
            outfile_prefix: beginning of the names of the files.

        Returns:
            The file of ``bbox`` and ``proposal``, and where there are masks of ``segm``.
        """
        kinds = ['bbox', 'segm'] if results and 'masks' in results[0] else ['bbox']
        files = {kind: f'{outfile_prefix}.{kind}.json' for kind in kinds}
        for kind, path in files.items():
            write_text(json.dumps(list(self._coco_results(results, kind))), Path(path))
        return {**files, 'proposal': files['bbox']}

    def _coco_results(self, results: Sequence[dict], kind: str) -> Iterable[dict[str, Any]]:
        for result in results:
            scores = result['scores']
            if kind == 'segm':
                scores = result.get('mask_scores', scores)
            masks = list(result['masks']) if kind == 'segm' else ()
            for place, label in enumerate(result['labels'].tolist()):
                entry = {
                    'image_id': result['img_id'],
                    'bbox': self.xyxy2xywh(result['bboxes'][place]),
                    'score': float(scores[place]),
                    'category_id': self.cat_ids[label],
                }
                if kind == 'segm':
                    entry['segmentation'] = with_text(masks[place])
                yield entry

    def _prepare(self, truths: Sequence[dict]) -> None:
        """Note the ids of classes and images, and turn the truth into what is scored."""
        if self._truth is None:
            self._truth = self._truth_of_samples(truths)
        truth, classes = unpacked_truth(self._truth), self.dataset_meta['classes']
        check_classes_exist(classes, truth['categories'], self._source)
        ids = {one['name']: one['id'] for one in reversed(truth['categories'])}
        self.cat_ids = [ids[name] for name in classes]
        self.img_ids = [image['id'] for image in truth['images']]
        if self._needs_mmdet():
            return
        for kind in self.metrics:
            objects = coco_scores.true_objects(truth, classes, masks=kind == 'segm')
            self._objects[kind] = pickle.dumps(objects, protocol=pickle.HIGHEST_PROTOCOL)
        self._truth = None

    def _truth_of_samples(self, truths: Sequence[dict]) -> bytes:
        """Return the ground truth that came with the samples, packed, by mmdet's conversion."""
        with tempfile.TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or str(Path(folder, 'results'))
            return read_truth(self.gt_to_coco_json(truths, prefix))

    def _needs_mmdet(self) -> bool:
        return self.use_mp_eval or bool({'proposal', 'proposal_fast'} & set(self.metrics))

    def _by_mmdet(self, results: list) -> dict[str, float]:
        """Score by mmdet's code, whose index of the truth is dropped afterwards."""
        print_log('proposals and use_mp_eval are scored by mmdet, with pycocotools', 'current')
        assert self._truth is not None, 'stays where mmdet needs it'
        coco = COCO()
        coco.dataset = unpacked_truth(self._truth)
        if self.sort_categories:
            coco.dataset['categories'].sort(key=lambda one: one['id'])
        coco.createIndex()
        coco.img_ann_map, coco.cat_img_map = coco.imgToAnns, coco.catToImgs
        self._coco_api = coco
        try:
            return super().compute_metrics(results)
        finally:
            self._coco_api = None


def check_arguments(
    metrics: Sequence[str],
    proposal_nums: Any,
    items: Sequence[str] | None,
    format_only: bool,
    prefix: str | None,
) -> None:
    """Check arguments of the metric before hours are spent.

    Raises:
        ConfigError: one is wrong.
    """
    for kind in metrics:
        if kind not in KINDS:
            raise ConfigError(f'metric={kind!r} of CocoMetric is none of {", ".join(KINDS)}')
    for item in items or ():
        if item not in coco_scores.STATS:
            known = ', '.join(coco_scores.STATS)
            raise ConfigError(f'metric_items of CocoMetric names {item!r}, none of {known}')
    counts = list(proposal_nums) if isinstance(proposal_nums, Sequence) else []
    if not counts or not all(isinstance(count, int) and count > 0 for count in counts):
        raise ConfigError(
            f'proposal_nums={proposal_nums!r} of CocoMetric must be positive whole numbers'
        )
    if format_only and prefix is None:
        raise ConfigError(
            'CocoMetric with format_only=True writes files alone: set outfile_prefix too'
        )


def as_array(value: Any) -> np.ndarray:
    """Return a tensor of any device, or what NumPy takes, as an array of the same shape."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def as_run_lengths(masks: Any) -> coco_scores.PackedMasks:
    """Return the masks of an image, an array (n, H, W) or n run-length masks, as the latter."""
    if isinstance(masks, torch.Tensor | np.ndarray):
        masks = encode_mask_results(as_array(masks).astype(bool))
    return coco_scores.PackedMasks.of(masks)


def with_text(mask: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run-length mask as JSON takes it."""
    return {**mask, 'counts': mask['counts'].decode()}
