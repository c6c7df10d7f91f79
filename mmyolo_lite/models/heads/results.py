"""What both heads do with candidates: where the image lies in the input, and which candidates
stay.
"""

from mmengine.structures import InstanceData

from mmyolo_lite.ops.nms import batched_nms
from mmyolo_lite.ops.postprocess import Letterbox


def recorded_letterbox(meta: dict) -> Letterbox:
    """Read from an image's metainfo how it lies in the network input, taking the recorded scale
    factor.
    """
    pad = meta.get('pad_param')
    pad_ltrb = None if pad is None else (float(pad[2]), float(pad[0]), float(pad[3]), float(pad[1]))
    scale_w, scale_h = meta['scale_factor'][:2]
    return Letterbox(tuple(meta['ori_shape'][:2]), (float(scale_w), float(scale_h)), pad_ltrb)


def input_size(meta: dict) -> tuple[int, int]:
    """Return the (height, width) in pixels that an image takes in its batch, without the padding
    at the right and at the bottom that brings it to the size of the batch.
    """
    height, width = meta.get('img_shape', meta['batch_input_shape'])[:2]
    return int(height), int(width)


def measured_letterbox(meta: dict) -> Letterbox:
    """Read how an image lies in the network input, with the scale measured from sizes and padding.

    Masks are cut and stretched by sizes, so boxes take the same scale (spec: predict.md 3).
    """
    (height, width), (ori_height, ori_width) = input_size(meta), meta['ori_shape'][:2]
    pad = meta.get('pad_param')
    if pad is None:
        return Letterbox((ori_height, ori_width), (width / ori_width, height / ori_height))
    top, bottom, left, right = (float(p) for p in pad)
    scale = ((width - left - right) / ori_width, (height - top - bottom) / ori_height)
    return Letterbox((ori_height, ori_width), scale, (left, top, right, bottom))


def suppress(result: InstanceData, cfg: dict, with_nms: bool) -> InstanceData:
    """Drop small boxes, then duplicates, then all but the best ``max_per_img``.

    Args:
        result: candidates by descending score; ``bboxes`` (n, 4), ``scores``, ``labels``.
        cfg: ``min_bbox_size`` (-1 is off, strict), ``nms``, ``max_per_img``.
        with_nms: False returns after the small boxes.
    """
    min_size = cfg.get('min_bbox_size', -1)
    if min_size >= 0:
        wh = result.bboxes[:, 2:] - result.bboxes[:, :2]
        result = result[(wh > min_size).all(dim=1)]
    if not with_nms:
        return result
    nms_cfg = cfg.get('nms', {})
    kept = batched_nms(
        result.bboxes,
        result.scores,
        result.labels,
        nms_cfg.get('iou_threshold', 0.65),
        nms_cfg.get('class_agnostic', False),
    )
    return result[kept[: cfg.get('max_per_img', 300)]]
