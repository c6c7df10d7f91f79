"""Make a checkpoint to hand on: weights, config, classes and input size in one file."""

import argparse

from mmyolo_lite import startup
from mmyolo_lite.apis.cli import run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='path of a checkpoint that a training has written')
    parser.add_argument(
        'output', nargs='?', help='folder or name; 8 letters of the SHA-256 are put behind'
    )
    parser.add_argument('--config', help='of the model (default: the one in the checkpoint)')
    parser.add_argument('--half', '--fp16', action='store_true', help='weights in float16')
    parser.add_argument('--safetensors', action='store_true', help='in that format')
    return parser.parse_args()


def main() -> None:
    """Publish as the command line says."""
    args = parse_args()
    startup.pause_collection()
    from mmyolo_lite.deploy.publish import publish

    done = publish(args.checkpoint, args.output, args.config, args.half, args.safetensors)
    before, after = done.bytes_before / 2**20, done.bytes_after / 2**20
    print(f'{before:.1f} MiB -> {after:.1f} MiB\nwritten: {done.path}')


if __name__ == '__main__':
    run_cli(main)
