#!/usr/bin/env bash
# Test on a Slurm cluster:
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] \
#     tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
# The variables are those of tools/slurm_train.sh.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]" >&2; exit 2; }

partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
. "$(dirname "$0")/slurm_run.sh"
slurm_run "$partition" "$job" test.py "$config" "$checkpoint" --launcher slurm "$@"
