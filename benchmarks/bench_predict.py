"""From head maps to run-length masks of the original image: the plain way of the specification and
the package's. Boxes (decode, filter, NMS) of 80 classes at 640x640: time, and how many sigmoids are
taken and boxes decoded. Masks: time and memory.

    python benchmarks/bench_predict.py [--parts boxes masks] [--device cpu|cuda] [--repeats 3]
    [--out FILE.json]

On CUDA the boxes alone are measured. Each case of masks runs in a process of its own, so that its
peak memory is its own. Ends with status 1 if the ways find different boxes.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))
SIZES_WH = ((640, 480), (1920, 1080), (4000, 3000))
COUNTS = (10, 100, 300)
INPUT_HW = (640, 640)
CLASSES = 80
BOX_REPEATS = 10  # of boxes, for each repeat of masks: they are quick
MOST_DIFFERENCE = 1e-4  # pixels
META = {'ori_shape': INPUT_HW, 'scale_factor': (1.0, 1.0), 'batch_input_shape': INPUT_HW}
BOX_TITLES = (
    *('objects', 'candidates', 'part', 'plain ms', 'ms', 'times faster', 'plain sigmoids'),
    *('sigmoids', 'times fewer', 'plain boxes', 'boxes', 'times fewer', 'difference'),
)
MASK_TITLES = (
    *('image', 'masks', 'plain ms', 'ms', 'times faster', 'plain MiB', 'MiB', 'pixels differ'),
)
Ways = dict[str, Callable[[], Any]]


# ---- boxes


def timed(ways: Ways, repeats: int, device: str) -> dict[str, list[float]]:
    """Return median and half of the spread in ms of each way; they take turns, so that a busy
    machine slows both.
    """
    import torch

    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name, run in ways.items():
            if device == 'cuda':
                torch.cuda.synchronize()
            start = time.perf_counter()
            run()
            if device == 'cuda':
                torch.cuda.synchronize()
            if number:  # the first one warms up
                times[name].append(1000 * (time.perf_counter() - start))
    return {k: [statistics.median(v), (max(v) - min(v)) / 2] for k, v in times.items()}


def detection_head(device: str) -> Any:
    """Return a detection head of 80 classes."""
    import mmyolo_lite.models  # noqa: F401  # registers what configs name
    from mmyolo_lite.registry import MODELS

    module = {'type': 'YOLOv5HeadModule', 'num_classes': CLASSES, 'in_channels': 16}
    return MODELS.build({'type': 'YOLOv5Head', 'head_module': module}).to(device)


def box_parts(head: Any, maps: list) -> tuple[dict[str, Ways], int]:
    """Return both ways of each part, and the number of candidates."""
    from mmyolo_lite.ops.boxes import clip_boxes
    from mmyolo_lite.ops.nms import batched_nms
    from tests.models.plain_predict import CFG, plain_candidates, plain_nms, plain_predict

    def plain(way: Callable) -> Any:
        result = way(head, maps, CFG)
        result.bboxes = clip_boxes(result.bboxes, INPUT_HW)
        return result

    def package(with_nms: bool) -> Any:
        return head.predict_by_feat(maps, [META], CFG, rescale=False, with_nms=with_nms)[0]

    found = plain_candidates(head, maps, CFG)
    boxes, scores, labels = found.bboxes, found.scores, found.labels
    threshold = CFG['nms']['iou_threshold']
    parts: dict[str, Ways] = {
        'decode, filter': {
            'plain': lambda: plain(plain_candidates),
            'package': lambda: package(False),
        },
        'NMS': {
            'plain': lambda: plain_nms(boxes, labels, threshold),
            'package': lambda: batched_nms(boxes, scores, labels, threshold),
        },
        'together': {
            'plain': lambda: plain(plain_predict),
            'package': lambda: package(True),
        },
    }
    return parts, len(found)


def largest_difference(ways: Ways) -> float:
    """Return by how much the results of the two ways differ at most."""
    import torch

    from tests.models.plain_predict import difference

    plain, package = (ways[name]() for name in ('plain', 'package'))
    if isinstance(plain, torch.Tensor):
        return 0.0 if torch.equal(plain, package) else float('inf')
    return difference(package, plain)


def measure_boxes(repeats: int, device: str) -> list[dict[str, Any]]:
    """Measure all parts of all cases and print a table."""
    import torch

    from tests.models.plain_predict import count_work, crowded_maps

    head, rows = detection_head(device), []
    print_row(BOX_TITLES)
    print('|---' * len(BOX_TITLES) + '|')
    with torch.no_grad():
        cases = [
            (objects, *box_parts(head, crowded_maps(objects, CLASSES, INPUT_HW[0], device)))
            for objects in COUNTS
        ]
        # before the heap has grown, the plain way takes twice its time for memory alone
        for _, parts, _ in cases:
            for ways in parts.values():
                timed(ways, 1, device)
        for objects, parts, candidates in cases:
            for part, ways in parts.items():
                row = {'objects': objects, 'candidates': candidates, 'part': part}
                row['ms'] = timed(ways, repeats, device)
                row['work'] = {name: count_work(head, run) for name, run in ways.items()}
                row['difference'] = largest_difference(ways)
                rows.append(row)
                show_boxes(row)
    return rows


def show_boxes(row: dict[str, Any]) -> None:
    """Print one row of the table of boxes."""
    cells = [row['objects'], row['candidates'], row['part']]
    plain, package = row['ms']['plain'], row['ms']['package']
    cells += [f'{median:.2f} ± {half:.2f}' for median, half in (plain, package)]
    cells.append(f'{plain[0] / package[0]:.1f}')
    for kind in ('sigmoids', 'boxes'):
        counts = [row['work'][way][kind] for way in ('plain', 'package')]
        cells += [*counts, f'{counts[0] / counts[1]:.1f}' if counts[1] else '']
    print_row([*cells, f'{row["difference"]:.0e}'])


def print_row(cells: Any) -> None:
    """Print a row of a Markdown table at once."""
    print(f'| {" | ".join(map(str, cells))} |', flush=True)


# ---- masks


def detections(count: int, size_wh: tuple[int, int]) -> tuple[Any, ...]:
    """Return coefficients, prototypes and boxes like those of a crowded photo, and the settings of
    its masks.
    """
    import torch

    from mmyolo_lite.ops.masks import MaskSettings
    from mmyolo_lite.ops.postprocess import Letterbox

    generator = torch.Generator().manual_seed(count)
    scale = min(INPUT_HW[1] / size_wh[0], INPUT_HW[0] / size_wh[1])
    pad_x, pad_y = ((640 - side * scale) / 2 for side in size_wh)
    letterbox = Letterbox(size_wh[::-1], (scale, scale), (pad_x, pad_y, pad_x, pad_y))
    # sides of 10 to 320 network pixels, as COCO's objects: most are small
    sides = 10 * 32 ** torch.rand((count, 2), generator=generator)
    corners = torch.rand((count, 2), generator=generator) * (640 - sides)
    prototypes = torch.randn((32, 20, 20), generator=generator)
    prototypes = torch.nn.functional.interpolate(prototypes[None], (160, 160), mode='bilinear')[0]
    coefficients = torch.randn((count, 32), generator=generator)
    boxes = torch.cat([corners, corners + sides], dim=1)
    return coefficients, prototypes, boxes, MaskSettings(INPUT_HW, letterbox)


def measure_masks(way: str, count: int, size_wh: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Run one case in this process."""
    from pycocotools import mask as coco_mask

    from mmyolo_lite.ops.masks import encode_masks
    from tests.ops.plain_masks import plain_masks

    arguments = detections(count, size_wh)
    function = {'plain': plain_masks, 'by box': encode_masks}[way]
    encode_masks(*detections(2, (64, 48)))  # imports
    before, times = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(repeats):
        start = time.perf_counter()
        masks = function(*arguments)
        times.append(time.perf_counter() - start)
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        'ms': 1000 * statistics.median(times),
        'spread ms': 1000 * (max(times) - min(times)),
        'extra MiB': extra,
        'pixels': int(sum(map(coco_mask.area, masks))),
    }


def run_case(way: str, count: int, size_wh: tuple[int, int], repeats: int) -> dict[str, Any]:
    """Run one case of masks in a process of its own."""
    case = json.dumps([way, count, size_wh, repeats])
    done = subprocess.run(
        [sys.executable, __file__, '--case', case], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def all_masks(repeats: int) -> list[dict[str, Any]]:
    """Measure all cases of masks and print a table."""
    rows = []
    print_row(MASK_TITLES)
    print('|---' * len(MASK_TITLES) + '|')
    for size_wh in SIZES_WH:
        for count in COUNTS:
            plain, by_box = (run_case(way, count, size_wh, repeats) for way in ('plain', 'by box'))
            rows.append(dict(size_wh=size_wh, count=count, plain=plain, by_box=by_box))
            cells = [f'{size_wh[0]}x{size_wh[1]}', count]
            cells += [f'{case["ms"]:.0f} ± {case["spread ms"] / 2:.0f}' for case in (plain, by_box)]
            cells.append(f'{plain["ms"] / by_box["ms"]:.1f}')
            cells += [f'{case["extra MiB"]:.0f}' for case in (plain, by_box)]
            print_row([*cells, abs(plain['pixels'] - by_box['pixels'])])
    return rows


# ---- command line


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--parts', nargs='+', choices=('boxes', 'masks'))
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path)
    parser.add_argument('--case', help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.parts = args.parts or (['boxes'] if args.device == 'cuda' else ['boxes', 'masks'])
    if args.device == 'cuda' and 'masks' in args.parts:
        parser.error('masks are measured on a CPU: leave --device or --parts masks out')
    return args


def main() -> None:
    """Measure what was asked for and print tables."""
    args = parse_args()
    if args.case:
        way, count, size_wh, repeats = json.loads(args.case)
        print(json.dumps(measure_masks(way, count, tuple(size_wh), repeats)))
        return
    import torch

    if args.device == 'cuda' and not torch.cuda.is_available():
        print('skipped: no CUDA')
        return
    result: dict[str, Any] = {'device': args.device, 'torch': torch.__version__}
    if 'boxes' in args.parts:
        result['boxes'] = measure_boxes(BOX_REPEATS * args.repeats, args.device)
    if 'masks' in args.parts:
        result['masks'] = all_masks(args.repeats)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + '\n')
    if any(row['difference'] > MOST_DIFFERENCE for row in result.get('boxes', [])):
        raise SystemExit('error: the two ways found different boxes')


if __name__ == '__main__':
    main()
