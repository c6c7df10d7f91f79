"""The analysis of a config's data: a report, JSON and figures. Source: spec tools_data.md 8."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmyolo_lite.apis.anchors import DEFAULT_INPUT_WH
from mmyolo_lite.apis.datasets import build_datasets
from mmyolo_lite.datasets import statistics
from mmyolo_lite.datasets.coco_checks import read_coco_json, shortened
from mmyolo_lite.datasets.file_io import write_json
from mmyolo_lite.datasets.statistics import BoxTable, Statistics
from mmyolo_lite.engine.config import training_input_wh
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.visualization.dataset_plots import save_plots

REPORT = 'analysis.json'
MAX_AREA_EDGES = 3


@dataclass(frozen=True)
class AnalysisOptions:
    """What is analysed.

    Attributes:
        out_dir: gets ``analysis.json`` and the figures.
        validation: the validation set instead of the training set.
        class_name: one class alone; None for all.
        area_rule: up to three sides in pixels between classes of area.
        functions: names of figures; none without figures.
        input_wh: network input; None takes the training pipeline's.
    """

    out_dir: Path = Path('dataset_analysis')
    validation: bool = False
    class_name: str | None = None
    area_rule: Sequence[float] = ()
    functions: Sequence[str] = ()
    input_wh: tuple[int, int] | None = None


def analyse(config: Any, options: AnalysisOptions) -> list[str]:
    """Describe the data sets of a config, write report and figures, and return the report's lines.

    Raises:
        ConfigError: an option names no class, or area sides cannot be.
        DataError: annotations are unusable or without boxes, or files cannot be written.
    """
    rule = options.area_rule
    if len(rule) > MAX_AREA_EDGES or any(not 0 < side < 1e5 for side in rule):
        raise ConfigError(
            f'--area-rule takes up to {MAX_AREA_EDGES} sides in pixels, above 0 and below 100000; '
            f'got {" ".join(f"{side:g}" for side in rule)}'
        )
    loader = 'val_dataloader' if options.validation else 'train_dataloader'
    input_wh = options.input_wh or training_input_wh(config) or DEFAULT_INPUT_WH
    described = [
        _describe(dataset, input_wh, options.class_name)
        for dataset in build_datasets(config, loader)
    ]
    if not options.validation and config.get('val_dataloader'):
        for dataset in build_datasets(config, 'val_dataloader'):
            _warn_of_absent(described, _describe(dataset, input_wh, None)[1])
    lines = [line for _, report in described for line in (*report.lines(), '')]
    write_json([asdict(report) for _, report in described], options.out_dir / REPORT)
    written = [options.out_dir / REPORT]
    for table, report in described:
        if options.functions and len(table.labels):
            written += _save_plots(table, report, options)
    return [*lines, *(f'written: {path}' for path in written)]


def _describe(
    dataset: Any, input_wh: tuple[int, int], class_name: str | None
) -> tuple[BoxTable, Statistics]:
    table = statistics.box_table(dataset)
    content = read_coco_json(dataset.ann_file, dataset.backend_args, for_evaluation=True)
    dropped = statistics.drop_reasons(content, table.class_names, len(dataset))
    if class_name is not None:
        names = list(table.class_names)
        if class_name not in names:
            raise ConfigError(
                f'{class_name!r} is no class of {dataset.ann_file}: {shortened(names)}'
            )
        table = table.of_class(names.index(class_name))
    if not len(table.labels):
        raise DataError(f'{dataset.ann_file} has no box of the chosen classes.')
    return table, statistics.describe(table, str(dataset.ann_file), input_wh, dropped)


def _warn_of_absent(described: list, validation: Statistics) -> None:
    for _, report in described:
        absent = statistics.absent_in_training(report, validation)
        if absent:
            report.warnings.append(
                f'{validation.name} has boxes of {len(absent)} classes that training lacks: '
                f'{shortened(absent)}'
            )


def _save_plots(table: BoxTable, report: Statistics, options: AnalysisOptions) -> list[Path]:
    name = options.class_name or Path(report.name).stem
    name = re.sub(r'[^\w.-]', '_', name)
    try:
        return save_plots(table, options.out_dir, name, options.functions, options.area_rule)
    except OSError as error:
        raise DataError(f'Figures cannot be written to {options.out_dir}: {error}') from error
