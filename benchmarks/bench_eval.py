"""COCO scores of 5,000 images with 100 detections each, boxes and masks: time and memory with both
backends, and how far their scores lie apart.

    python benchmarks/bench_eval.py [--images 5000] [--repeats 3] [--out FILE.json]

With `--workers`, the annotations of a large training set in its loading processes: time to read
them, and memory that each process adds once it has read all of them.

    python benchmarks/bench_eval.py --workers 8 --images 120000 [--out FILE.json]

Each case runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

BACKENDS = ('pycocotools', 'faster_coco_eval')
KINDS = ('bbox', 'segm')
CLASSES = 80
WIDTH, HEIGHT = 640, 480
DETECTIONS = 100
OBJECTS = 7.2
"""Objects an image in COCO; so many detections of each image lie on one, or nearly."""
POINTS = 30
"""Points of a ring, on average, as in COCO."""
MIB = 2**20


def rings(count: int, rng) -> list[list[float]]:
    """Return rings around wobbling ellipses, most of them small, as COCO's objects."""
    import numpy as np

    found = []
    for number in rng.poisson(POINTS, count).clip(6):
        angles = np.linspace(0, 2 * np.pi, number, endpoint=False)
        radii = 5 * 32 ** rng.random(2) * rng.uniform(0.8, 1.2, (number, 1))
        ring = rng.uniform((0, 0), (WIDTH, HEIGHT)) + radii * np.stack(
            (np.cos(angles), np.sin(angles)), 1
        )
        found.append(ring.clip(0, (WIDTH, HEIGHT)).round(2).ravel().tolist())
    return found


def make_set(path: Path, images: int, rng) -> None:
    """Write an annotation file like COCO's; shapes repeat after 20,000."""
    import numpy as np

    pool = []
    for ring in rings(20000, rng):
        xs, ys = ring[::2], ring[1::2]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        pool.append({'segmentation': [ring], 'bbox': box, 'area': box[2] * box[3], 'iscrowd': 0})
    counts = rng.geometric(1 / (OBJECTS + 1), images) - 1
    owners = np.repeat(np.arange(images), counts).tolist()
    which = rng.integers(0, len(pool), len(owners)).tolist()
    labels = rng.integers(1, CLASSES + 1, len(owners)).tolist()
    entries = zip(owners, which, labels, strict=True)
    with path.open('w') as file:
        file.write('{"images": ')
        size = {'width': WIDTH, 'height': HEIGHT}
        json.dump([{'id': n, 'file_name': f'{n:012d}.jpg', **size} for n in range(images)], file)
        categories = [{'id': n, 'name': f'class {n}'} for n in range(1, CLASSES + 1)]
        file.write(f', "categories": {json.dumps(categories)}, "annotations": [')
        texts = [json.dumps(shape)[1:] for shape in pool]
        for number, (image, shape, label) in enumerate(entries, 1):
            comma = ', ' if number > 1 else ''
            ids = f'"id": {number}, "image_id": {image}, "category_id": {label}'
            file.write(f'{comma}{{{ids}, {texts[shape]}')
        file.write(']}')


def make_predictions(path: Path, rng) -> list[dict]:
    """Return samples as a model gives them: true objects, shifted ones and wrong ones."""
    import numpy as np
    import torch
    from pycocotools import mask as coco_mask

    from mmyolo_lite.ops.run_length_masks import RunLengthMasks

    content = json.loads(path.read_text())
    wrong = coco_mask.frPyObjects(rings(5000, rng), HEIGHT, WIDTH)
    by_image: dict[int, list] = {image['id']: [] for image in content['images']}
    for one in content['annotations']:
        by_image[one['image_id']].append(one)
    samples = []
    for image, objects in by_image.items():
        shifted = [
            (np.array(one['segmentation'][0]) + rng.normal(0, 3)).tolist()
            for one in objects[:DETECTIONS]
        ]
        masks = coco_mask.frPyObjects(shifted, HEIGHT, WIDTH) if shifted else []
        right, rank = len(masks), np.arange(DETECTIONS)
        more = DETECTIONS - right
        masks += [wrong[n] for n in rng.integers(0, len(wrong), more)]
        labels = [one['category_id'] - 1 for one in objects[:DETECTIONS]]
        labels += rng.choice(rng.integers(0, CLASSES, 4), more).tolist()
        boxes = coco_mask.toBbox(masks)
        boxes[:, 2:] += boxes[:, :2]
        found = {
            'bboxes': torch.from_numpy(boxes.astype(np.float32)),
            'labels': torch.tensor(labels),
            # better for true objects
            'scores': torch.from_numpy(0.6 * rng.random(DETECTIONS) + 0.4 * (rank < right)),
            'masks': RunLengthMasks(masks, (HEIGHT, WIDTH)),
        }
        samples.append({'img_id': image, 'ori_shape': (HEIGHT, WIDTH), 'pred_instances': found})
    return samples


def peak() -> float:
    """Return the largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_scores(path: Path, backend: str, kind: str, repeats: int) -> dict:
    """Score one kind of result with one backend, in this process."""
    import numpy as np

    from mmyolo_lite.evaluation import CocoMetric, coco_scores

    samples = make_predictions(path, np.random.default_rng(1))
    stats: list = []
    report = coco_scores.summary

    def noted(evaluated):
        stats.append(report(evaluated))
        return stats[-1]

    coco_scores.summary = noted
    metric = CocoMetric(
        str(path), [kind], proposal_nums=(100, 1, 10), backend=backend, collect_device='cpu'
    )
    metric.dataset_meta = {'classes': [f'class {n}' for n in range(1, CLASSES + 1)]}
    before, times = peak(), []
    for _ in range(repeats):
        metric.process(None, samples)
        start = time.perf_counter()
        metric.evaluate(len(samples))
        times.append(time.perf_counter() - start)
    return {'times': times, 'MiB': peak() - before, 'stats': stats[-1][0].tolist()}


def proportional_memory(pid: int) -> dict[str, float]:
    """Return in MiB the memory of a process: resident, its share of it, and all its own."""
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:]
    sizes = {line.split(':')[0]: int(line.split()[1]) / 1024 for line in lines}
    own = sizes['Private_Clean'] + sizes['Private_Dirty']
    return {'RSS': sizes['Rss'], 'PSS': sizes['Pss'], 'USS': own}


class ReadAll:
    """Data set of all annotations: gives the process that read them, nothing else."""

    def __init__(self, dataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> int:
        self.dataset.get_data_info(index)
        return os.getpid()


def measure_workers(path: Path, workers: int) -> dict:
    """Read the annotations in this process, and all of them in workers."""
    from torch.utils.data import DataLoader

    from mmyolo_lite.datasets import YOLOv5CocoDataset, yolov5_worker_init

    # eight on two cores, to count what they take
    warnings.filterwarnings('ignore', message='This DataLoader will create')
    before, start = proportional_memory(os.getpid()), time.perf_counter()
    dataset = YOLOv5CocoDataset(
        ann_file=str(path),
        data_prefix={'img': ''},
        metainfo={'classes': [f'class {n}' for n in range(1, CLASSES + 1)]},
        pipeline=[],
        lazy_init=True,
    )
    dataset.full_init()
    seconds, peak_mib = time.perf_counter() - start, peak()
    annotations = dataset.data_bytes.nbytes / MIB
    loader = DataLoader(
        ReadAll(dataset),
        batch_size=64,
        num_workers=workers,
        persistent_workers=True,
        worker_init_fn=yolov5_worker_init,
    )
    pids: set[int] = set()
    start = time.perf_counter()
    for batch in loader:
        pids |= set(batch.tolist())
    epoch = time.perf_counter() - start
    sizes = [proportional_memory(pid) for pid in sorted(pids)]
    return {
        'images': len(dataset),
        'read s': seconds,
        'epoch s': epoch,
        'annotations MiB': annotations,
        'peak MiB': peak_mib,
        'before': before,
        'parent': proportional_memory(os.getpid()),
        'workers': sizes,
    }


def run_case(path: Path, *case) -> dict:
    """Run one case in a process of its own."""
    command = [sys.executable, __file__, '--case', json.dumps([str(path), *case])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_scores(path: Path, kinds: list[str], repeats: int) -> dict:
    """Measure both backends and print a table."""
    rows: dict = {}
    print('| results | backend | s | MiB | mAP |\n' + '|---' * 5 + '|')
    for kind in kinds:
        for backend in BACKENDS:
            found = rows[f'{kind} {backend}'] = run_case(path, 'scores', backend, kind, repeats)
            times = found['times']
            spread = (max(times) - min(times)) / 2
            print(
                f'| {kind} | {backend} | {statistics.median(times):.1f} ± {spread:.1f} '
                f'| {found["MiB"]:.0f} | {found["stats"][0]:.6f} |',
                flush=True,
            )
        plain, faster = (rows[f'{kind} {backend}'] for backend in BACKENDS)
        ratio = statistics.median(plain['times']) / statistics.median(faster['times'])
        pairs = zip(plain['stats'], faster['stats'], strict=True)
        apart = max(abs(one - other) for one, other in pairs)
        print(f'{kind}: {ratio:.1f} times faster, scores {apart:.1e} apart', flush=True)
    return rows


def print_workers(path: Path, workers: int) -> dict:
    """Measure the annotations in workers and print a table."""
    found = run_case(path, 'workers', workers)
    print(
        f'{found["images"]} images read in {found["read s"]:.1f} s to '
        f'{found["annotations MiB"]:.0f} MiB, peak {found["peak MiB"]:.0f} MiB; '
        f'an epoch of reading in {workers} workers: {found["epoch s"]:.1f} s'
    )
    print('| process | RSS MiB | PSS MiB | USS MiB | USS / annotations |\n' + '|---' * 5 + '|')
    rows = [('before', found['before']), ('parent', found['parent'])]
    rows += [(f'worker {n}', sizes) for n, sizes in enumerate(found['workers'])]
    for name, sizes in rows:
        share = 100 * sizes['USS'] / found['annotations MiB']
        print(
            f'| {name} | {sizes["RSS"]:.0f} | {sizes["PSS"]:.0f} | {sizes["USS"]:.0f} '
            f'| {share:.1f} % |'
        )
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--images', type=int, default=5000)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=KINDS)
    parser.add_argument('--workers', type=int, help='measure annotations in so many processes')
    parser.add_argument('--out', type=Path)
    parser.add_argument('--case', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        path, what, *case = json.loads(args.case)
        measure = measure_scores if what == 'scores' else measure_workers
        print(json.dumps(measure(Path(path), *case)))
        return
    with tempfile.TemporaryDirectory() as folder:
        import numpy as np

        path = Path(folder, 'set.json')
        make_set(path, args.images, np.random.default_rng(0))
        if args.workers:
            found = print_workers(path, args.workers)
        else:
            found = print_scores(path, args.kinds, args.repeats)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
    main()
