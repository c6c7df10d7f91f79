"""Look for everything that is wrong with a data set, and write a mended copy on request."""

import argparse
import sys
from pathlib import Path

from mmyolo_lite.apis.cli import add_config_arguments, one_line, run_cli
from mmyolo_lite.datasets.doctor.fix import fix_set
from mmyolo_lite.datasets.doctor.kinds import Severity
from mmyolo_lite.datasets.doctor.sets import CheckedSet, check_sets
from mmyolo_lite.datasets.file_io import refuse_existing, write_json
from mmyolo_lite.errors import UserError


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='The exit code is 0 when nothing is wrong, 1 for warnings, 2 for errors; with --fix '
        'it speaks of the mended copy.',
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--img-dir', help='folder of the images, for an annotation file in place of a config'
    )
    parser.add_argument(
        '--set', metavar='NAME', help='check this set of the config only, such as train'
    )
    parser.add_argument('--no-images', action='store_true', help='do not decode the image files')
    parser.add_argument('--json', type=Path, metavar='OUT', help='write the findings to this file')
    parser.add_argument(
        '--fix',
        type=Path,
        metavar='OUT',
        help='write a mended annotation file; of a config with several sets, that of --set',
    )
    parser.add_argument('--overwrite', action='store_true', help='replace existing output')
    return parser.parse_args()


def chosen_sets(args: argparse.Namespace) -> list[CheckedSet]:
    """Return the sets to check: those of a config, or one annotation file."""
    if Path(args.config).suffix != '.py':
        if args.img_dir is None:
            print('images are not looked at: pass --img-dir', file=sys.stderr)
        return [CheckedSet(args.config, args.img_dir)]
    from mmyolo_lite.engine.config import load_config
    from mmyolo_lite.engine.doctor_config import only_set, sets_of_config

    sets = sets_of_config(load_config(args.config, args.cfg_options))
    return [only_set(sets, args.set)] if args.set or args.fix else sets


def main() -> None:
    """Check, print, write what was asked for, and exit with the severity of the worst finding."""
    args = parse_args()
    try:
        refuse_existing([path for path in (args.json, args.fix) if path], args.overwrite)
        sets = chosen_sets(args)
        report = check_sets(sets, with_images=not args.no_images)
        print('\n'.join(report.lines()))
        if args.json:
            write_json(report.to_json(), args.json)
        if args.fix:
            fixed = fix_set(sets[0], args.fix, with_images=not args.no_images)
            print('\n'.join(fixed.lines()))
            report = fixed.report
    except UserError as error:  # code 1 would say that there are but warnings
        print(f'error: {one_line(error)}', file=sys.stderr)
        sys.exit(Severity.ERROR)
    sys.exit(report.exit_code)


if __name__ == '__main__':
    run_cli(main)
