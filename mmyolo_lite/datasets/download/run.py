"""Fetches the files of a data set side by side, unpacks them and removes the archives."""

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mmyolo_lite.datasets.download.archives import UnsafeArchive, check_archive
from mmyolo_lite.datasets.download.disk import megabytes
from mmyolo_lite.datasets.download.fetch import FetchSettings, Interrupted, byte_bar, fetch
from mmyolo_lite.datasets.download.locks import only_run
from mmyolo_lite.datasets.download.markers import check_digest, is_unpacked, write_marker
from mmyolo_lite.datasets.download.sources import (
    DATA_SETS,
    Checksum,
    DataSet,
    Source,
    file_name,
    is_archive_name,
    shown,
    stem,
)
from mmyolo_lite.datasets.download.unpack import unpack
from mmyolo_lite.errors import ConfigError, DataError

DEFAULT_DATA_SET = 'coco2017'
# Long enough for a worker between two chunks, short enough for somebody who pressed Ctrl-C.
FAREWELL_SECONDS = 1.0
POLL_SECONDS = 0.2

Say = Callable[[str], object]


@dataclass(frozen=True)
class Job:
    """One file of a plan: where it comes from and where it is kept."""

    source: Source
    path: Path


@dataclass(frozen=True)
class Plan:
    """What a run does; made by :func:`make_plan`."""

    jobs: Sequence[Job]
    save_dir: Path
    data_set: DataSet | None
    unzips: bool
    deletes: bool
    overwrites: bool
    threads: int
    settings: FetchSettings = field(default_factory=FetchSettings)

    @property
    def strips_top(self) -> bool:
        """Whether the top folders of archives are dropped."""
        return self.data_set is not None and self.data_set.strips_top


def make_plan(
    dataset_name: str | None = None,
    save_dir: str | None = None,
    *,
    unzip: bool = False,
    delete: bool = False,
    overwrite: bool = False,
    threads: int = 4,
    url: Sequence[str] = (),
    sha256: Sequence[str] = (),
    settings: FetchSettings | None = None,
) -> Plan:
    """Return the plan for the options of the command line; nothing is read or contacted.

    Args:
        dataset_name: A key of ``DATA_SETS``; coco2017 when neither this nor ``url`` is given.
        save_dir: Target of the archives and of unpacking; default: that of the data set, or
            ``data/<name of the first file>``.
        unzip: Unpack.
        delete: Remove each fetched archive after it is unpacked.
        overwrite: Replace files that differ from those of an archive.
        threads: Number of files fetched at a time.
        url: URLs or paths of local files instead of those of the data set.
        sha256: A checksum for each file, in the same order.
        settings: Retries and time limits.

    Raises:
        ConfigError: Options that cannot be, or do not go together.
    """
    if dataset_name is None and not url:
        dataset_name = DEFAULT_DATA_SET
    if dataset_name is not None and dataset_name not in DATA_SETS:
        raise ConfigError(f'unknown data set {dataset_name!r}, choose from {", ".join(DATA_SETS)}')
    if delete and not unzip:
        raise ConfigError('--delete removes archives that were unpacked; it needs --unzip')
    if threads < 1:
        raise ConfigError(f'--threads {threads}: at least one')
    data_set = DATA_SETS[dataset_name] if dataset_name else None
    sources = _sources(data_set, url, sha256)
    names = _names(sources)
    folder = Path(save_dir or (data_set.save_dir if data_set else f'data/{stem(names[0])}'))
    jobs = [
        Job(source, Path(source.location) if source.is_local else folder / name)
        for source, name in zip(sources, names, strict=True)
    ]
    return Plan(
        jobs, folder, data_set, unzip, delete, overwrite, threads, settings or FetchSettings()
    )


def _sources(data_set: DataSet | None, url: Sequence[str], sha256: Sequence[str]) -> list[Source]:
    """Return what is to be fetched: the URLs given, or else those of the data set."""
    sources = [Source(location) for location in url] or list(data_set.sources if data_set else ())
    if not sha256:
        return sources
    if len(sha256) != len(sources):
        raise ConfigError(
            f'--sha256: {len(sha256)} checksums for {len(sources)} files, one for each expected'
        )
    return [
        Source(source.location, Checksum.parse('sha256', digest))
        for source, digest in zip(sources, sha256, strict=True)
    ]


def _names(sources: Sequence[Source]) -> list[str]:
    """Return the file name of each source, after checking that no two are equal."""
    names = [_name(source) for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f'--url: two files are named {twice[0]!r}; fetch them one after the other'
        )
    return names


def _name(source: Source) -> str:
    if not source.is_local:
        return file_name(source.location)
    name = Path(source.location).name
    if not name or '\0' in source.location:
        raise ConfigError(f'--url: {source.location!r} names neither a URL nor a local file')
    return name


def run_plan(plan: Plan, say: Say = print) -> None:
    """Do what a plan says.

    All files are fetched before any is unpacked, so that a failed download changes nothing but the
    archives. Files unpack one after the other, in order.

    Args:
        plan: Of :func:`make_plan`.
        say: Called with one line of text for each thing done.

    Raises:
        DataError: Something failed; the message begins with the first failure and lists the others.
        KeyboardInterrupt: Passed on, after the workers were told to stop. Partial files stay.
    """
    try:
        plan.save_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f'{plan.save_dir}: cannot be made ({error.strerror}); choose another --save-dir'
        ) from error
    workers = [partial(_obtain, plan, job, say) for job in plan.jobs]
    outcomes = _side_by_side(workers, plan.threads, plan.settings.stop)
    _raise_first([outcome for outcome in outcomes if outcome is not None])
    if plan.unzips:
        for job in plan.jobs:
            try:
                _unpack(plan, job, say, is_last=job is plan.jobs[-1])
            except DataError as error:
                if job.source.is_local:
                    raise
                raise DataError(f'{shown(job.source.location)}: {error}') from error
    if plan.data_set and plan.data_set.note:
        say(f'{plan.data_set.name}: {plan.data_set.note}')


def _side_by_side(
    tasks: Iterable[Callable[[], None]], threads: int, stop: threading.Event
) -> list[BaseException | None]:
    """Run tasks in worker threads and return what each raised, in order.

    The threads are daemons: after Ctrl-C a worker that waits for a slow server does not keep the
    process alive.
    """
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    done: queue.SimpleQueue = queue.SimpleQueue()
    outcomes: list[BaseException | None] = []
    for index, task in enumerate(tasks):
        waiting.put((index, task))
        outcomes.append(None)

    def work() -> None:
        with suppress(queue.Empty):
            while True:
                index, task = waiting.get_nowait()
                error: BaseException | None = None
                try:
                    if stop.is_set():
                        raise Interrupted
                    task()
                except BaseException as raised:
                    error = raised
                done.put((index, error))

    crew = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(outcomes)))]
    for worker in crew:
        worker.start()
    try:
        for _ in outcomes:
            index, error = _next_outcome(done)
            outcomes[index] = error
    except BaseException:
        stop.set()
        for worker in crew:
            worker.join(FAREWELL_SECONDS)
        raise
    return outcomes


def _next_outcome(done: queue.SimpleQueue) -> tuple[int, BaseException | None]:
    """Wait in short steps: on Windows a single long wait would not see Ctrl-C."""
    while True:
        with suppress(queue.Empty):
            return done.get(timeout=POLL_SECONDS)


def _raise_first(errors: Sequence[BaseException]) -> None:
    """Raise the first of some errors, with the messages of the others."""
    for error in errors:
        if not isinstance(error, (DataError, Interrupted)):
            raise error
    if len(errors) > 1:
        others = '; and '.join(str(error) for error in errors[1:])
        raise DataError(f'{errors[0]}; and {others}') from errors[0]
    if errors:
        raise errors[0]


def _check(plan: Plan, job: Job, path: Path, thorough: bool) -> None:
    """Raise DataError unless a file is what the job wants."""
    if job.source.checksum:
        check_digest(path, job.source.checksum)
    if plan.unzips or is_archive_name(job.path.name):
        # an archive that is whole but unsafe is refused by name when it is to be unpacked
        with suppress(UnsafeArchive):
            check_archive(path, thorough and not job.source.checksum)


def _obtain(plan: Plan, job: Job, say: Say) -> None:
    """See that the file of a job is there and whole; runs in a worker thread."""
    path = job.path
    if job.source.is_local:
        if not path.is_file():
            raise DataError(f'{path}: no such file; --url takes http(s) URLs and local files')
        _check(plan, job, path, thorough=True)
        return
    with only_run(path):
        if plan.unzips and _is_unpacked(plan, job):
            return
        if path.is_file():
            try:
                _check(plan, job, path, thorough=True)
            except DataError as error:
                say(f'{error}; fetching it again')
            else:
                say(f'{path}: is there already, {megabytes(path.stat().st_size)}')
                return
        fetch(
            job.source.location,
            path,
            lambda part, thorough: _check(plan, job, part, thorough),
            # plain tar files have no checksums inside
            provable=bool(job.source.checksum)
            or (is_archive_name(path.name) and not path.name.lower().endswith('.tar')),
            settings=plan.settings,
        )
        say(f'{path}: fetched, {megabytes(path.stat().st_size)}')


def _is_unpacked(plan: Plan, job: Job) -> bool:
    return is_unpacked(
        plan.save_dir, job.path, job.source.location, plan.strips_top, job.source.checksum
    )


def _unpack(plan: Plan, job: Job, say: Say, is_last: bool) -> None:
    """Unpack the archive of a job unless that was done, then remove it if wanted."""
    data_set, archive = plan.data_set, job.path

    def verify(*folders: Path) -> None:
        if data_set and is_last:
            verify_layout(data_set, [plan.save_dir, *folders])

    with only_run(plan.save_dir / archive.name):
        if _is_unpacked(plan, job):
            verify()
            say(f'{archive}: is unpacked already in {plan.save_dir}')
        else:
            with byte_bar(f'unpacking {archive.name}', None) as bar:
                files = unpack(
                    archive,
                    plan.save_dir,
                    strips_top=plan.strips_top,
                    kept_tops={pattern.split('/')[0] for pattern in data_set.expected}
                    if data_set
                    else (),
                    overwrite=plan.overwrites,
                    verify=verify,
                    tick=bar.update,
                )
            write_marker(plan.save_dir, archive, job.source.location, plan.strips_top, files)
            say(f'{archive}: unpacked {len(files)} files into {plan.save_dir}')
        if plan.deletes and not job.source.is_local and archive.exists():
            archive.unlink()
            say(f'{archive}: deleted')


def verify_layout(data_set: DataSet, folders: Sequence[Path]) -> None:
    """Raise DataError when folders together lack files that the data set must have.

    Args:
        data_set: Its ``expected`` says what is looked for.
        folders: Where to look; a path found in several of them counts once.
    """
    missing = []
    for pattern, least in data_set.expected.items():
        found = {path.relative_to(folder) for folder in folders for path in folder.glob(pattern)}
        if len(found) < least:
            missing.append(f'{pattern}: {len(found)} of {least}')
    if missing:
        raise DataError(
            f'{folders[0]}: the {data_set.name} set is incomplete ({", ".join(missing)}); delete '
            'the archive and fetch it again, or name another source with --url'
        )
