"""Anchors fitted to the training boxes of a config, as a report and as a config that inherits it.

Source: spec tools_data.md 7.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mmyolo_lite.apis.choices import ALGORITHMS
from mmyolo_lite.apis.datasets import box_sizes, build_datasets
from mmyolo_lite.datasets.file_io import refuse_existing, write_json, write_text
from mmyolo_lite.engine.checks import head_config, type_name
from mmyolo_lite.engine.config import training_input_wh
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.ops import anchors as ops

GENERATOR = 'YOLOAnchorGenerator'
GOOD_RECALL = 0.98
DEFAULT_INPUT_WH = (640, 640)
RESULT = 'anchor_optimize_result.json'

Levels = list[list[tuple[int, int]]]
"""Whole widths and heights in pixels of the network input, by level, the finest first."""


@dataclass(frozen=True)
class AnchorOptions:
    """How anchors are fitted.

    Attributes:
        algorithm: one of :data:`ALGORITHMS`.
        input_wh: width and height of the network input; None takes the training pipeline's.
        iters: most steps, rounds or generations.
        match_thr: ratio up to which a box matches an anchor; None takes the head's
            ``prior_match_thr``.
        mutation: of v5-k-means: probability and deviation.
        stretch: scale boxes as MMYOLO's tool does for inputs that are not square.
        seed: of everything random.
    """

    algorithm: str = 'v5-k-means'
    input_wh: tuple[int, int] | None = None
    iters: int = 1000
    match_thr: float | None = None
    mutation: tuple[float, float] = (0.9, 0.1)
    stretch: bool = False
    seed: int = 0


@dataclass(frozen=True)
class AnchorFit:
    """What fitting found.

    Attributes:
        before: the config's anchors.
        after: the fitted ones.
        quality_before: of the config's, on all boxes.
        quality_after: of the fitted ones, on all boxes.
        num_boxes: number of boxes.
        input_wh: size of the network input.
        options: how it was done.
    """

    before: Levels
    after: Levels
    quality_before: ops.AnchorQuality
    quality_after: ops.AnchorQuality
    num_boxes: int
    input_wh: tuple[int, int]
    options: AnchorOptions

    def lines(self) -> list[str]:
        """Return the report: a table of both, advice, and what to paste into a config."""
        width, height = self.input_wh
        rows = [
            f'{self.num_boxes} boxes at {width}x{height}, {self.options.algorithm}',
            f'{"":>8}  {"recall":>7} {"fitness":>8} {"anchors/box":>12} {"mean IoU":>9} {"AR":>10}',
        ]
        for name, quality in (('config', self.quality_before), ('fitted', self.quality_after)):
            rows.append(
                f'{name:>8}  {quality.recall:7.4f} {quality.fitness:8.4f} '
                f'{quality.anchors_per_box:12.2f} {quality.mean_iou:9.4f} '
                f'{quality.average_recall:10.4f}'
            )
        if self.quality_after.fitness <= self.quality_before.fitness:
            rows.append('The fitted anchors are no better: keep the current anchors.')
        elif self.quality_before.recall > GOOD_RECALL:
            rows.append(
                f'The recall of the config is above {GOOD_RECALL} already: you can keep the '
                'current anchors.'
            )
        rows.append(f'model.bbox_head.prior_generator.base_sizes={self.after}')
        rows.append(
            'Weights trained with other anchors predict wrong sizes until the head is trained anew.'
        )
        return rows


def optimize_anchors(config: Any, options: AnchorOptions | None = None) -> AnchorFit:
    """Fit anchors to the boxes of the training set, crowds included.

    Raises:
        ConfigError: the head has no YOLO anchors, or an option is out of range.
        DataError: there are no boxes, or fewer different ones than anchors.
    """
    options = options or AnchorOptions()
    before = config_anchors(config)
    counts = [len(level) for level in before]
    num = sum(counts)
    input_wh, match_thr = _checked_options(config, options)
    boxes = ops.fit_to_input(*box_sizes(build_datasets(config)), input_wh, options.stretch)
    if len(np.unique(boxes.round(2), axis=0)) < num:
        raise DataError(
            f'The training set has {len(boxes)} boxes, fewer than {num} different ones: too few '
            f'to fit {num} anchors. Keep the current anchors.'
        )
    rng = np.random.default_rng(options.seed)
    flat_before = np.array([size for level in before for size in level], dtype=np.float64)
    quality_before = ops.measure_anchors(boxes, flat_before, match_thr)
    with tqdm(total=None, desc=options.algorithm, unit=' steps', disable=None) as bar:
        if options.algorithm == 'k-means':
            found = ops.fit_kmeans(boxes, num, options.iters, rng)
        elif options.algorithm == 'DE':
            found = ops.fit_by_evolution(boxes, num, options.iters, rng, input_wh, bar.update)
        else:
            found = ops.fit_v5_kmeans(
                *(boxes, num, options.iters, rng, match_thr, options.mutation),
                least_recall=quality_before.recall,
                progress=bar.update,
            )
    fitted = ops.by_area(found.round().clip(min=1))
    after = by_level(fitted, counts)
    return AnchorFit(
        before,
        after,
        quality_before,
        ops.measure_anchors(boxes, fitted, match_thr),
        len(boxes),
        input_wh,
        options,
    )


def _checked_options(config: Any, options: AnchorOptions) -> tuple[tuple[int, int], float]:
    """Return width and height of the network input and the matching ratio; refuse wrong options."""
    if options.algorithm not in ALGORITHMS:
        raise ConfigError(
            f'The algorithm {options.algorithm!r} is unknown; there are {", ".join(ALGORITHMS)}.'
        )
    input_wh = options.input_wh or training_input_wh(config) or DEFAULT_INPUT_WH
    match_thr = options.match_thr
    if match_thr is None:
        match_thr = float(head_config(config).get('prior_match_thr', 4.0))
    if min(input_wh) < 1 or options.iters < 0 or not match_thr > 1:
        raise ConfigError(
            f'Input sides ({input_wh}) must be at least 1, iters ({options.iters}) at least 0, and '
            f'prior_match_thr ({match_thr}) above 1.'
        )
    probability, sigma = options.mutation
    if not (0 < probability <= 1 and sigma > 0):
        raise ConfigError(
            f'mutation is {options.mutation}; a probability above 0 and at most 1, and a positive '
            'deviation are needed.'
        )
    return input_wh, match_thr


def by_level(anchors: np.ndarray, counts: Sequence[int]) -> Levels:
    """Return anchors (A, 2) as lists of whole numbers, `counts` of them for each level."""
    rows = iter(anchors.astype(int).tolist())
    return [[tuple(next(rows)) for _ in range(count)] for count in counts]


def config_anchors(config: Any) -> Levels:
    """Return the anchors of the config's head.

    Raises:
        ConfigError: it has none of :data:`GENERATOR`, or they are no lists of pairs.
    """
    generator = head_config(config).get('prior_generator') or {}
    if type_name(generator.get('type')) != GENERATOR:
        raise ConfigError(
            f'model.bbox_head.prior_generator.type is {generator.get("type")!r}; anchors can be '
            f'fitted for a {GENERATOR} alone.'
        )
    sizes: Any = generator.get('base_sizes')
    try:
        levels = [[(int(width), int(height)) for width, height in level] for level in sizes]
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f'model.bbox_head.prior_generator.base_sizes is {sizes!r}; it must be a list of '
            'levels, each a list of pairs (width, height).'
        ) from error
    if not levels or not all(levels):
        raise ConfigError('model.bbox_head.prior_generator.base_sizes has no anchors.')
    return levels


def output_paths(config_path: str | Path, out_dir: str | Path) -> tuple[Path, Path]:
    """Return the paths of the config and of the JSON file that are written."""
    return Path(out_dir, f'{Path(config_path).stem}_anchors.py'), Path(out_dir, RESULT)


def write_anchor_config(
    fit: AnchorFit, config_path: str | Path, out_dir: str | Path, overwrite: bool = False
) -> Path:
    """Write the anchors as JSON, and a config that inherits the given one and has them.

    Args:
        fit: what was found.
        config_path: the config to inherit from.
        out_dir: gets ``anchor_optimize_result.json`` and ``<name of the config>_anchors.py``.
        overwrite: replace them.

    Returns:
        The path of the new config.

    Raises:
        DataError: they exist already, or cannot be written.
    """
    path, result = output_paths(config_path, out_dir)
    refuse_existing([path, result], overwrite)
    base = Path(os.path.relpath(Path(config_path).resolve(), path.parent.resolve())).as_posix()
    width, height = fit.input_wh
    quality = fit.quality_after
    rows = ''.join(f'    {level},\n' for level in fit.after)
    text = (
        f'# Anchors fitted to {fit.num_boxes} training boxes at {width}x{height} '
        f'({fit.options.algorithm}):\n'
        f'# recall {quality.recall:.4f}, fitness {quality.fitness:.4f}; those of the base have '
        f'{fit.quality_before.recall:.4f} and {fit.quality_before.fitness:.4f}.\n'
        f'_base_ = {base!r}\n\n'
        f'anchors = [  # (width, height) in pixels, the finest level first\n{rows}]\n'
        'model = dict(bbox_head=dict(prior_generator=dict(base_sizes=anchors)))\n'
    )
    write_text(text, path)
    write_json([[list(size) for size in level] for level in fit.after], result)
    return path
