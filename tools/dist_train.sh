#!/usr/bin/env bash
# Train in several processes, one for each GPU (or, without any, on the CPU):
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT say how many, which one this is, and where the first listens.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2; exit 2; }

config=$1 gpus=$2
shift 2
tools=$(cd "$(dirname "$0")" && pwd)
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" --nproc_per_node="$gpus" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
  "$tools/train.py" "$config" --launcher pytorch "$@"
