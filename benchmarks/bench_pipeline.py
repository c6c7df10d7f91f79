"""The training pipeline of instance segmentation: milliseconds of each transform and of the whole,
plain, fast and with the image cache; and what workers deliver.

    python benchmarks/bench_pipeline.py [CONFIG] [--samples 500] [--workers 1 2] [--out FILE.json]
        [--cfg-options train_dataloader.dataset.data_root=...]

The variants take turns, some samples each, so that a busy machine slows all of them. D is the time
that the plain pipeline spends decoding the four images of a mosaic. Process time, one thread.
"""

import argparse
import contextlib
import copy
import json
import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

CONFIG = 'configs/yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_balloon_instance.py'
VARIANTS = {
    'plain': {'cache': None, 'fast_pipeline': False},
    'fast': {'cache': None},
    'fast, reduced decode': {'cache': None, 'reduced_decode': True},
    'cache ram': {'cache': 'ram'},
    'cache disk': {'cache': 'disk'},
}
BLOCK = 25
"""Samples of one variant before the next has its turn ..."""
WARM_UP = 5
"""... and those before them that are not counted, as they meet the caches of another."""


class Stopwatch:
    """Process time by name, added up over one sample."""

    def __init__(self) -> None:
        self.now: dict[str, float] = defaultdict(float)
        self.samples: dict[str, list[float]] = defaultdict(list)

    def watch(self, owner, method: str, name: str) -> None:
        """Time a method of an object, or a function of a module."""
        original = getattr(owner, method)

        def timed(*args, **kwargs):
            start = time.process_time()
            try:
                return original(*args, **kwargs)
            finally:
                self.now[name] += time.process_time() - start

        setattr(owner, method, timed)

    def end_sample(self, keep: bool) -> None:
        """Keep what was added up, or not, and start anew."""
        for name, seconds in self.now.items() if keep else ():
            self.samples[name].append(1000 * seconds)
        self.now.clear()


def watched(dataset, watch: Stopwatch):
    """Time each transform of a dataset, those inside a mosaic under the name they have there."""
    for step in dataset.pipeline.transforms:
        partners = getattr(step, 'pre_transform', None)
        for inner in partners.transforms if partners is not None else ():
            watch.watch(inner, 'transform', f'  of it {type(inner).__name__}')
        watch.watch(step, 'transform', type(step).__name__)
    return dataset


@contextlib.contextmanager
def counted_decoding(watch: Stopwatch):
    """Time OpenCV's decoder while the body runs."""
    import cv2

    original = cv2.imdecode
    watch.watch(cv2, 'imdecode', 'JPEG decode')
    try:
        yield
    finally:
        cv2.imdecode = original


def measure(config, samples: int, cache_dir: str) -> dict:
    """Run all variants in turn; return milliseconds by variant and step."""
    import numpy as np

    from mmyolo_lite.registry import DATASETS

    runs = {}
    for name, options in VARIANTS.items():
        watch = Stopwatch()
        settings = copy.deepcopy(config.train_dataloader.dataset)
        settings.update(options, cache_dir=cache_dir)
        runs[name] = watched(DATASETS.build(settings), watch), watch
    for start in range(0, samples, BLOCK):
        for name, (dataset, watch) in runs.items():
            with counted_decoding(watch) if name == 'plain' else contextlib.nullcontext():
                for index in range(start - WARM_UP, min(start + BLOCK, samples)):
                    np.random.seed(index + WARM_UP)
                    begin = time.process_time()
                    dataset[index % len(dataset)]
                    watch.now['whole'] = time.process_time() - begin
                    watch.end_sample(keep=index >= start)
    return {name: watch.samples for name, (_, watch) in runs.items()}


def report(table: dict) -> dict:
    """Print medians by step, and the whole as multiples of D; return them."""
    decode = statistics.median(table['plain']['JPEG decode'])
    result = {'D ms': decode}
    for name, steps in table.items():
        print(f'\n{name}: median ms a sample, and half of the range of the middle half')
        for step, values in steps.items():
            low, _, high = statistics.quantiles(values, n=4)
            print(f'  {step:28s} {statistics.median(values):8.2f} ± {(high - low) / 2:.2f}')
        result[name] = {step: statistics.median(values) for step, values in steps.items()}
    print(f'\nD = {decode:.2f} ms\n\n| variant | ms a sample | D | images/s |\n|---|---|---|---|')
    for name in table:
        whole = result[name]['whole']
        print(f'| {name} | {whole:.2f} | {whole / decode:.3f} | {1000 / whole:.0f} |')
    return result


def deliver(config, workers: int, batches: int, cache: str | None) -> float:
    """Return images per second of the real loader."""
    from mmengine.runner import Runner

    loader_config = copy.deepcopy(config.train_dataloader)
    # without ends of epochs, at which workers wait: the balloon set has few batches
    loader_config.update(num_workers=workers, pin_memory=False, sampler={'type': 'InfiniteSampler'})
    loader_config.dataset.update(cache=cache)
    loader = iter(Runner.build_dataloader(loader_config, seed=0))
    for _ in range(2 * workers + 1):  # what was made while the workers started
        next(loader)
    start = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return batches * loader_config.batch_size / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    from mmengine.config import DictAction
    from mmengine.registry import init_default_scope

    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('config', nargs='?', default=CONFIG)
    parser.add_argument('--samples', type=int, default=500)
    parser.add_argument('--workers', type=int, nargs='*', default=[1, 2])
    parser.add_argument('--batches', type=int, default=100, help='of the loader, for --workers')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')
    parser.add_argument('--out', type=Path, help='a JSON file')
    options = parser.parse_args()

    import cv2
    import torch

    import mmyolo_lite.engine  # noqa: F401  # registers what configs name
    from mmyolo_lite.engine.config import load_config

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    config = load_config(options.config, options.cfg_options)
    init_default_scope(config.default_scope)
    with tempfile.TemporaryDirectory() as cache_dir:
        result = report(measure(config, options.samples, cache_dir))
    rates = {
        f'{count} workers, cache={cache}': deliver(config, count, options.batches, cache)
        for cache in (None, 'ram')
        for count in options.workers
    }
    for name, rate in rates.items():
        print(f'{name}: {rate:.1f} images/s')
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f'peak memory of this process: {peak:.0f} MiB')
    if options.out:
        result |= {'images/s': rates, 'peak MiB': peak}
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == '__main__':
    sys.exit(main())
