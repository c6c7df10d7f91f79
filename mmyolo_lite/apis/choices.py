"""What options of command lines may be, apart from the code that they lead to: ``--help`` needs no
framework.
"""

from pathlib import Path

ALGORITHMS = ('v5-k-means', 'k-means', 'DE')
"""Ways to fit anchors."""
MODES = ('transformed', 'original', 'pipeline')
"""What is shown of an image: as it is packed, as the file has it, every step."""
PHASES = ('train', 'val', 'test')
"""Loaders of a config."""
DEFAULT_OUT_DIR = Path('output')
"""Where pictures go that no window can show."""
