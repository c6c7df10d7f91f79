"""Predictions to a pickle file, with run-length masks as they are."""

from collections.abc import Sequence
from typing import Any

from mmdet.evaluation import DumpDetResults as _MMDetDumpDetResults

from mmyolo_lite.registry import METRICS


@METRICS.register_module()
class DumpDetResults(_MMDetDumpDetResults):
    """Write all predictions to a pickle file; masks as COCO run-length dicts.

    Arguments are mmdet's, whose class takes masks as arrays alone.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of a batch.

        Args:
            data_batch: not used.
            data_samples: B dicts with ``pred_instances``.
        """
        plain, lists = [], []
        for sample in data_samples:
            predictions = dict(sample.get('pred_instances', {}))
            is_list = isinstance(predictions.get('masks'), list)
            lists.append(list(predictions.pop('masks')) if is_list else None)
            plain.append({**sample, 'pred_instances': predictions} if is_list else sample)
        super().process(data_batch, plain)
        for kept, masks in zip(self.results[-len(plain) :], lists, strict=True):
            if masks is not None:
                kept['pred_instances']['masks'] = masks
