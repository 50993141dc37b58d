#!/bin/sh
# Guided alignment from nothing but parallel text: train a teacher, let it align its training text, and train a model
# whose attention follows those links (see docs/how-to/align.md).
#
#   tools/experiments/guided_alignment.sh FOLDER OUTPUT [SOURCE TARGET]
#
# FOLDER holds train.SOURCE, train.TARGET, val.SOURCE and val.TARGET, as text that is not tokenised. What is written:
#   OUTPUT/teacher        a Luong model, the system whose own attention aligns best
#   OUTPUT/reverse        the same the other way round, with REVERSE=1
#   OUTPUT/train.links    its links, in Pharaoh form, punctuation marks counted as words
#   OUTPUT/guided         the guided model
# A run that was stopped can be started again: it goes on with the training that was not finished.
#
# From the environment: TEACHER (multi30k/luong) and STUDENT (multi30k/transformer_guided) are recipes, REVERSE=1 adds
# a teacher of the other direction, SETTINGS are options for every `nmt train`, such as --set=training.max_epochs=5.
set -eu

[ $# -ge 2 ] || { sed -n 's/^# \{0,1\}//; 2,16p' "$0" >&2; exit 2; }
folder=$1 output=$2 source=${3:-de} target=${4:-en}
train_source=$folder/train.$source train_target=$folder/train.$target
mkdir -p "$output"

# train RECIPE NAME SOURCE TARGET [OPTION...]: a model in OUTPUT/NAME, gone on with where it was stopped.
train() {
    recipe=$1 name=$2 from=$3 to=$4
    shift 4
    [ -e "$output/$name/finished" ] && return
    # shellcheck disable=SC2086  # SETTINGS is a list of words
    nmt train "$recipe" -o "$output/$name" --resume --set "data.root=$folder" --set "data.source=$from" \
        --set "data.target=$to" ${SETTINGS:-} "$@"
    touch "$output/$name/finished"
}

train "${TEACHER:-multi30k/luong}" teacher "$source" "$target"
nmt learn-alignment "$output/teacher" "$train_source" "$train_target"
set --
if [ "${REVERSE:-0}" = 1 ]; then
    train "${TEACHER:-multi30k/luong}" reverse "$target" "$source"
    nmt learn-alignment "$output/reverse" "$train_target" "$train_source"
    set -- --reverse "$output/reverse"
fi
nmt align "$output/teacher" "$train_source" "$train_target" --split-punctuation "$@" -o "$output/train.links"
train "${STUDENT:-multi30k/transformer_guided}" guided "$source" "$target" \
    --set "training.techniques.guided_alignment.links=$output/train.links"
