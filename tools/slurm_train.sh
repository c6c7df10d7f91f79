#!/usr/bin/env bash
# Train on a Slurm cluster:
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] \
#     tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# One process for each GPU. GPUS_PER_NODE=0 asks for none, and trains in GPUS processes on CPUs. MASTER_PORT is where
# the first process listens.
set -euo pipefail
[ $# -ge 4 ] || { echo "usage: $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2; exit 2; }

partition=$1 job=$2 config=$3 work_dir=$4
shift 4
. "$(dirname "$0")/slurm_run.sh"
slurm_run "$partition" "$job" train.py "$config" --work-dir "$work_dir" --launcher slurm "$@"
