#!/usr/bin/env bash
# Feeds bytes from elsewhere to what must take them: libFuzzer on the targets of scripts/fuzz.
#
#   scripts/fuzz.sh                        each target for a minute
#   scripts/fuzz.sh block 3600             one target for an hour
#   scripts/fuzz.sh block -runs=100000000  one target, so many executions
#   scripts/fuzz.sh all 5                  each target for five seconds
#   scripts/fuzz.sh --seeds                makes the seeds of scripts/fuzz/seeds again
#
# What a run finds new stays in target/fuzz/corpus/TARGET, and the next run begins with it. A crash ends the run with exit code 1; its
# bytes are in target/fuzz/artifacts/TARGET, and `scripts/fuzz.sh TARGET FILE` runs them again.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --seeds ]; then
    exec cargo run --quiet --locked -p ingestor --example fuzz_seeds -- scripts/fuzz/seeds
fi
fail() { printf 'fuzz: %s\n' "$*" >&2; exit 1; }
if ! command -v cargo-fuzz >/dev/null; then
    fail 'no cargo-fuzz: cargo install --locked cargo-fuzz (a C++ compiler is needed too)'
fi
mapfile -t targets < <(cd scripts/fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
target=${1:-all} how=${2:-60}

# cargo-fuzz asks for flags that stable compilers hide; without a sanitizer they work. No crate of this repository has unsafe code.
export RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$PWD/target/fuzz
options=(--fuzz-dir scripts/fuzz --sanitizer none)

if [ "$target" != all ]; then
    case " ${targets[*]} " in
        *" $target "*) targets=("$target") ;;
        *) fail "no target $target; there are: ${targets[*]}" ;;
    esac
fi
case $how in
    -runs=*[0-9]) until=$how ;;
    *[!0-9]*)
        [ -f "$how" ] || fail "$how is neither seconds, nor -runs=N, nor a file"
        exec cargo fuzz run "${options[@]}" "$target" "$how"
        ;;
    *) until=-max_total_time=$how ;;
esac

cargo fuzz build "${options[@]}"
for target in "${targets[@]}"; do
    printf '\n== %s\n' "$target"
    corpus=target/fuzz/corpus/$target
    mkdir -p "$corpus" "target/fuzz/artifacts/$target"
    log=target/fuzz/$target.log
    cargo fuzz run "${options[@]}" "$target" "$corpus" "scripts/fuzz/seeds/$target" -- \
        "$until" -max_len=4096 -rss_limit_mb=1024 -artifact_prefix="target/fuzz/artifacts/$target/" 2>"$log" ||
        { tail -n 40 "$log" >&2; fail "$target crashed; its bytes are in target/fuzz/artifacts/$target"; }
    grep '^Done' "$log"
done
