"""Training and testing on a cluster whose `srun` runs all tasks on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmyolo_lite.engine import processes
from mmyolo_lite.errors import ConfigError
from tests.distributed.ranks import free_port
from tests.shared_data import REPO
from tests.tools import journey
from tests.tools.journey import Done

SRUN = """#!/usr/bin/env bash
echo "$@" > srun_arguments.txt
while [[ $1 == -* ]]; do
  case $1 in
    -p) shift ;;
    --ntasks=*) export SLURM_NTASKS=${1#*=} ;;
  esac
  shift
done
export SLURM_NODELIST='node[1-2]'
pids=()
for ((task = 0; task < SLURM_NTASKS; task++)); do
  SLURM_PROCID=$task SLURM_LOCALID=$task "$@" &
  pids+=($!)
done
code=0
for pid in "${pids[@]}"; do wait "$pid" || code=$?; done
exit $code
"""
SCONTROL = """#!/usr/bin/env bash
[ "$*" = 'show hostnames node[1-2]' ] && printf '127.0.0.1\\nnode2\\n'
"""


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of a user of the cluster."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return {
        **{k: v for k, v in journey.environment().items() if not k.startswith('SLURM_')},
        'PATH': f'{folder}:{os.environ["PATH"]}',
        'PYTHON': sys.executable,
        'MASTER_PORT': str(free_port()),
        'GPUS': '2',
        'GPUS_PER_NODE': '0',
        'CPUS_PER_TASK': '1',
        'SRUN_ARGS': '--qos=high --time=10',
    }


def run(script: str, environment: dict[str, str], cwd: Path, *arguments: object) -> Done:
    done = subprocess.run(
        [str(REPO / 'tools' / script), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_two_tasks_train_and_test(cluster, data, tmp_path):
    config = journey.write_config(tmp_path / 'tiny.py', data, epochs=1)
    done = run('slurm_train.sh', cluster, tmp_path, 'gpu', 'balloons', config, tmp_path / 'out')
    done.check()
    given = (tmp_path / 'srun_arguments.txt').read_text()
    assert given.startswith(
        '-p gpu --job-name=balloons --ntasks=2 --cpus-per-task=1 --kill-on-bad-exit=1 '
        '--qos=high --time=10 '
    )
    assert len(journey.train_scalars(tmp_path / 'out')) == 1  # eight images in two processes
    checkpoint = tmp_path / 'out/epoch_1.pth'
    done = run('slurm_test.sh', cluster, tmp_path, 'gpu', 'balloons', config, checkpoint).check()
    assert 'coco/segm_mAP' in done.out + done.err


@pytest.mark.parametrize(
    ('gpus', 'per_node', 'resources'),
    [
        ('16', '8', '--ntasks=16 --gres=gpu:8 --ntasks-per-node=8'),
        ('4', '8', '--ntasks=4 --gres=gpu:4 --ntasks-per-node=4'),
    ],
)
def test_gpus_that_are_asked_for(gpus, per_node, resources, cluster, tmp_path):
    environment = {**cluster, 'GPUS': gpus, 'GPUS_PER_NODE': per_node, 'PYTHON': 'true'}
    run('slurm_train.sh', environment, tmp_path, 'gpu', 'name', 'config.py', 'out', '--amp').check()
    given = (tmp_path / 'srun_arguments.txt').read_text()
    assert resources in given
    assert given.endswith('train.py config.py --work-dir out --launcher slurm --amp\n')


@pytest.mark.parametrize('script', ['slurm_train.sh', 'slurm_test.sh'])
def test_scripts_say_how_they_are_used(script, cluster, tmp_path):
    done = run(script, cluster, tmp_path, 'gpu')
    assert (done.code, done.err.count('\n')) == (2, 1)
    assert done.err.startswith('usage: ')


@pytest.mark.parametrize(
    ('nodes', 'expected'), [('node[1-2]', '127.0.0.1'), ('n1.cluster-a', 'n1.cluster-a')]
)
def test_the_first_process_listens_on_the_first_node(nodes, expected, cluster, monkeypatch):
    monkeypatch.setenv('PATH', cluster['PATH'])
    monkeypatch.setenv('SLURM_NODELIST', nodes)
    assert processes._first_host('slurm') == expected


@pytest.mark.parametrize(('launcher', 'nodes'), [('slurm', 'node[3-4]'), ('mpi', 'node1')])
def test_an_unknown_first_node_is_asked_for(launcher, nodes, cluster, monkeypatch):
    monkeypatch.setenv('PATH', cluster['PATH'])
    monkeypatch.setenv('SLURM_NODELIST', nodes)
    with pytest.raises(ConfigError, match='MASTER_ADDR'):
        processes._first_host(launcher)
