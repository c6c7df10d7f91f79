"""Convert official YOLOv5 v6 or v7 weights, detection or segmentation, to this project's layout.

Nothing of the file is executed, and the project that wrote it is not needed.
"""

import argparse

from mmyolo_lite.apis.cli import run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', help='checkpoint (.pt) or ONNX export (.onnx) of size n, s, m, l, x')
    parser.add_argument('dst', help='where the converted checkpoint goes (.pth)')
    parser.add_argument(
        '--config',
        metavar='OUT.py',
        help='write a config with the classes and anchors of the weights (default: beside DST, '
        'where the anchors are not those of COCO)',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace existing output')
    return parser.parse_args()


def main() -> None:
    """Convert, report and write."""
    args = parse_args()
    from mmyolo_lite.apis import convert_weights

    found = convert_weights.convert_file(args.src)
    print('\n'.join(found.lines()))
    written = convert_weights.write_converted(
        found, args.src, args.dst, args.config, args.overwrite
    )
    print(f'written: {", ".join(map(str, written))}')


if __name__ == '__main__':
    run_cli(main)
