#!/usr/bin/env bash
# Test in several processes, one for each GPU (or, without any, on the CPU):
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT say how many, which one this is, and where the first listens.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2; exit 2; }

config=$1 checkpoint=$2 gpus=$3
shift 3
tools=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
