#!/usr/bin/env bash
# Counts the instructions of what every event and every page pays for, and fails where one takes 5 % more than the baseline.
#
#   scripts/instructions.sh                  compares with scripts/instructions/baseline.json
#   scripts/instructions.sh --update         writes the counts there: a change that is worth its price is accepted by committing them
#
# Valgrind counts: the figures do not depend on what else the machine does. They do depend on the compiler and, by some percent, on the
# processor (the C library chooses its copy loops by it), so update the baseline with the toolchain, or when a new kind of machine differs.
set -euo pipefail
cd "$(dirname "$0")/.."

baseline=scripts/instructions/baseline.json
# In percent.
limit=5
operations=(frame_to_item record answer page_json page_csv block_build block_read)
rounds=20

fail() { printf 'instructions: %s\n' "$*" >&2; exit 1; }
case ${1:-} in '' | --update) ;; *) fail "unknown argument $1; there is --update" ;; esac
if ! command -v valgrind >/dev/null; then
    echo 'SKIPPED: instructions: no valgrind (apt-get install valgrind)'
    exit 0
fi
if [ "$(uname -m)" != x86_64 ]; then
    echo 'SKIPPED: instructions: the baseline is of x86_64'
    exit 0
fi

cargo build --quiet --release --locked -p codec --example instructions
program=${CARGO_TARGET_DIR:-target}/release/examples/instructions
count() { # operation
    local said
    said=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*measured*' "$program" "$1" "$rounds" 2>&1) || fail "$1: $said"
    sed -nE 's/.*Collected : ([0-9]+)$/\1/p' <<<"$said"
}
known() { # operation
    [ ! -f "$baseline" ] || sed -nE "s/.*\"$1\": ([0-9]+).*/\1/p" "$baseline"
}

lines=() slower=()
printf '%-14s %12s %12s %8s\n' operation baseline now change
for operation in "${operations[@]}"; do
    now=$(($(count "$operation") / rounds))
    [ "$now" -gt 0 ] || fail "$operation: nothing was counted"
    before=$(known "$operation")
    change=-
    if [ -n "$before" ]; then
        tenths=$(((now - before) * 1000 / before))
        change=$(awk "BEGIN { printf \"%+.1f %%\", $tenths / 10 }")
        if [ $((now * 100)) -gt $((before * (100 + limit))) ]; then slower+=("$operation $change"); fi
    elif [ -z "${1:-}" ]; then
        fail "$baseline has no $operation: scripts/instructions.sh --update"
    fi
    printf '%-14s %12s %12s %8s\n' "$operation" "${before:--}" "$now" "$change"
    lines+=("  \"$operation\": $now")
done

if [ "${1:-}" = --update ]; then
    mkdir -p "$(dirname "$baseline")"
    (IFS=$'\n'; printf '{\n%s\n}\n' "$(sed '$!s/$/,/' <<<"${lines[*]}")") >"$baseline"
    echo "written: $baseline"
elif [ ${#slower[@]} -gt 0 ]; then
    printf 'FAILED: more than %s %% above the baseline: %s\n' "$limit" "$(IFS=,; echo "${slower[*]}")" >&2
    echo 'Make it cheaper, or accept the price: scripts/instructions.sh --update, and say in the commit what it buys.' >&2
    exit 1
fi
