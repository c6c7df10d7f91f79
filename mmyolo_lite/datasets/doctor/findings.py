"""The doctor's report: counts of each kind of finding, its first cases, text, JSON, exit code."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from mmyolo_lite.datasets.coco_checks import Defect, few_letters
from mmyolo_lite.datasets.doctor.kinds import KINDS, Severity

SHOWN_CASES = 10
KINDS_IN_ONE_LINE = 6
HINT = 'more: python tools/analysis_tools/check_dataset.py CONFIG_OR_JSON'


class Case(NamedTuple):
    """One thing that was found."""

    set_name: str
    """Which set of a config it is in, such as ``train``; empty for a single file."""
    file_name: str | None
    """The image that it is about, as the annotation file names it."""
    list_name: str
    """``images``, ``annotations``, ``categories``, or empty."""
    position: int
    """Place in that list, from 0; -1 for none."""
    entry_id: int | str | None
    text: str


class SetSummary(NamedTuple):
    """What a set consists of."""

    name: str
    path: str
    images: int
    objects: int


class Report:
    """Collects findings; keeps the first :data:`SHOWN_CASES` of each kind and counts all."""

    def __init__(self) -> None:
        self.sets: list[SetSummary] = []
        self._counts: Counter[str] = Counter()
        self._cases: dict[str, list[Case]] = defaultdict(list)

    def add(self, defect: Defect, content: dict | None = None, set_name: str = '') -> None:
        """Count a defect.

        Args:
            defect: what was found.
            content: the parsed annotation file, from which the entry's id and image are taken.
            set_name: the set of a config that it belongs to.
        """
        self._counts[defect.code] += 1
        cases = self._cases[defect.code]
        if len(cases) < SHOWN_CASES:
            entry = _entry(content, defect)
            entry_id = entry.get('id')
            cases.append(
                Case(
                    set_name,
                    _file_name(content, entry),
                    defect.part,
                    defect.position,
                    entry_id if isinstance(entry_id, (int, str)) else None,
                    defect.text,
                )
            )

    def extend(self, defects: Iterable[Defect], content: dict, set_name: str = '') -> None:
        """Count defects of one annotation file."""
        for defect in defects:
            self.add(defect, content, set_name)

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind that was found, worst kind first."""
        return {code: self._counts[code] for code in KINDS if self._counts[code]}

    def cases(self, code: str) -> list[Case]:
        """Return the first cases of a kind."""
        return list(self._cases.get(code, ()))

    def total(self, severity: Severity) -> int:
        """Return how many findings there are of a severity."""
        return sum(count for code, count in self.counts.items() if KINDS[code].severity == severity)

    @property
    def worst(self) -> Severity:
        """The severity of the worst finding; INFO also when there is none."""
        return max((KINDS[code].severity for code in self.counts), default=Severity.INFO)

    @property
    def exit_code(self) -> int:
        """0 for nothing but notes, 1 for warnings, 2 for errors."""
        return int(self.worst)

    def one_line(self) -> str:
        """Return the sets and the kinds found in one line, as the log of a training shows it."""
        sets = '; '.join(f'{s.path}: {s.images} images, {s.objects} objects' for s in self.sets)
        found = [f'{count} {code}' for code, count in self.counts.items()]
        if not found:
            return f'dataset check: {sets}, nothing found'
        hidden = len(found) - KINDS_IN_ONE_LINE
        if hidden > 1:
            found[KINDS_IN_ONE_LINE:] = [f'{hidden} other kinds']
        return f'dataset check: {sets}: {", ".join(found)}; {HINT}'

    def lines(self) -> list[str]:
        """Return the whole report as text."""
        text = [
            f'{one.name + ": " if one.name else ""}{one.path}: {one.images} images, '
            f'{one.objects} objects'
            for one in self.sets
        ]
        for code, count in self.counts.items():
            kind = KINDS[code]
            text.append(f'{kind.severity.name.lower()} {code}, {count} x: {kind.meaning}')
            text += [f'    {_shown(case)}' for case in self._cases[code]]
            if count > SHOWN_CASES:
                text.append(f'    and {count - SHOWN_CASES} more')
            text.append(f'  to do: {kind.remedy}')
        return [*text, self._verdict()]

    def _verdict(self) -> str:
        if not self.counts:
            return 'nothing found'
        numbers = [self.total(severity) for severity in sorted(Severity, reverse=True)]
        return '{} errors, {} warnings, {} notes'.format(*numbers)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain lists and dicts."""
        return {
            'exit_code': self.exit_code,
            'sets': [one._asdict() for one in self.sets],
            'findings': [
                {
                    'code': code,
                    'severity': KINDS[code].severity.name.lower(),
                    'count': count,
                    'meaning': KINDS[code].meaning,
                    'remedy': KINDS[code].remedy,
                    'cases': [case._asdict() for case in self._cases[code]],
                }
                for code, count in self.counts.items()
            ],
        }


def _entry(content: dict | None, defect: Defect) -> dict:
    """Return the entry that a defect is about, empty where there is none."""
    entries = content.get(defect.part) if content else None
    if not isinstance(entries, list) or not 0 <= defect.position < len(entries):
        return {}
    entry = entries[defect.position]
    return entry if isinstance(entry, dict) else {}


def _file_name(content: dict | None, entry: dict) -> str | None:
    """Return the file of an image entry, or of the image that an annotation belongs to."""
    if 'image_id' in entry and content and isinstance(content.get('images'), list):
        owners = (image for image in content['images'] if isinstance(image, dict))
        entry = next((image for image in owners if image.get('id') == entry['image_id']), {})
    name = entry.get('file_name')
    return name if isinstance(name, str) else None


def _shown(case: Case) -> str:
    """Return a case as one printable line; names from files are quoted, which hides controls."""
    where = [case.set_name] if case.set_name else []
    if case.file_name is not None and case.list_name == 'annotations':
        where.append(few_letters(case.file_name))
    return ': '.join([*where, case.text])
