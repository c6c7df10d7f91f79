"""A report about one or several runs: what is in their work dirs, as one HTML file."""

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mmyolo_lite.datasets.file_io import read_file, write_text
from mmyolo_lite.engine.hooks.results_csv import FILE_NAME, read_rows
from mmyolo_lite.errors import ConfigError, DataError
from mmyolo_lite.evaluation.results_file import read_results
from mmyolo_lite.version import __version__
from mmyolo_lite.visualization.report import compare, gallery
from mmyolo_lite.visualization.report.page import render

RESULTS_FILE = 'val_results.json'
MAX_TEXT = 200_000
"""Characters of a config or an environment that are shown."""
_SHOWN_SCORES = tuple(
    f'coco/{kind}_{score}' for kind in ('bbox', 'segm') for score in ('mAP', 'mAP_50', 'mAP_75')
)
_STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', flags=re.MULTILINE)
_TRAINED = re.compile(r'(?:Epoch|Iter)\(train\)')


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows.

    Attributes:
        out: the HTML file; None for ``report.html`` in the first work dir.
        max_images: so many images, those with the most errors first; None for all.
        title: of the page; None for the names of the runs.
    """

    out: Path | None = None
    max_images: int | None = None
    title: str | None = None


@dataclass(frozen=True)
class Run:
    """What a work dir says about a run.

    Attributes:
        name: of the folder.
        folder: the work dir.
        rows: of ``results.csv``, one an epoch; empty without one.
        results: content of ``val_results.json``, or None.
        config: text of the dumped config.
        environment: what the newest log of a training says about the machine.
        seconds: that training took, validation included; None if no log says.
    """

    name: str
    folder: Path
    rows: list[dict[str, float | None]]
    results: dict[str, Any] | None
    config: str
    environment: str
    seconds: float | None


def write_report(work_dirs: Sequence[Path], options: ReportOptions) -> tuple[Path, list[str]]:
    """Write the report of runs.

    Args:
        work_dirs: of the runs; the photos are those of the first that has results.
        options: what is shown.

    Returns:
        The file, and sentences about what could not be shown.

    Raises:
        DataError: a folder is no work dir, a file in it is damaged, or the report cannot be
            written.
        ConfigError: an option cannot be.
    """
    if options.max_images is not None and options.max_images < 1:
        raise ConfigError(f'--max-images is {options.max_images}; it must be at least 1')
    folders: dict[str, Path] = {}
    for folder in work_dirs:
        folders.setdefault(os.path.realpath(folder), Path(folder))
    runs = _renamed([read_run(folder) for folder in folders.values()])
    photos, thumbnails, warnings = _gallery(runs, options.max_images)
    title = options.title or ', '.join(run.name for run in runs)
    data = {
        'runs': [_run_data(run) for run in runs],
        'gallery': photos,
        'note': f'mmyolo_lite {__version__}, {datetime.now():%Y-%m-%d %H:%M}',
        'missing': (
            f'There is no {RESULTS_FILE} in the work dir: train with '
            "default_hooks.pictures=dict(type='RunPicturesHook') in the config, which every config "
            'of this project inherits.'
        ),
    }
    out = options.out or runs[0].folder / 'report.html'
    write_text(render(title, data, thumbnails), out)
    return out, warnings


def read_run(folder: Path) -> Run:
    """Read what a work dir says.

    Raises:
        DataError: it is no work dir of a training, or a file in it is damaged.
    """
    if not folder.is_dir():
        raise DataError(f'{folder} is no folder. Give the work dir of a training.')
    table, results = folder / FILE_NAME, folder / RESULTS_FILE
    if not (table.is_file() or results.is_file()):
        raise DataError(
            f'{folder} has neither {FILE_NAME} nor {RESULTS_FILE}. Give the work dir of a '
            'training, such as work_dirs/<config name>.'
        )
    logs = _training_logs(folder)
    configs = sorted(folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
    return Run(
        name=folder.resolve().name,
        folder=folder,
        rows=read_rows(table) if table.is_file() else [],
        results=read_results(results, complete=True) if results.is_file() else None,
        config=_text(configs[-1])[:MAX_TEXT] if configs else '',
        environment=_environment(logs[-1][:MAX_TEXT]) if logs else '',
        seconds=_seconds(logs),
    )


def _text(path: Path) -> str:
    """Return a file's text; what it says is shown, so damage is no reason to stop."""
    try:
        return read_file(path).decode('utf-8', errors='replace')
    except OSError as error:
        raise DataError(f'{path}: cannot be read ({error})') from error


def _training_logs(folder: Path) -> list[str]:
    """Return the texts of the logs of trainings, not of tests, the newest last."""
    texts = []
    for path in sorted(folder.glob('*/*.log')):
        text, scalars = _text(path), path.parent / 'vis_data/scalars.json'
        if _TRAINED.search(text) or (scalars.is_file() and '"loss":' in _text(scalars)):
            texts.append(text)
    return texts


def _environment(log: str) -> str:
    """Return the part of a log that describes the machine."""
    match = re.search(r'System environment:(.*?)\n-{20}', log, flags=re.DOTALL)
    return '' if match is None else re.sub(r'^ {4}', '', match[1].strip('\n'), flags=re.MULTILINE)


def _seconds(logs: Sequence[str]) -> float | None:
    """Return the time from the first to the last line of each log, added up."""
    total = 0.0
    for text in logs:
        stamps = _STAMP.findall(text)
        first = next(filter(None, map(_moment, stamps)), None)
        last = next(filter(None, map(_moment, reversed(stamps))), None)
        if first and last:
            total += max((last - first).total_seconds(), 0.0)
    return total or None


def _moment(stamp: str) -> datetime | None:
    """Return the time of a line; None for a date that there is not."""
    try:
        return datetime.strptime(stamp, '%Y/%m/%d %H:%M:%S')
    except ValueError:
        return None


def _renamed(runs: Sequence[Run]) -> list[Run]:
    """Return runs of different folders with so many parents in their names that these differ."""
    parts = [run.folder.resolve().parts for run in runs]
    for depth in itertools.count(1):
        names = ['/'.join(one[-depth:]) for one in parts]
        if len(set(names)) == len(names):
            break
    return [replace(run, name=name) for run, name in zip(runs, names, strict=True)]


def _run_data(run: Run) -> dict[str, Any]:
    """Return what the page shows of a run beside its photos."""
    columns = list(run.rows[0]) if run.rows else []
    best_epoch, scores = _best(run)
    results = None
    if run.results is not None:
        shown = ('epoch', 'kinds', 'curves', 'confusion', 'per_class', 'per_size')
        results = {key: run.results[key] for key in shown}
    return {
        'name': run.name,
        'rows': {name: [_known(row.get(name)) for row in run.rows] for name in columns},
        'epochs': int(max((row['epoch'] or 0 for row in run.rows), default=0)) or None,
        'best_epoch': best_epoch,
        'best': {name: _known(scores[name]) for name in _SHOWN_SCORES if name in scores},
        'time': None if run.seconds is None else _duration(run.seconds),
        'config': run.config,
        'environment': run.environment,
        'results': results,
    }


def _known(value: float | None) -> float | None:
    """Return a value, None for -1, which COCO's scores have where there are no objects."""
    return None if value == -1 else value


def _best(run: Run) -> tuple[int | None, dict[str, float | None]]:
    """Return the epoch whose scores stand for a run, and these.

    It is the epoch of the results, as all else on the page is made from them; without any, that
    of the best validation: by masks, else by boxes.
    """
    results = run.results
    if results is not None:
        epoch = results['epoch']
        rows = [row for row in run.rows if row['epoch'] == epoch]
        # trainings by iterations may have several rows of an epoch
        row = max(rows, key=lambda row: row['iter'] == results['iter'], default={})
        return epoch or None, {**row, **results['scores']}
    for name in ('coco/segm_mAP', 'coco/bbox_mAP'):
        scored = [row for row in run.rows if row.get(name) is not None]
        if scored:
            row = max(scored, key=lambda row: row[name] or 0.0)
            return int(row['epoch'] or 0) or None, row
    return None, {}


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return (
        f'{hours} h {minutes} min' if hours else f'{minutes} min' if minutes else f'{seconds:.0f} s'
    )


def _gallery(
    runs: Sequence[Run], max_images: int | None
) -> tuple[dict[str, Any], list[str | None], list[str]]:
    """Return the photos with their objects, thumbnails, and sentences about what is missing."""
    shown = [run for run in runs if run.results is not None]
    empty: dict[str, Any] = {'items': [], 'runs': [], 'classes': [], 'confidence': 0.25}
    if not shown:
        return empty, [], []
    contents = [run.results or {} for run in shown]
    first = contents[0]
    classes, places = compare.joined_classes([content['classes'] for content in contents])
    found = [compare.partners(first['images'], content['images']) for content in contents[1:]]
    order = sorted(range(len(first['images'])), key=lambda i: -_errors(first['images'][i]))
    order = order[:max_images]
    side = gallery.thumbnail_side(len(order))
    items, lost = [], []
    thumbnails: list[str | None] = []
    for number in tqdm(order, disable=None, unit=' images'):
        entry = first['images'][number]
        predictions = [entry['pred']] + [
            None if (one := of_run[number]) is None else compare.found_on(entry, one, to)
            for of_run, to in zip(found, places[1:], strict=True)
        ]
        items.append(gallery.item(entry, predictions, side) | {'t': len(thumbnails)})
        thumbnails.append(gallery.thumbnail(entry['path'], side))
        if thumbnails[-1] is None:
            lost.append(entry['path'])
    warnings = _strangers(shown, found)
    if lost:
        warnings.insert(
            0,
            f'{len(lost)} of {len(order)} photos cannot be read, {lost[0]} first; run this in '
            'the folder that training ran in',
        )
    curves = first['curves']
    confidence = next(
        (curves[k].get('best_confidence') for k in ('segm', 'bbox') if k in curves), None
    )
    data = {
        'items': items,
        'runs': [run.name for run in shown],
        'classes': classes,
        'confidence': confidence or 0.25,
    }
    return data, thumbnails, warnings


def _strangers(runs: Sequence[Run], found: Sequence[Sequence[compare.Entry | None]]) -> list[str]:
    """Return sentences about photos of later runs that are not among those of the first.

    Args:
        runs: with results.
        found: of each run but the first, its entries of the first run's photos.
    """
    sentences = []
    for run, entries in zip(runs[1:], found, strict=True):
        total = len((run.results or {})['images'])
        alone = total - len({id(one) for one in entries if one is not None})
        if alone:
            sentences.append(
                f'{alone} of {total} photos of {run.name} are not among those of {runs[0].name}; '
                'they are not shown'
            )
    return sentences


def _errors(entry: dict[str, Any]) -> int:
    counts = entry.get('errors') or {}
    counts = counts.get('segm') or counts.get('bbox') or {}
    return int(counts.get('fp', 0)) + int(counts.get('fn', 0))
