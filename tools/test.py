"""Evaluate a checkpoint or an exported file, and draw its predictions."""

import argparse

from mmyolo_lite import startup
from mmyolo_lite.apis.cli import (
    add_checkpoint_argument,
    add_config_arguments,
    add_launcher_arguments,
    add_vis_argument,
    parse_with_checkpoint,
    run_cli,
)
from mmyolo_lite.deploy.options import is_exported


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    add_checkpoint_argument(parser, 'path or URL, or an exported file')
    parser.add_argument(
        '--work-dir', help='where logs and pictures go (default: work_dirs/<config name>)'
    )
    parser.add_argument('--out', metavar='F.pkl', help='write all predictions to this file')
    parser.add_argument(
        '--json-prefix', metavar='P', help='write COCO results to P.bbox.json and P.segm.json'
    )
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--show-dir', metavar='D', help='write pictures to <work dir>/<timestamp>/D'
    )
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that a window stays')
    parser.add_argument('--tta', action='store_true', help='test with augmented views')
    add_vis_argument(parser)
    add_launcher_arguments(parser)
    args = parse_with_checkpoint(parser)
    if args.out is not None and not args.out.endswith(('.pkl', '.pickle')):
        parser.error(f'--out is {args.out}; its name must end in .pkl or .pickle')
    return args


def main() -> None:
    """Test as the command line says."""
    args = parse_args()
    startup.pause_collection()
    from mmyolo_lite.engine import config as configs
    from mmyolo_lite.engine import published, runner, watching

    if args.show:
        from mmyolo_lite.apis.browse import has_display, require_window

        require_window(args.show, has_display)  # matplotlib's
    config = configs.load_config(args.config, args.cfg_options, configs.TEST_PARTS)
    configs.check_files(config, configs.TEST_PARTS)
    configs.set_work_dir(config, args.work_dir, args.config)
    watching.choose_backends(config, args.vis)
    configs.set_launcher(config, args.launcher, args.local_rank)
    config.load_from = published.checkpoint_of(args.config, args.checkpoint)
    if is_exported(config.load_from):
        from mmyolo_lite.deploy.evaluate import use_exported

        use_exported(config, config.load_from, with_tta=args.tta)
    if args.show or args.show_dir:
        configs.enable_drawing(config, args.show_dir, args.show, args.wait_time)
    configs.set_results(config, args.json_prefix, args.out)
    if args.tta:
        configs.enable_tta(config)
    runner.test(config)


if __name__ == '__main__':
    run_cli(main)
