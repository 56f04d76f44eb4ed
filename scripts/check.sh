#!/usr/bin/env bash
# Everything that must hold before a change lands. CI runs this and nothing else; so can you.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skipped=()
skip() { skipped+=("$1"); printf 'SKIPPED: %s: %s\n' "$1" "$2"; }
# Code without its inline tests and without comments.
code() { sed -e '/^#\[cfg(test)\]/,$d' -e 's://.*$::' "$1"; }

export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# Recorded frames lie beside a checkout where there are any; tests that need them say when they skip.
if [ -z "${FRAMES_DIR:-}" ] && [ -d ../shared/frames ]; then FRAMES_DIR=$(cd ../shared/frames && pwd); export FRAMES_DIR; fi

step format
cargo fmt --all --check

step 'lints (warnings are errors)'
cargo clippy --workspace --all-targets --locked -- -D warnings

step 'invariants of ARCHITECTURE.md'
for file in $(git ls-files 'shared/src/*.rs' 'query-fn/codec/src/*.rs'); do
    if code "$file" | grep -nE 'tokio|SystemTime|Instant|now\(\)|std::(fs|net|env)' ; then fail "$file: does no I/O and reads no clock"; fi
done
for file in $(git ls-files 'ingestor/src/*.rs' | grep -v '^ingestor/src/pipeline.rs$'); do
    if code "$file" | grep -nE '\b(spawn|spawn_blocking|spawn_local)\(' ; then fail "$file: only pipeline.rs spawns"; fi
done
# rooms CRATE ROOM...: a room uses only the rooms before it, in this order; lib.rs declares them in the same one. Binaries use any.
rooms() {
    local crate=$1 declared later room file
    shift
    declared=$(sed -nE 's/^(pub )?mod (.*);$/\2/p' "$crate/src/lib.rs" | xargs)
    [ "$declared" = "$*" ] || fail "$crate/src/lib.rs declares: $declared; expected: $*"
    later="$*"
    for room in "$@"; do
        later=${later#"$room"}; later=${later# }
        [ -n "$later" ] || break
        for file in $(git ls-files "$crate/src/$room.rs" "$crate/src/$room/*.rs"); do
            if code "$file" | grep -nE "crate::(\{|(${later// /|})\b)"; then fail "$file uses a later room"; fi
        done
    done
}
rooms shared time number channel event frame attribute table key item block coverage keep
rooms query-fn/codec item answer block json csv
rooms ingestor clock backoff recent config spool observe exchange receive ledger store ship gap_fill pipeline
rooms query-fn config range query http routes
rooms query-fn/items form item expression audit store request change routes
rooms scripts/backfill error json convert progress signals program retry limit answer args client table_info scan examine index statement written channels checkpoint plan verify apply checkpoint_store migration run report
rooms scripts/compact args time condition store expiry pack events checkpoint channels transfer progress start plan run expand report
rooms scripts/fault-proxy size body mix call batch counts answer upstream allow budgets hollow config state fault proxy
rooms scripts/exchange-sim clock model flow recording truth faults config broadcast state driver server simulator
# Prices, amounts and ids never pass through a float.
if git grep -nwE 'f(32|64)' -- 'shared/src/*.rs' 'query-fn/codec/src/*.rs' 'query-fn/items/src/*.rs'; then fail 'a float'; fi
for file in $(git ls-files '*.rs' | grep -vE '/(tests|benches|examples)/'); do
    lines=$(code "$file" | wc -l)
    if [ "$lines" -gt 250 ]; then fail "$file: $lines lines without tests; cut it"; fi
done
if grep -rnE '(error|warn|info|debug)!\([^"]*"[A-Z]' --include='*.rs' ingestor/src query-fn/src scripts/*/src; then
    fail 'log messages are lower-case'
fi

step 'licences, sources, versions of dependencies'
if command -v cargo-deny >/dev/null; then
    said=$(cargo deny --locked check --hide-inclusion-graph licenses bans sources 2>&1) || { printf '%s\n' "$said"; fail 'deny.toml'; }
    grep -oE "[0-9]+ duplicate entries for crate '[^']*'" <<<"$said" || true
    tail -n 1 <<<"$said"
else
    skip 'licences, sources' 'no cargo-deny: cargo install --locked cargo-deny'
fi

step documentation
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked --quiet

step tests
# Tests run in the folders of their crates.
if [ -n "${CLIENTS:-}" ]; then CLIENTS=$(realpath -m "$CLIENTS"); export CLIENTS; fi
if [ -n "${READERS:-}" ]; then READERS=$(realpath -m "$READERS"); export READERS; fi
test_command=$(sed -n 's/^\(cargo test .*\)$/\1/p' README.md | head -n 1)
[ -n "$test_command" ] || fail 'README.md names no test command'
echo "$test_command"
$test_command --locked --no-run --quiet
scratch=$(mktemp -d)
beside=
# Ends the infrastructure checks too, where the tests fail before them.
clean_up() {
    if [ -n "$beside" ]; then kill -- "-$beside" 2>/dev/null || true; fi
    rm -rf "$scratch" "$scratch.infra"
}
trap clean_up EXIT
# Most tests wait, and so do most checks of infra/: side by side.
if [ -n "${CHECKERS:-}" ]; then
    set -m
    infra/check.sh >"$scratch.infra" 2>&1 </dev/null &
    beside=$!
    set +m
fi
TMPDIR=$scratch $test_command --locked
left=$(ls -A "$scratch")
[ -z "$left" ] || { find "$scratch" | head -n 30; fail "the tests left in the temporary folder: $(head -c 500 <<<"$left")"; }

# A part of the tests above.
if [ -z "${CLIENTS:-}" ]; then
    skip 'ccxt and cryptofeed against exchange-sim' 'CLIENTS names no Python environment with scripts/exchange-sim/tests/clients/requirements.txt'
fi
if [ -z "${READERS:-}" ]; then
    skip 'pandas, polars, duckdb, requests against query-fn' 'READERS names no Python environment with query-fn/tests/readers/requirements.txt'
fi

# With what the tests have built, and while infra/ is still being checked.
step 'explorer: sources and built files, and the page in a browser'
if ! command -v npm >/dev/null; then
    skip explorer 'no npm'
elif ! (cd query-fn/explorer && { [ -d node_modules ] || npm ci --silent; }); then
    skip explorer 'npm could not install what query-fn/explorer/package-lock.json names'
else
    query-fn/explorer/build.sh --check
    if [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
        BITSTAMP_LIVE=$(realpath "${CARGO_TARGET_DIR:-target}/debug/bitstamp-live") query-fn/explorer/test.sh
    else
        skip 'the page in a browser' 'no Chromium; CHROMIUM names another place'
    fi
fi

step 'infrastructure (begun beside the tests)'
if [ -n "$beside" ]; then
    wait "$beside" && rc=0 || rc=$?
    beside=
    cat "$scratch.infra"
    [ "$rc" -eq 0 ] || fail infra/check.sh
else
    skip infrastructure 'CHECKERS names no folder for its checkers (CHECKERS=target/checkers installs 1.3 GB there, once)'
fi

step 'Debian package'
said=$(infra/check/package.sh "${CARGO_TARGET_DIR:-target}/debug/ingestor") || { printf '%s\n' "$said"; fail 'infra/check/package.sh'; }
printf '%s\n' "$said"
if grep -q '^SKIPPED' <<<"$said"; then skipped+=('parts of the package'); fi

printf '\ncheck: all passed'
[ ${#skipped[@]} -eq 0 ] || { printf '; skipped:'; printf ' %s;' "${skipped[@]}"; }
echo
