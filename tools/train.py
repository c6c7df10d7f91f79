"""Train a model from a config."""

import argparse

from mmyolo_lite import startup
from mmyolo_lite.apis.cli import (
    add_config_arguments,
    add_launcher_arguments,
    add_vis_argument,
    run_cli,
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        '--work-dir', help='where logs and checkpoints go (default: work_dirs/<config name>)'
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision (bfloat16 on a CPU)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='continue from CKPT, or from the newest checkpoint of the work dir',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the total batch size (auto_scale_lr.base_batch_size)',
    )
    parser.add_argument(
        '--freeze',
        metavar='PARTS',
        help='parts of the model that do not train, such as backbone,neck (model.freeze)',
    )
    add_vis_argument(parser)
    add_launcher_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Train as the command line says."""
    args = parse_args()
    startup.pause_collection()
    from mmyolo_lite.engine import config as configs
    from mmyolo_lite.engine import runner, watching
    from mmyolo_lite.engine.auto_scale_lr import enable_auto_scale_lr

    config = configs.load_config(args.config, args.cfg_options, configs.TRAIN_PARTS)
    configs.check_files(config, configs.TRAIN_PARTS, args.resume)
    configs.set_work_dir(config, args.work_dir, args.config)
    watching.choose_backends(config, args.vis)
    configs.set_launcher(config, args.launcher, args.local_rank)
    configs.set_resume(config, args.resume)
    configs.set_frozen(config, args.freeze)
    if args.auto_scale_lr:
        enable_auto_scale_lr(config)
    if args.amp:
        configs.enable_amp(config)
    runner.train(config)


if __name__ == '__main__':
    run_cli(main)
