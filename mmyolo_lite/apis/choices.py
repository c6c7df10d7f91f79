"""What options of command lines may be, apart from the code that they lead to: ``--help`` needs no
framework.
"""

from pathlib import Path

ALGORITHMS = ('v5-k-means', 'k-means', 'DE')
"""Ways to fit anchors."""
CAM_METHODS = (
    'gradcam',
    'gradcam++',
    'layercam',
    'xgradcam',
    'eigengradcam',
    'ablationcam',
    'eigencam',
)
"""Kinds of class-activation maps."""
CAM_TARGETS = ('class', 'objectness', 'box', 'mask')
"""What of an instance is explained."""
MODES = ('transformed', 'original', 'pipeline')
"""What is shown of an image: as it is packed, as the file has it, every step."""
PHASES = ('train', 'val', 'test')
"""Loaders of a config."""
DEFAULT_OUT_DIR = Path('output')
"""Where pictures go that no window can show."""
