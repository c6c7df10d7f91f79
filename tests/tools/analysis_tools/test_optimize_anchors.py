"""The command line that fits anchors."""

from tests.tools import journey


def test_prints_both_and_writes_a_config(tools, data, tmp_path):
    config = journey.write_config(tmp_path / 'tiny.py', data)
    command = ('tools/analysis_tools/optimize_anchors.py', config, '--iters', '20')
    command = (*command, '--output-dir', 'work_dirs/tiny')  # the default
    done = tools.run(tmp_path, *command).check()
    rows = [line.split() for line in done.out.splitlines()]
    before, after = (
        next(row for row in rows if row[:1] == [name]) for name in ('config', 'fitted')
    )
    assert float(after[2]) > float(before[2]), 'fitness'
    assert (tmp_path / 'work_dirs/tiny/tiny_anchors.py').is_file()
    again = tools.run(tmp_path, *command)
    assert again.code == 1 and '--overwrite' in again.err and 'Traceback' not in again.err
