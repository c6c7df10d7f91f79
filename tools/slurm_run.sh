# What slurm_train.sh and slurm_test.sh share; to be sourced.

# slurm_run PARTITION JOB_NAME SCRIPT [arguments]: run a script of this folder in one task for each GPU.
slurm_run() {
  local partition=$1 job=$2 script=$3
  shift 3
  local gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8} tools
  tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
  local resources=(--ntasks="$gpus")
  if [ "$per_node" -gt 0 ]; then
    [ "$per_node" -le "$gpus" ] || per_node=$gpus
    resources+=(--gres="gpu:$per_node" --ntasks-per-node="$per_node")
  fi
  # srun ends all tasks when one fails; SRUN_ARGS is several words
  # shellcheck disable=SC2086
  exec srun -p "$partition" --job-name="$job" "${resources[@]}" --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} "${PYTHON:-python}" -u "$tools/$script" "$@"
}
