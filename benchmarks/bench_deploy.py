"""Latency of one image by PyTorch, TorchScript, onnxruntime and OpenVINO at 640x640, split into
pre-processing, network and post-processing, with run-length masks of 20 instances.

    python benchmarks/bench_deploy.py [--sizes n s] [--threads 1 2] [--repeats 20]
    [--weights FILE ...] [--image FILE] [--out FILE.json]

Without weights the networks are random, which changes no time but that of the masks; without an
image one is painted. The threshold of scores is set so that 20 instances stay. Each case runs in a
process of its own. With onnxruntime-gpu or TensorRT and a GPU there are rows for them
(--device cuda).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))
CONFIG = 'configs/yolov5/ins_seg/yolov5_ins_{}-v61_syncbn_fast_8xb16-300e_coco_instance.py'
INSTANCES = 20
WAYS = {  # of --device cpu: format and --nms
    'PyTorch': None,
    'TorchScript': ('torchscript', 'graph'),
    'onnxruntime': ('onnx', 'graph'),
    'onnxruntime, --nms none': ('onnx', 'none'),
    'OpenVINO': ('openvino', 'graph'),
}
CUDA_WAYS = {
    'PyTorch': None,
    'TorchScript': ('torchscript', 'graph'),
    'onnxruntime': ('onnx', 'graph'),
    'TensorRT': ('engine', 'none'),
}
TITLES = (
    *('size', 'threads', 'way', 'pre ms', 'network ms', 'post ms', 'together ms'),
    *('post / network', 'instances'),
)


class Case(NamedTuple):
    """What one process measures."""

    size: str
    weights: str | None
    threads: int
    way: str
    repeats: int
    device: str
    image: str


Steps = list[Callable[[Any], Any]]
"""Pre-processing, network and post-processing, each from the result of the one before."""


def pytorch_steps(model: Any, device: str) -> Steps:
    """Return the steps of the network in PyTorch, batch norms folded."""
    from mmyolo_lite.deploy import switch_to_deploy

    network: Any = switch_to_deploy(model.network)

    def prepare(image: Any) -> Any:
        sample = model.prepare(image)
        return network.data_preprocessor({key: [value] for key, value in sample.items()})

    def run(data: dict) -> Any:
        return network.bbox_head(network.extract_feat(data['inputs'])), data['data_samples']

    def finish(found: Any) -> Any:
        maps, samples = found
        return network.bbox_head.predict_by_feat(maps, [one.metainfo for one in samples])[0]

    return [prepare, run, finish]


def exported_steps(path: Path, device: str, threads: int, score_thr: float) -> Steps:
    """Return the steps of an exported file."""
    from mmyolo_lite.deploy.runtime import Runtime, run_lengths
    from mmyolo_lite.deploy.steps import detections, letterbox, network_input

    runtime = Runtime(path, device, score_thr=score_thr, threads=threads)

    def prepare(image: Any) -> Any:
        boxed, placement = letterbox(image, runtime.meta['preprocess'])
        return network_input([boxed], runtime.meta['preprocess']), placement

    def run(prepared: Any) -> Any:
        return runtime.session(prepared[0], score_thr), prepared[1]

    def finish(found: Any) -> Any:
        done = detections(found[0], 0, found[1], runtime.meta, score_thr)
        run_lengths(done, found[1].image_hw)
        return done

    return [prepare, run, finish]


def measure(case: Case) -> dict[str, Any]:
    """Measure one case in this process."""
    import cv2
    import torch

    from mmyolo_lite.apis.model import load_model
    from mmyolo_lite.apis.predictor import Predictor, with_test_settings
    from mmyolo_lite.deploy import ExportOptions, export_model
    from mmyolo_lite.deploy.options import SUFFIXES
    from mmyolo_lite.engine.config import load_config

    torch.set_num_threads(case.threads)
    cv2.setNumThreads(case.threads)
    torch.manual_seed(0)
    image = cv2.imread(case.image)
    config = load_config(REPO / CONFIG.format(case.size))
    config.test_dataloader.dataset.batch_shapes_cfg = None  # one size, 640x640
    every = Predictor(config, case.weights, 'cpu', score_thr=None)
    scores = every.predict_one(image).scores
    if len(scores) <= INSTANCES:
        raise SystemExit(f'error: {case.image} shows {len(scores)} objects; {INSTANCES} are needed')
    score_thr = float(scores[INSTANCES - 1 : INSTANCES + 1].mean())  # between two objects
    state = every.model.network.state_dict()
    config = with_test_settings(config, score_thr)
    config.model.test_cfg.score_thr = score_thr
    model = load_model(config, None, case.device if case.way == 'PyTorch' else 'cpu')
    model.network.load_state_dict(state)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        wanted = {**WAYS, **CUDA_WAYS}[case.way]
        if wanted is None:
            steps = pytorch_steps(model, case.device)
        else:
            options = ExportOptions(format=wanted[0], nms=wanted[1])
            output = Path(folder, f'model{SUFFIXES[wanted[0]]}')
            export_model(model, output, options)
            steps = exported_steps(output, case.device, case.threads, score_thr)
        return timed(steps, image, case.repeats)


def timed(steps: Steps, image: Any, repeats: int) -> dict[str, Any]:
    """Return the median in ms of each step."""
    import torch

    times: list[list[float]] = [[] for _ in steps]
    for number in range(repeats + 3):
        value = image
        for step, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            value = step(value)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if number >= 3:  # the first ones warm up
                found.append(1000 * (time.perf_counter() - start))
    return {
        'ms': [statistics.median(found) for found in times],
        'spread': [(max(found) - min(found)) / 2 for found in times],
        'instances': len(value.scores),
    }


def run_case(case: Case) -> dict[str, Any] | None:
    """Run one case in a process of its own; None where a package is missing."""
    command = [sys.executable, __file__, '--case', json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        if 'pip install' not in reason:
            raise SystemExit(f'error: {case}: {done.stderr}')
        print(f'skipped: {case.way}: {reason}', file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def show(case: Case, found: dict[str, Any]) -> None:
    """Print a row of the table."""
    pre, network, post = found['ms']
    cells: list[Any] = [case.size, case.threads, case.way]
    cells += [
        f'{ms:.1f} ± {half:.1f}' for ms, half in zip(found['ms'], found['spread'], strict=True)
    ]
    cells += [f'{pre + network + post:.1f}', f'{100 * post / network:.1f} %', found['instances']]
    print(f'| {" | ".join(map(str, cells))} |', flush=True)


def painted(folder: str) -> str:
    """Return the path of a painted picture of 640x480 pixels."""
    import cv2
    import numpy as np

    random = np.random.default_rng(0)
    image = cv2.resize(random.integers(0, 255, (24, 32, 3), dtype=np.uint8), (640, 480))
    path = str(Path(folder, 'painted.png'))
    cv2.imwrite(path, image)
    return path


def main() -> None:
    """Measure what was asked for and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--sizes', nargs='+', choices=tuple('nsmlx'), default=['n', 's'])
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2])
    parser.add_argument('--repeats', type=int, default=20)
    parser.add_argument('--weights', nargs='+', default=[], help='a checkpoint for each size')
    parser.add_argument('--image')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--out', type=Path)
    parser.add_argument('--case', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(Case(*json.loads(args.case)))))
        return
    print(f'| {" | ".join(TITLES)} |\n{"|---" * len(TITLES)}|', flush=True)
    rows, weights = [], args.weights + [None] * len(args.sizes)
    with tempfile.TemporaryDirectory() as folder:
        image = args.image or painted(folder)
        for size, checkpoint in zip(args.sizes, weights, strict=False):
            for threads in args.threads:
                for way in WAYS if args.device == 'cpu' else CUDA_WAYS:
                    case = Case(size, checkpoint, threads, way, args.repeats, args.device, image)
                    found = run_case(case)
                    if found is not None:
                        show(case, found)
                        rows.append({**case._asdict(), **found})
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
    main()
