"""Dumped predictions have run-length masks, whether the model gives arrays or lists."""

import numpy as np
import torch
from mmengine.fileio import load

from mmyolo_lite.evaluation import DumpDetResults
from mmyolo_lite.ops.run_length_masks import RunLengthMasks
from mmyolo_lite.ops.run_lengths import encode_columns


def test_both_forms_are_dumped_alike(tmp_path) -> None:
    arrays = np.random.default_rng(0).random((3, 6, 9)) < 0.5
    lists = RunLengthMasks((encode_columns(one.T.copy(), (0, 0), (6, 9)) for one in arrays), (6, 9))
    metric = DumpDetResults(out_file_path=str(tmp_path / 'all.pkl'))
    scores = torch.rand(3)
    samples = [
        dict(img_id=number, pred_instances=dict(scores=scores, masks=masks))
        for number, masks in enumerate((torch.from_numpy(arrays), lists))
    ]
    metric.process(None, samples)
    assert samples[1]['pred_instances']['masks'] is lists, 'other metrics see it too'
    metric.process(None, [dict(img_id=2, pred_instances=dict(scores=scores))])
    metric.evaluate(3)
    first, second, third = load(tmp_path / 'all.pkl')
    assert first['pred_instances']['masks'] == second['pred_instances']['masks'] == list(lists)
    assert 'masks' not in third['pred_instances']
