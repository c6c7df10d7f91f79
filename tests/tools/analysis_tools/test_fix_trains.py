"""A set with every kind of fault at once: all are found, and its mended copy trains."""

import json
import shutil

from tests.datasets.doctor.planted import FAULTS, PlantedSet
from tests.tools import journey

TOOL = 'tools/analysis_tools/check_dataset.py'
# faults of the whole file, which would hide the others
WHOLE_FILE = {'missing-list'}


def all_faults(folder):
    """Write ``ann.json`` of one small set for each fault, its images in ``images/``."""
    content = dict(images=[], annotations=[], categories=[dict(id=1, name='cat')])
    content['categories'].append(dict(id=2, name='dog'))
    (folder / 'images').mkdir()
    codes = [code for code in FAULTS if code not in WHOLE_FILE]
    for number, code in enumerate(codes):
        planted = PlantedSet(folder / code, first_seed=10 * number)
        FAULTS[code][0](planted)
        for file in (folder / code / 'images').iterdir():
            file.rename(folder / 'images' / f'{code}-{file.name}')
        for key, entries in planted.content.items():
            if key in content:
                content[key] += [apart(one, key, code, 1000 * number) for one in entries]
    categories = {json.dumps(one): one for one in content['categories']}
    content['categories'] = list(categories.values())
    (folder / 'ann.json').write_text(json.dumps(content))
    return set(codes)


def keep_few(content):
    """Keep some images, those of objects without a usable mask among them."""
    odd = {
        one['image_id']
        for one in content['annotations']
        if not one.get('segmentation') or one['iscrowd']
    }
    assert len(odd) >= 2
    kept = {*odd, *(one['id'] for one in content['images'][:8])}
    content['images'] = [one for one in content['images'] if one['id'] in kept]
    content['annotations'] = [one for one in content['annotations'] if one['image_id'] in kept]


def apart(entry, key, code, offset):
    """Return an entry whose ids and file name are not those of other sets."""
    if not isinstance(entry, dict):
        return entry
    entry = dict(entry)  # the table of faults stays as it is
    for name in ('id', 'image_id'):
        is_own = type(entry.get(name)) is int and entry[name] != 0
        if is_own and (key != 'categories' or entry[name] > 2):  # cat and dog are common to all
            entry[name] += offset
    if isinstance(entry.get('file_name'), str):
        entry['file_name'] = f'{code}-{entry["file_name"]}'
    return entry


def test_all_faults_are_found_and_the_mended_copy_trains(tools, tmp_path):
    planted = all_faults(tmp_path)
    command = (TOOL, 'ann.json', '--img-dir', 'images')
    done = tools.run(tmp_path, *command, '--json', 'found.json')
    assert done.code == 2, done.err
    found = json.loads((tmp_path / 'found.json').read_text())
    assert planted <= {one['code'] for one in found['findings']}
    assert len(planted) >= 45

    done = tools.run(tmp_path, *command, '--fix', 'mended.json')
    assert done.code < 2, done.out + done.err
    assert 'Traceback' not in done.err
    for split in ('train', 'val'):
        (tmp_path / split).symlink_to('images')
        shutil.copy(tmp_path / 'mended.json', tmp_path / f'{split}.json')
    journey.edit_json(tmp_path / 'val.json', keep_few)
    config = journey.write_config(tmp_path / 'tiny.py', tmp_path, epochs=1)
    text = config.read_text().replace("('balloon', )", "('cat', 'dog')")
    config.write_text(text.replace('num_classes=1', 'num_classes=2'))
    done = tools.run(tmp_path, 'tools/train.py', config).check()
    assert 'Epoch(val)' in done.out and 'coco/segm_mAP' in done.out
