"""Parameters, operations and time of every config, as the table of docs/model_zoo.md, and the
metafiles beside the configs.

    python benchmarks/model_table.py [--metafiles] [--times 3] [--only n s]

A config counts at the size of its own images. Times are those of the network alone, one image,
float32, one thread, on this machine.
"""

import argparse
import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))
FOLDERS = {
    'configs/yolov5': 'YOLOv5',
    'configs/yolov5/ins_seg': 'YOLOv5 instance segmentation',
}
HEADER = """Collections:
  - Name: {collection}
    License: Apache-2.0
    Metadata:
      Training Techniques: [SGD with Nesterov Momentum, Weight Decay, Mosaic, EMA]
      Architecture: [CSPDarknet, PAFPN]
    README: README.md

Models:
"""


class Row(NamedTuple):
    """A config and what its network costs."""

    config: str
    size: str
    side: int
    epochs: int
    parameters: int
    macs: int
    milliseconds: float | None


def measured(path: Path, times: int) -> Row:
    """Build a config's network and count; `times` runs are timed, 0 leaves that out."""
    import torch

    from mmyolo_lite.apis.complexity import complexity
    from mmyolo_lite.apis.model import load_model
    from mmyolo_lite.engine.config import load_config, training_input_wh

    config = load_config(path)
    width, height = training_input_wh(config) or (640, 640)
    model = load_model(config, None, 'cpu')
    cost = complexity(model, (height, width))
    milliseconds = None
    if times:
        network: Any = model.network
        image = torch.zeros(1, 3, height, width)
        seconds = []
        for _ in range(times + 1):
            start = time.perf_counter()
            with torch.no_grad():
                network.bbox_head(network.extract_feat(image))
            seconds.append(time.perf_counter() - start)
        milliseconds = 1000 * statistics.median(seconds[1:])
    return Row(
        config=path.relative_to(REPO).as_posix(),
        size=size_of(path),
        side=width,
        epochs=int(config.train_cfg.max_epochs),
        parameters=cost.parameters,
        macs=cost.macs,
        milliseconds=milliseconds,
    )


def size_of(path: Path) -> str:
    """Return the letter of the size in a config's name."""
    found = re.match(r'yolov5_(?:ins_)?([nsmlx])-', path.name)
    if found is None:
        raise SystemExit(f'error: {path}: the name does not say the size')
    return found[1]


def table_row(row: Row) -> str:
    """Return a row of the Markdown table."""
    time_cell = '' if row.milliseconds is None else f'{row.milliseconds:.0f}'
    cells = [
        f'[{Path(row.config).stem}](../{row.config})',
        row.size,
        row.side,
        row.epochs,
        f'{row.parameters / 1e6:.2f}',
        f'{row.macs / 1e9:.2f}',
        time_cell,
    ]
    return f'| {" | ".join(map(str, cells))} |'


def entry(row: Row, collection: str) -> str:
    """Return the entry of a metafile."""
    return (
        f'  - Name: {Path(row.config).stem}\n'
        f'    In Collection: {collection}\n'
        f'    Config: {row.config}\n'
        '    Metadata:\n'
        f'      Epochs: {row.epochs}\n'
        f'      Input Size: {row.side}\n'
        f'      Parameters: {row.parameters}\n'
        f'      FLOPs: {row.macs}\n'
    )


def main() -> None:
    """Print the table, and write the metafiles if asked."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--metafiles', action='store_true')
    parser.add_argument('--times', type=int, default=0, help='runs that are timed')
    parser.add_argument('--only', nargs='+', default=list('nsmlx'), help='sizes')
    options = parser.parse_args()
    if options.metafiles and len(options.only) < 5:
        parser.error('--metafiles takes all sizes')

    import torch

    torch.set_num_threads(1)
    print('| config | size | pixels | epochs | parameters (M) | MACs (G) | ms |')
    print('|---|---|---|---|---|---|---|')
    for folder, collection in FOLDERS.items():
        paths = sorted(Path(REPO, folder).glob('*.py'))
        entries = []
        for path in sorted(paths, key=lambda path: 'nsmlx'.index(size_of(path))):
            if size_of(path) not in options.only:
                continue
            row = measured(path, options.times)
            print(table_row(row), flush=True)
            entries.append(entry(row, collection))
        if options.metafiles:
            text = HEADER.format(collection=collection) + '\n'.join(entries)
            Path(REPO, folder, 'metafile.yml').write_text(text)


if __name__ == '__main__':
    sys.exit(main())
