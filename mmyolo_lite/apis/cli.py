"""What command lines share: arguments, reports, and how they end: in one line for an error that the
user can mend, and an exit code.
"""

import sys
from argparse import SUPPRESS, Action, ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mmyolo_lite.errors import Interrupted, UserError

if TYPE_CHECKING:
    from mmyolo_lite.datasets.converters.coco_json import ConversionReport

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells expect it


def add_config_arguments(parser: ArgumentParser) -> None:
    """Add what every command line over a config takes: ``config`` and ``--cfg-options``."""
    parser.add_argument(
        'config', help='path of the config; configs are Python code and run on loading'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_ConfigOptions,
        metavar='KEY=VALUE',
        help='override fields of the config, such as train_cfg.max_epochs=10',
    )


class _ConfigOptions(Action):
    """mmengine's ``DictAction``, imported when the option is used."""

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option: str | None = None
    ) -> None:
        from mmengine.config import DictAction

        try:
            DictAction(self.option_strings, self.dest)(parser, namespace, values, option)
        except (AssertionError, RecursionError, ValueError) as error:
            reason = f': {error}' if isinstance(error, AssertionError) else ''
            alone = [word for word in values if '=' not in word]
            if alone:
                parser.error(
                    f'argument --cfg-options: {alone[0]!r} is no KEY=VALUE. Lists are written '
                    'without spaces, as [1,2]; a checkpoint stands before --cfg-options.'
                )
            parser.error(
                f'argument --cfg-options: a value cannot be read{reason}. Lists are written as '
                '[1,2], tuples as (1,2), fields of a dict one by one as a.b=1 a.c=2.'
            )


def add_checkpoint_argument(parser: ArgumentParser, kinds: str = 'path or URL') -> None:
    """Add ``checkpoint``, which a published one in place of the config holds itself; read it with
    :func:`mmyolo_lite.engine.published.checkpoint_of`.

    Args:
        parser: behind :func:`add_config_arguments`.
        kinds: what it may be.
    """
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help=f'{kinds}; left out with a published checkpoint in place of the config',
    )


def parse_with_checkpoint(parser: ArgumentParser) -> Namespace:
    """Parse a command line with :func:`add_checkpoint_argument`. Options of one value may stand
    before the checkpoint, those of several behind it.

    Ends the process with a message for words that are left over, of which patterns make some.
    """
    args, more = parser.parse_known_intermixed_args()
    if more and not any(one.startswith('-') for one in more):
        parser.error(
            f'too many words: {" ".join(more)}. One checkpoint is taken: where a pattern such as '
            'best_*.pth fits several, name one. Patterns of images belong in quotes.'
        )
    if more:
        parser.error(f'unrecognized arguments: {" ".join(more)}')
    return args


def add_vis_argument(parser: ArgumentParser) -> None:
    """Add ``--vis``, where curves go."""
    parser.add_argument(
        '--vis',
        nargs='+',
        choices=('local', 'tensorboard', 'wandb'),
        help="where curves and pictures are recorded, in place of the config's vis_backends",
    )


def add_launcher_arguments(parser: ArgumentParser) -> None:
    """Add ``--launcher``, and the ``--local_rank`` that some launchers give."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=SUPPRESS)


def add_report_arguments(parser: ArgumentParser) -> None:
    """Add ``--overwrite``, ``--strict`` and ``--skip-errors``."""
    parser.add_argument('--overwrite', action='store_true', help='replace existing output')
    strictness = parser.add_mutually_exclusive_group()
    strictness.add_argument(
        '--strict', action='store_true', help='stop at anything that would be left out'
    )
    strictness.add_argument(
        '--skip-errors', action='store_true', help='leave out broken entries and go on'
    )


def print_reports(reports: Mapping[str, 'ConversionReport']) -> None:
    """Print what was kept and left out for every output, by the name of the output."""
    for output, report in reports.items():
        first, *rest = report.lines()
        print('\n'.join([f'{output}: {first}', *rest]))


def run_cli(main: Callable[[], None]) -> None:
    """Run the body of a command line, and end in one line where the user can mend the error.

    Args:
        main: Parses ``sys.argv`` and does the work. Argparse's exit code 2 for usage errors passes
            through.

    Raises:
        SystemExit: Code 1 after a :class:`~mmyolo_lite.errors.UserError`, whose message goes to
            stderr as ``error: <message>``; code 130 after Ctrl-C, 143 after SIGTERM. Any other
            exception is a defect of the program and propagates with its traceback.
    """
    # names from other people's files may have letters that the terminal cannot show
    if hasattr(sys.stdout, 'reconfigure'):
        sys.stdout.reconfigure(errors='backslashreplace')
    code = _exit_code(main)
    # without importing it: only runs of several processes need it
    processes = sys.modules.get('mmyolo_lite.engine.processes')
    if processes is not None:
        processes.leave(code)
    if code:
        sys.exit(code)


def _exit_code(main: Callable[[], None]) -> int:
    """Run `main`, print what a user has to know, and return the exit code."""
    try:
        main()
    except Interrupted as stop:
        sys.stdout.flush()
        if str(stop):
            print(stop, file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return EXIT_INTERRUPTED
    except Exception as error:
        behind = user_error(error)
        if behind is None:
            raise
        sys.stdout.flush()
        print(f'error: {one_line(behind)}', file=sys.stderr)
        return EXIT_ERROR
    return 0


def user_error(error: BaseException | None) -> UserError | None:
    """Return the user's error that an exception is, or was raised from by a framework."""
    while error is not None and not isinstance(error, UserError):
        error = error.__cause__
    return error


def one_line(error: UserError) -> str:
    """Return the message in one line.

    An error that crosses the border of a PyTorch data-loading worker carries the worker's traceback
    as its message; its own message stands at the end of that.
    """
    text = str(error)
    if 'Original Traceback' in text:
        text = text.rpartition(f'{type(error).__module__}.{type(error).__qualname__}: ')[2]
    return ' '.join(line.strip() for line in text.splitlines() if line.strip())
