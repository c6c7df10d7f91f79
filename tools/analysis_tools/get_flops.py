"""Count the parameters and operations of a config's model."""

import argparse

from mmyolo_lite.apis.cli import add_config_arguments, run_cli


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=[640, 640],
        help='height and width of the input, or one side of a square',
    )
    parser.add_argument('--show-arch', action='store_true', help='list every module')
    args = parser.parse_args()
    if len(args.shape) > 2:
        parser.error('--shape takes one or two numbers')
    return args


def main() -> None:
    """Count and print."""
    args = parse_args()
    from mmyolo_lite.apis.complexity import complexity
    from mmyolo_lite.apis.model import load_model

    shape = (args.shape[0], args.shape[-1])
    model = load_model(args.config, None, 'cpu', args.cfg_options)
    found = complexity(model, shape)
    if args.show_arch:
        print(found.table)
    print(
        f'input: {shape[0]} x {shape[1]} (height x width)\n'
        f'parameters: {found.parameters / 1e6:.3f} M\n'
        f'FLOPs: {found.macs / 1e9:.3f} G (multiply-accumulates)'
    )


if __name__ == '__main__':
    run_cli(main)
