"""Print the notes of a release: its section of CHANGELOG.md.

    python .github/release_notes.py v1.2.3

Ends with an error where the tag, the version of the package and the changelog disagree, so that no
release is made of a commit that was not prepared for it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def section(changelog: str, version: str) -> str:
    """Return what the changelog says about a version, without its heading; '' if nothing."""
    pattern = rf'^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |^\[[^\]]+\]: |\Z)'
    match = re.search(pattern, changelog, re.MULTILINE | re.DOTALL)
    return match[1].strip() if match else ''


def package_version(text: str) -> str:
    """Return the version that ``mmyolo_lite/version.py`` states."""
    match = re.search(r"__version__ = '([^']+)'", text)
    return match[1] if match else ''


def main() -> None:
    """Print the notes of the tag on the command line."""
    if len(sys.argv) != 2:
        sys.exit('usage: release_notes.py TAG, such as v1.2.3')
    version = sys.argv[1].removeprefix('v')
    own = package_version((ROOT / 'mmyolo_lite/version.py').read_text('utf-8'))
    if version != own:
        sys.exit(f'error: the tag is for {version}, but mmyolo_lite/version.py says {own}')
    notes = section((ROOT / 'CHANGELOG.md').read_text('utf-8'), version)
    if not notes:
        sys.exit(f'error: CHANGELOG.md has no section "## [{version}]", or it is empty')
    print(notes)


if __name__ == '__main__':
    main()
