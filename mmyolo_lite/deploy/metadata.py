"""What an exported file says about itself: all that a program needs that has nothing but the file.

Letters of shapes: B images, K detections, P priors, C classes, m mask channels, H W input pixels, h
w prototype pixels.
"""

import json
from typing import Any

from mmengine.model import BaseDataPreprocessor

from mmyolo_lite.apis.model import InferenceModel
from mmyolo_lite.deploy.graph import Suppression
from mmyolo_lite.deploy.options import ExportOptions
from mmyolo_lite.engine.checks import innermost_datasets, own_name, type_name
from mmyolo_lite.errors import CheckpointError, ConfigError
from mmyolo_lite.version import __version__

KEY = 'mmyolo_lite'
"""Under which the metadata stand in a file, as JSON."""
SCHEMA = 1
SHOWN_SCORE = 0.3
"""Score that programs show objects from, if the user names none."""
_DESCRIBED = ('YOLOv5KeepRatioResize', 'LetterResize')
_WITHOUT_EFFECT = ('LoadImageFromFile', 'LoadAnnotations', 'PackDetInputs')

_OUTPUTS = {
    'boxes': ('float32', ['B', 'K', 4], 'x1, y1, x2, y2 in pixels of the input'),
    'scores': ('float32', ['B', 'K'], 'from 0 to 1, descending; 0 behind the last detection'),
    'labels': ('int64', ['B', 'K'], 'places in class_names; -1 behind the last detection'),
    'num_dets': ('int64', ['B'], 'detections of each image; K is the largest, but at least 1'),
    'masks': (
        'float32',
        ['B', 'K', 'h', 'w'],
        'probabilities from 0 to 1 at a quarter of the input size. To be exact: interpolate to the '
        'input size (bilinear, half-pixel centres), set to zero outside of the box, cut the padding'
        ' off, interpolate to the image, compare with thresholds.mask',
    ),
}
_DECODED_OUTPUTS = {
    'boxes': ('float32', ['B', 'P', 4], 'x1, y1, x2, y2 in pixels of the input'),
    'scores': ('float32', ['B', 'P', 'C'], 'objectness times class, from 0 to 1'),
    'coefficients': ('float32', ['B', 'P', 'm'], 'of the mask, times objectness'),
    'prototypes': (
        'float32',
        ['B', 'm', 'h', 'w'],
        'sigmoid(coefficients @ prototypes) is the mask of a prior at a quarter of the input size',
    ),
}


def describe(model: InferenceModel, options: ExportOptions, source: str = '') -> dict[str, Any]:
    """Return the metadata of an export, made of what JSON knows.

    Args:
        model: what is exported.
        options: how.
        source: name of the checkpoint.

    Raises:
        ConfigError: the test pipeline, the preprocessor or the test settings do what an exported
            file cannot, or the input size does not fit the model.
    """
    preprocess = _preprocess(model, options)
    height, width = preprocess['letterbox']['size_hw']
    free = options.dynamic == 'all'
    names = _OUTPUTS if options.nms == 'graph' else _DECODED_OUTPUTS
    return {
        'project': 'mmyolo_lite',
        'version': __version__,
        'schema': SCHEMA,
        'task': 'instance segmentation' if model.has_masks else 'detection',
        'masks': model.has_masks,
        'checkpoint': source,
        'format': options.format,
        'half': options.half,
        'nms': options.nms,
        'class_names': list(model.class_names),
        'palette': [[int(value) for value in color] for color in model.palette],
        'input': {
            'name': 'images',
            'dtype': 'float32',
            'shape': [
                'B' if options.dynamic != 'none' else options.batch,
                3,
                'H' if free else height,
                'W' if free else width,
            ],
            'divisor': _divisor(model),
            'meaning': _input_meaning(preprocess),
        },
        'preprocess': preprocess,
        'outputs': [
            {'name': name, 'dtype': dtype, 'shape': shape, 'meaning': meaning}
            for name, (dtype, shape, meaning) in names.items()
            if model.has_masks or name not in ('masks', 'coefficients', 'prototypes')
        ],
        'thresholds': _thresholds(model, options),
    }


def suppression(meta: dict[str, Any]) -> Suppression:
    """Return the settings of the graph that chooses detections, from metadata."""
    found = meta['thresholds']
    return Suppression(
        score_thr=found['score'],
        iou_thr=found['iou'],
        most=found['max_per_image'],
        min_box_size=found['min_box_size'],
        multi_label=found['multi_label'],
    )


def read_metadata(text: str | None, name: str) -> dict[str, Any]:
    """Return the metadata of a file.

    Args:
        text: what stands under :data:`KEY`; None if nothing does.
        name: what messages call the file.

    Raises:
        CheckpointError: somebody else wrote the file, or a newer version.
    """
    hint = 'Export the model with tools/export.py.'
    if text is None:
        raise CheckpointError(
            f'{name} was not exported by mmyolo_lite: it does not say how its input is made nor '
            f'what its outputs mean. {hint}'
        )
    try:
        meta = json.loads(text)
        schema = meta['schema']
        complete = all(key in meta for key in ('class_names', 'preprocess', 'thresholds', 'nms'))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f'The metadata of {name} are damaged. {hint}') from error
    if schema != SCHEMA or not complete:
        raise CheckpointError(
            f'{name} was exported by another version of mmyolo_lite ({meta.get("version")}); this '
            f'is {__version__}. {hint}'
        )
    return meta


def summary(meta: dict[str, Any]) -> str:
    """Return metadata as text for people."""
    names = meta['class_names']
    shown = ', '.join(names[:8]) + (f', ... ({len(names)})' if len(names) > 8 else '')
    lines = [
        f'{meta["task"]}, exported by mmyolo_lite {meta["version"]} from {meta["checkpoint"]}',
        f'classes: {shown}',
        f'precision: {"float16" if meta["half"] else "float32"}',
        f'input {_signature(meta["input"])}',
        *(f'output {_signature(output)}' for output in meta['outputs']),
        'thresholds: ' + ', '.join(f'{key} {value}' for key, value in meta['thresholds'].items()),
        f'preprocess: {json.dumps(meta["preprocess"])}',
    ]
    return '\n'.join(lines)


def _signature(value: dict[str, Any]) -> str:
    shape = ' x '.join(map(str, value['shape']))
    return f'{value["name"]}: {value["dtype"]} {shape}, {value["meaning"]}'


def _head(model: InferenceModel) -> Any:
    return model.network.bbox_head


def _divisor(model: InferenceModel) -> int:
    return int(max(_head(model).featmap_strides))


def check_input_size(size_hw: tuple[int, int], divisor: int) -> None:
    """Check the sides of an input.

    Raises:
        ConfigError: a side is not positive, or no multiple of the largest stride.
    """
    if all(side > 0 and side % divisor == 0 for side in size_hw):
        return
    nearest = [max(round(side / divisor), 1) * divisor for side in size_hw]
    raise ConfigError(
        f'The input size {size_hw[0]} {size_hw[1]} (height, width) does not fit the model: both '
        f'must be multiples of {divisor}, its largest stride. The nearest that fits is '
        f'--input-shape {nearest[0]} {nearest[1]}.'
    )


def _preprocess(model: InferenceModel, options: ExportOptions) -> dict[str, Any]:
    """Return how an image becomes the input."""
    keep, box = _resizing_steps(model)
    size_wh = _pair(box['scale'])
    keep_wh = None if keep is None else _pair(keep['scale'])
    rule = model.batch_shapes
    if options.input_hw is not None:
        size_wh = options.input_hw[::-1]
        keep_wh = None if keep is None else size_wh
    check_input_size(size_wh[::-1], _divisor(model))
    chosen = options.dynamic == 'all' and options.input_hw is None and rule is not None
    given = box.get('pad_val')
    fill = given.get('img', 0) if isinstance(given, dict) else given or 0
    return {
        'image': 'uint8, blue green red, turned upright by its EXIF orientation',
        'keep_ratio': keep_wh if keep_wh is None else list(keep_wh),
        'letterbox': {
            'size_hw': list(size_wh[::-1]),
            'allow_scale_up': bool(box.get('allow_scale_up', True)),
            'half_pad': bool(box.get('half_pad_param', False)),
            'fill': [fill] * 3 if isinstance(fill, (int, float)) else list(fill),
        },
        'batch_shape': None
        if not chosen
        else {
            'img_size': rule.img_size,  # type: ignore[union-attr]
            'divisor': rule.size_divisor,  # type: ignore[union-attr]
            'extra_pad': rule.extra_pad_ratio,  # type: ignore[union-attr]
        },
        **_normalisation(model.network.data_preprocessor),
    }


def input_size(model: InferenceModel) -> tuple[int, int]:
    """Return (height, width) in pixels that the test pipeline brings images to.

    Raises:
        ConfigError: it does what cannot be described.
    """
    return _pair(_resizing_steps(model)[1]['scale'])[::-1]


def _resizing_steps(model: InferenceModel) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the steps of the test pipeline that change images: YOLOv5KeepRatioResize, which may be
    missing, and LetterResize.

    Raises:
        ConfigError: there are others, or no LetterResize.
    """
    loaders = ('test_dataloader', 'val_dataloader')
    dataset: dict = next((one for _, one in innermost_datasets(model.config, loaders)), {})
    steps = list(dataset.get('pipeline') or model.config.get('test_pipeline') or ())
    steps = [step for step in steps if type_name(step['type']) not in _WITHOUT_EFFECT]
    for step in steps:
        kind = own_name(step['type'])
        interpolation = step.get('interpolation', 'bilinear')
        special = step.get('use_mini_pad') or step.get('stretch_only')
        if kind not in _DESCRIBED or special or interpolation != 'bilinear':
            raise ConfigError(
                f'The test pipeline has {type_name(step["type"])} with {dict(step)}, which an '
                'exported file cannot describe. It knows YOLOv5KeepRatioResize, and LetterResize '
                'without use_mini_pad and stretch_only, both bilinear.'
            )
    found = {own_name(step['type']): step for step in steps}
    if 'LetterResize' not in found:
        raise ConfigError(
            'The test pipeline has no LetterResize, which an exported file needs to describe how '
            'images are brought to its input size.'
        )
    return found.get('YOLOv5KeepRatioResize'), found['LetterResize']


def _pair(scale: Any) -> tuple[int, int]:
    """Return (width, height)."""
    width, height = (scale, scale) if isinstance(scale, int) else scale
    return int(width), int(height)


def _normalisation(preprocessor: Any) -> dict[str, Any]:
    """Return channel order, mean and std of the data preprocessor."""
    if not isinstance(preprocessor, BaseDataPreprocessor):
        raise ConfigError('The model has no data_preprocessor, so its input is unknown.')
    mean, std = [0.0] * 3, [1.0] * 3
    if getattr(preprocessor, '_enable_normalize', False):
        mean, std = (
            [float(value) for value in buffer.flatten().expand(3).tolist()]
            if buffer.numel() == 1
            else buffer.flatten().tolist()
            for buffer in (preprocessor.mean, preprocessor.std)  # type: ignore[union-attr]
        )
    swaps = bool(getattr(preprocessor, '_channel_conversion', False))
    return {'to_rgb': swaps, 'mean': mean, 'std': std}


def _input_meaning(preprocess: dict[str, Any]) -> str:
    order = 'red green blue' if preprocess['to_rgb'] else 'blue green red'
    return f'{order}, (pixel - mean {preprocess["mean"]}) / std {preprocess["std"]}, letterboxed'


def _thresholds(model: InferenceModel, options: ExportOptions) -> dict[str, Any]:
    """Return the settings of the test.

    Raises:
        ConfigError: the graph cannot do what they ask for.
    """
    cfg = _head(model).test_cfg or {}
    nms = cfg.get('nms', {})
    found = {
        'score': cfg.get('score_thr', -1) if options.score_thr is None else options.score_thr,
        'shown_score': SHOWN_SCORE,
        'iou': nms.get('iou_threshold', 0.65),
        'mask': cfg.get('mask_thr_binary', 0.5),
        'max_per_image': cfg.get('max_per_img', 300),
        'candidates': cfg.get('nms_pre', 100000),
        'min_box_size': cfg.get('min_bbox_size', -1),
        'multi_label': bool(cfg.get('multi_label', True)),
        'class_agnostic': bool(nms.get('class_agnostic', False)),
    }
    if found['class_agnostic'] and options.nms == 'graph' and len(model.class_names) > 1:
        raise ConfigError(
            'test_cfg.nms.class_agnostic cannot be exported with --nms graph, whose operator works '
            'class by class. Take --nms none, or set it to False.'
        )
    if found['min_box_size'] > 0 and not model.has_masks:
        raise ConfigError(
            f'test_cfg.min_bbox_size is {found["min_box_size"]} pixels of the image, which an '
            'exported detector does not know. Set it to 0 or -1.'
        )
    if model.has_masks and not cfg.get('fast_test', False):
        found['mask_note'] = 'interpolated on floats, as with fast_test=True'
    return found
