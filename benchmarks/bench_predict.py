"""Masks of detections, from prototypes to run-length masks of the original image: time and memory
of the plain way of the specification and of the package's.

    python benchmarks/bench_predict.py [--repeats 3] [--out FILE.json]

Each case runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

SIZES_WH = ((640, 480), (1920, 1080), (4000, 3000))
COUNTS = (10, 100, 300)
INPUT_HW = (640, 640)
PLAIN_CHUNK = 10  # all 300 masks of the largest image at once would take 14 GB


def detections(count: int, size_wh: tuple[int, int]):
    """Return coefficients, prototypes and boxes like those of a crowded photo, and how it lies."""
    import torch

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
    return coefficients, prototypes, torch.cat([corners, corners + sides], dim=1), letterbox


def plain(coefficients, prototypes, boxes, letterbox) -> list:
    """Follow spec: predict.md 3.1: every mask at full size."""
    import numpy as np
    import torch
    from pycocotools import mask as coco_mask
    from torch.nn import functional as F

    rows, columns = torch.arange(INPUT_HW[0])[:, None], torch.arange(INPUT_HW[1])
    left, top = (int(pad) for pad in letterbox.pad_ltrb[:2])
    found = []
    for start in range(0, len(boxes), PLAIN_CHUNK):
        part = slice(start, start + PLAIN_CHUNK)
        masks = (coefficients[part] @ prototypes.flatten(1)).sigmoid().view(-1, 160, 160)
        masks = F.interpolate(masks[None], INPUT_HW, mode='bilinear', align_corners=False)[0]
        x1, y1, x2, y2 = boxes[part, :, None, None].unbind(dim=1)
        masks = masks * ((columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2))
        masks = masks[:, top : INPUT_HW[0] - top, left : INPUT_HW[1] - left]
        masks = F.interpolate(masks[None], letterbox.ori_hw, mode='bilinear', align_corners=False)
        masks = (masks[0] > 0.5).numpy().astype(np.uint8)
        found += [coco_mask.encode(np.asfortranarray(mask)) for mask in masks]
    return found


def by_box(coefficients, prototypes, boxes, letterbox) -> list:
    """The package's way."""
    from mmyolo_lite.ops.masks import MaskSettings, encode_masks

    settings = MaskSettings(INPUT_HW, letterbox)
    return list(encode_masks(coefficients, prototypes, boxes, settings))


def measure(way: str, count: int, size_wh: tuple[int, int], repeats: int) -> dict:
    """Run one case in this process."""
    from pycocotools import mask as coco_mask

    arguments = detections(count, size_wh)
    function = {'plain': plain, 'by box': by_box}[way]
    by_box(*detections(2, (64, 48)))  # imports
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


def run_case(way: str, count: int, size_wh: tuple[int, int], repeats: int) -> dict:
    """Run one case in a process of its own."""
    case = json.dumps([way, count, size_wh, repeats])
    done = subprocess.run(
        [sys.executable, __file__, '--case', case], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all cases and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path)
    parser.add_argument('--case', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        way, count, size_wh, repeats = json.loads(args.case)
        print(json.dumps(measure(way, count, tuple(size_wh), repeats)))
        return
    rows = []
    print('| image | masks | plain ms | ms | times faster | plain MiB | MiB | pixels differ |')
    print('|---' * 8 + '|')
    for size_wh in SIZES_WH:
        for count in COUNTS:
            plain_way, box_way = (
                run_case(way, count, size_wh, args.repeats) for way in ('plain', 'by box')
            )
            rows.append(dict(size_wh=size_wh, count=count, plain=plain_way, by_box=box_way))
            print(
                f'| {size_wh[0]}x{size_wh[1]} | {count} '
                f'| {plain_way["ms"]:.0f} ± {plain_way["spread ms"] / 2:.0f} '
                f'| {box_way["ms"]:.0f} ± {box_way["spread ms"] / 2:.0f} '
                f'| {plain_way["ms"] / box_way["ms"]:.1f} | {plain_way["extra MiB"]:.0f} '
                f'| {box_way["extra MiB"]:.0f} | {abs(plain_way["pixels"] - box_way["pixels"])} |',
                flush=True,
            )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
