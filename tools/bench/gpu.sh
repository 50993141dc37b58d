#!/usr/bin/env bash
# Measures training on a GPU: graphs against operations started one by one, bfloat16 against TF32, and the Marian class
# of Hugging Face's transformers in the same run. Takes about five minutes, and writes one JSON object a line.
#
#   tools/bench/gpu.sh DATA OUTPUT.jsonl          DATA: a folder with train.de, train.en, val.de and val.en
#   tools/bench/gpu.sh DATA OUTPUT.jsonl --tiny   small sizes on the CPU, to see that it runs
#
# The losses of a recipe with and without graphs must be equal up to rounding: the column mean_loss.
set -euo pipefail

data="$1" output="$2"
shift 2
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

layers="type: transformer, num_layers: 6, num_heads: 8, feed_forward_size: 2048, dropout: 0.1"
base=(
    --set training.batch_tokens=25000 --set model.embedding_size=512
    --set "model.encoder={$layers}" --set "model.decoder={$layers}"
)
[[ " $* " != *" --tiny "* ]] || { set -- "$@" --device cpu && base=(); }
run() {
    timeout 200 "${PYTHON:-python3}" "$root/tools/bench/train_gpu.py" --json --set "data.root=$data" --set data.source=de \
        --set data.target=en "$@" | tee -a "$output" || echo "failed: $*" >&2
}

: >"$output"
run --recipe bench/transformer_256 --modes tf32,bf16,bf16-eager,transformers "$@"
run --recipe bench/transformer_256 --modes bf16,transformers --warmup 36 --updates 40 "${base[@]}" "$@"
run --recipe bench/transformer_256 --modes tf32 --warmup 36 --updates 20 "${base[@]}" "$@"
run --recipe bench/bahdanau_256 --modes bf16,bf16-eager --warmup 8 --updates 30 "$@"
