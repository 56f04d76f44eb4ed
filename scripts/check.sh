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
for file in shared/src/*.rs query-fn/codec/src/*.rs; do
    if code "$file" | grep -nE 'tokio|SystemTime|Instant|now\(\)|std::(fs|net|env)' ; then fail "$file: does no I/O and reads no clock"; fi
done
for file in $(git ls-files 'ingestor/src/*.rs' | grep -v '^ingestor/src/pipeline.rs$'); do
    if code "$file" | grep -nE '\b(spawn|spawn_blocking|spawn_local)\(' ; then fail "$file: only pipeline.rs spawns"; fi
done
# A stage knows nothing of the stages behind it.
later() { # file, later modules
    if code "$1" | grep -nE "crate::($2)\b"; then fail "$1 uses a later stage"; fi
}
for file in ingestor/src/socket.rs ingestor/src/socket/*.rs ingestor/src/subscriptions.rs ingestor/src/liveness.rs; do
    later "$file" 'intake|batch|writer|window|ship|fill|pipeline'
done
for file in $(git ls-files 'ingestor/src/spool.rs' 'ingestor/src/spool/*.rs'); do
    later "$file" 'socket|intake|batch|writer|window|ship|fill|pipeline'
done
for file in $(git ls-files 'ingestor/src/batch.rs' 'ingestor/src/writer.rs' 'ingestor/src/writer/*.rs' ingestor/src/window.rs); do
    later "$file" 'socket|spool|intake|standby|ship|fill|pipeline'
done
for file in ingestor/src/lease.rs ingestor/src/standby.rs ingestor/src/stored.rs ingestor/src/missed.rs ingestor/src/rest.rs; do
    later "$file" 'ship|fill|pipeline'
done
# Prices, amounts and ids never pass through a float.
if grep -nE '\bf(32|64)\b' shared/src/*.rs query-fn/codec/src/*.rs; then fail 'a float'; fi
for file in $(git ls-files '*.rs' | grep -vE '/(tests|benches|examples)/'); do
    lines=$(code "$file" | wc -l)
    if [ "$lines" -gt 300 ]; then fail "$file: $lines lines without tests; cut it"; fi
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
test_command=$(sed -n 's/^\(cargo test .*\)$/\1/p' README.md | head -n 1)
[ -n "$test_command" ] || fail 'README.md names no test command'
echo "$test_command"
$test_command --locked

# With what the tests have built.
step 'Debian package'
said=$(infra/check/package.sh "${CARGO_TARGET_DIR:-target}/debug/ingestor") || { printf '%s\n' "$said"; fail 'infra/check/package.sh'; }
printf '%s\n' "$said"
if grep -q '^SKIPPED' <<<"$said"; then skipped+=('parts of the package'); fi

step infrastructure
if [ -n "${CHECKERS:-}" ]; then
    infra/check.sh
else
    skip infrastructure 'CHECKERS names no folder for its checkers (CHECKERS=target/checkers installs 900 MB there, once)'
fi

printf '\ncheck: all passed'
[ ${#skipped[@]} -eq 0 ] || { printf '; skipped:'; printf ' %s;' "${skipped[@]}"; }
echo
