"""Where the time of a training step goes: forward, loss (assignment and masks apart), backward,
optimizer and moving average, in ms of one step of the s-size; the mask loss against the plain loop;
and, with --loader, the step against the data loader of the config.

    python benchmarks/bench_step.py [--device cpu|cuda] [--repeats 5] [--loader] [--out FILE.json]

The batch is synthetic: ``--batch-size`` noise images with ``--objects`` objects each. Rows of a
CUDA device say "skipped: no CUDA" where there is none. Compiling takes minutes on a CPU, so its
rows are made by ``--rows compile``, or on CUDA.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))
CONFIG = REPO / 'configs/yolov5/ins_seg/yolov5_ins_s-v61_syncbn_fast_8xb16-300e_coco_instance.py'
ROWS: dict[str, dict[str, Any]] = {
    'float32': {},
    'channels_last': {'channels_last': True},
    'amp': {'amp': True},
    'amp channels_last': {'amp': True, 'channels_last': True},
    'amp channels_last compile': {'amp': True, 'channels_last': True, 'compile': True},
    'amp channels_last compile, CUDA graphs': {
        'amp': True,
        'channels_last': True,
        'compile': {'mode': 'reduce-overhead'},
    },
}
STAGES = ('forward', 'loss', 'loss backward', 'backward', 'optimizer', 'average')
APART = ('assignment', 'mask loss', 'mask loss backward')


def synthetic(batch_size: int, objects: int, side: int, device: str) -> tuple[Any, dict]:
    """Return noise images and targets with rectangular masks, sides of 10 to 320 pixels."""
    import torch

    generator = torch.Generator().manual_seed(0)
    count = batch_size * objects
    sizes = 10 * 32 ** torch.rand((count, 2), generator=generator) * side / 640
    corners = torch.rand((count, 2), generator=generator) * (side - sizes)
    boxes = torch.cat((corners, corners + sizes), dim=1)
    images = torch.arange(batch_size).repeat_interleave(objects)
    masks = torch.zeros((batch_size, side // 4, side // 4), dtype=torch.int32)
    for number, (image, box) in enumerate(zip(images.tolist(), boxes, strict=True)):
        x1, y1, x2, y2 = (box / 4).round().int().tolist()
        masks[image, y1 : y2 + 1, x1 : x2 + 1] = number % objects + 1
    table = torch.cat((images[:, None], torch.zeros(count, 1), boxes), dim=1)
    pictures = torch.rand((batch_size, 3, side, side), generator=generator)
    samples = {
        'bboxes_labels': table.to(device),
        'masks': masks.to(device),
        'img_metas': [{'batch_input_shape': (side, side)}] * batch_size,
    }
    return pictures.to(device), samples


class Clock:
    """Times stages one after another, waiting for the device at their ends."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.times: dict[str, list[float]] = {}
        self.start()

    def _wait(self) -> float:
        import torch

        if self.device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter()

    def start(self) -> None:
        """Begin the next stage."""
        self.last = self._wait()

    def end(self, stage: str) -> None:
        """Note the ms since the end of the stage before."""
        now = self._wait()
        self.times.setdefault(stage, []).append(1000 * (now - self.last))
        self.last = now

    def summary(self) -> dict[str, list[float]]:
        """Return median and half of the spread of each stage, without its first run."""
        kept = {stage: times[1:] for stage, times in self.times.items()}
        return {k: [statistics.median(v), (max(v) - min(v)) / 2] for k, v in kept.items()}


def cut(maps: Any) -> tuple[list, list, list]:
    """Return the tensors of head maps, leaves in their place, and the maps made of the leaves."""
    flat = [m for level in maps[:-1] for m in level] + [maps[-1]]
    leaves = [m.detach().requires_grad_() for m in flat]
    levels = len(maps[0])
    parts = [leaves[i : i + levels] for i in range(0, len(leaves) - 1, levels)]
    return flat, leaves, [*parts, leaves[-1]]


def build(config: Any, row: dict[str, Any], device: str) -> tuple[Any, Any, Any]:
    """Return model, optimizer and moving average of one row."""
    import torch
    from mmengine.optim import build_optim_wrapper

    from mmyolo_lite.models.ema import ExpMomentumEMA
    from mmyolo_lite.registry import MODELS

    torch.manual_seed(0)
    settings = {key: value for key, value in row.items() if key != 'amp'}
    model = MODELS.build({**config.model, **settings}).to(device).train()
    wrapper = dict(config.optim_wrapper, type='OptimWrapper')
    wrapper.pop('dtype', None)
    wrapper.pop('loss_scale', None)
    return (
        model,
        build_optim_wrapper(model, wrapper).optimizer,
        ExpMomentumEMA(model, update_buffers=True),
    )


def measure_row(config: Any, row: dict, args: argparse.Namespace) -> dict[str, list[float]]:
    """Run a few steps and return ms by stage."""
    import torch

    device = args.device
    model, optimizer, average = build(config, row, device)
    images, samples = synthetic(args.batch_size, args.objects, args.side, device)
    head, clock = model.bbox_head, Clock(device)
    dtype = torch.float16 if device == 'cuda' else torch.bfloat16
    for _ in range(args.repeats + 1):
        clock.start()
        with torch.autocast(device, dtype) if row.get('amp') else nullcontext():
            maps = head(model.extract_feat(images))
            flat, leaves, cut_maps = cut(maps)
            clock.end('forward')
            losses = head.loss_by_feat(cut_maps, samples)
            clock.end('loss')
        sum(losses.values()).backward()
        clock.end('loss backward')
        torch.autograd.backward(flat, [leaf.grad for leaf in leaves])
        clock.end('backward')
        optimizer.step()
        optimizer.zero_grad()
        clock.end('optimizer')
        average.update_parameters(model)
        clock.end('average')
        apart(head, cut_maps, samples, clock)
    if device == 'cuda':
        clock.times['whole'] = whole_steps(model, optimizer, average, images, samples, row, args)
    return clock.summary()


def apart(head: Any, maps: list, samples: dict, clock: Clock) -> None:
    """Time assignment and mask loss by themselves; they are part of the loss."""
    from mmyolo_lite.ops.assign import assign_levels, normalize_targets

    sizes = [level.shape[-2:] for level in maps[2]]
    clock.start()
    targets = normalize_targets(
        samples['bboxes_labels'], samples['img_metas'][0]['batch_input_shape']
    )
    padded = targets.device.type != 'cpu'
    positives = assign_levels(targets, head.anchors, sizes, padded=padded)
    clock.end('assignment')
    terms = head.mask_terms(maps, samples, targets, positives)
    clock.end('mask loss')
    terms.sum().backward()
    clock.end('mask loss backward')


def whole_steps(
    model: Any, optimizer: Any, average: Any, images: Any, samples: dict, row: dict, args: Any
) -> list[float]:
    """Return ms of whole steps without waiting inside, and make sure that nothing waits there."""
    import torch

    times = []
    for _ in range(args.repeats + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        torch.cuda.set_sync_debug_mode('error')
        try:
            with torch.autocast('cuda', torch.float16) if row.get('amp') else nullcontext():
                losses = model(images, samples, mode='loss')
        finally:
            torch.cuda.set_sync_debug_mode('default')
        sum(losses.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(model)
        torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return times


def repeat(run: Callable[[], Any], repeats: int, device: str) -> list[float]:
    """Return the median and half of the spread of `run` in ms."""
    clock = Clock(device)
    for _ in range(repeats + 1):
        clock.start()
        run()
        clock.end('run')
    return clock.summary()['run']


def measure_masks(config: Any, args: argparse.Namespace) -> dict[str, Any]:
    """Time the mask loss, forward and backward, against the plain loop, at batch 16."""
    import torch

    from mmyolo_lite.models.heads.head_modules import split_attributes
    from mmyolo_lite.ops.assign import assign_levels, normalize_targets
    from mmyolo_lite.registry import MODELS
    from tests.ops.plain_mask_loss import plain_mask_terms

    head = MODELS.build(config.model).bbox_head.to(args.device)
    _, samples = synthetic(16, args.objects, args.side, args.device)
    sizes = [(args.side // stride,) * 2 for stride in (8, 16, 32)]
    generator = torch.Generator().manual_seed(0)
    channels, priors = head.head_module.mask_channels, head.num_base_priors
    shapes = [(16, priors * channels, *size) for size in sizes]
    shapes.append((16, channels, args.side // 4, args.side // 4))
    *levels, prototypes = (
        torch.randn(shape, generator=generator).to(args.device).requires_grad_() for shape in shapes
    )
    targets = normalize_targets(samples['bboxes_labels'], (args.side, args.side))
    found = assign_levels(targets, head.anchors, sizes)
    ours = found
    if args.device != 'cpu':
        ours = assign_levels(targets, head.anchors, sizes, padded=True)

    def plain() -> Any:
        rows = [p.gather(split_attributes(m, priors)) for p, m in zip(found, levels, strict=True)]
        return plain_mask_terms(rows, prototypes, found, samples['masks'], targets, True)

    def package() -> Any:
        return head.mask_terms([None, None, None, levels, prototypes], samples, targets, ours)

    inputs = (*levels, prototypes)
    values, ours_values = plain().detach(), package().detach()
    gradients, ours_gradients = (
        torch.autograd.grad(way().sum(), inputs) for way in (plain, package)
    )
    differences = [
        float((one - other).norm() / one.norm())
        for one, other in zip(gradients, ours_gradients, strict=True)
    ]
    result: dict[str, Any] = {
        'positives': sum(map(len, found)),
        'values differ': float(((values - ours_values).abs() / values.clamp(min=1e-9)).max()),
        'gradients differ': max(differences),
    }
    for name, way in (('plain', plain), ('package', package)):
        result[f'{name} ms'] = repeat(
            lambda way=way: torch.autograd.grad(way().sum(), inputs), args.repeats, args.device
        )
    result['times faster'] = result['plain ms'][0] / result['package ms'][0]
    return result


def measure_loader(config: Any, batches: int) -> float:
    """Return the images per second of the training loader of a config, its first batch left out."""
    from mmengine.runner import Runner

    loader = Runner.build_dataloader(config.train_dataloader, seed=0)
    iterator, images = iter(loader), 0
    next(iterator)
    start = time.perf_counter()
    for _, batch in zip(range(batches), iterator, strict=False):
        images += len(batch['inputs'])
    return images / (time.perf_counter() - start)


def show(name: str, stages: dict[str, list[float]], batch_size: int) -> None:
    """Print one row of the table."""
    total = sum(stages[stage][0] for stage in STAGES)
    share = (stages['loss'][0] + stages['loss backward'][0]) / total
    cells = [f'{stages[s][0]:.1f} ± {stages[s][1]:.1f}' for s in (*STAGES, *APART)]
    whole = stages.get('whole', [total])[0]
    print(
        f'| {name} | {" | ".join(cells)} | {total:.0f} | {100 * share:.1f} | {whole:.0f} '
        f'| {1000 * batch_size / whole:.1f} |',
        flush=True,
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--config', default=str(CONFIG), help='of an instance-segmentation model')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--rows', nargs='+', help='parts of names of rows; default: all')
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--objects', type=int, default=8, help='in each image')
    parser.add_argument('--side', type=int, default=640, help='of the square input, in pixels')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--no-masks', action='store_true', help='leave the plain loop out')
    parser.add_argument('--loader', action='store_true', help='measure the data loader too')
    parser.add_argument('--batches', type=int, default=20, help='of the loader')
    parser.add_argument('--out', type=Path)
    return parser.parse_args()


def chosen_rows(args: argparse.Namespace) -> list[str]:
    """Return the names of the rows to make; on a CPU compiling has to be asked for."""
    if args.rows:
        return [name for name in ROWS if any(part in name for part in args.rows)]
    return [name for name in ROWS if args.device == 'cuda' or 'compile' not in name]


def main() -> None:
    """Measure and print tables."""
    args = parse_args()
    import torch
    from mmengine.registry import DefaultScope

    from mmyolo_lite.engine.config import load_config

    if args.device == 'cuda' and not torch.cuda.is_available():
        print('skipped: no CUDA')
        return
    config = load_config(args.config, {})
    DefaultScope.get_instance('bench', scope_name='mmyolo_lite')
    result: dict[str, Any] = {'device': args.device, 'torch': torch.__version__, 'rows': {}}
    titles = [*STAGES, *(f'{stage} (part)' for stage in APART)]
    titles = ['row', *titles, 'sum ms', 'loss %', 'step ms', 'images/s']
    print(f'| {" | ".join(titles)} |\n{"|---" * len(titles)}|')
    for name in chosen_rows(args):
        result['rows'][name] = measure_row(config, ROWS[name], args)
        show(name, result['rows'][name], args.batch_size)
    if not args.no_masks:
        result['masks'] = measure_masks(config, args)
        print('mask loss at batch 16:', json.dumps(result['masks']))
    if args.loader:
        result['loader images/s'] = measure_loader(config, args.batches)
        print(f'loader: {result["loader images/s"]:.1f} images/s')
        for name, stages in result['rows'].items():
            step = stages.get('whole', [sum(stages[stage][0] for stage in STAGES)])[0]
            share = 1000 * args.batch_size / step / result['loader images/s']
            print(f'{name}: the step needs {100 * share:.0f} % of what the loader can give')
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    main()
