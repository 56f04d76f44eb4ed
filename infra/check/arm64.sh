#!/usr/bin/env bash
# Runs under QEMU what scripts/build.sh has made for arm64: the function's zip answers the events of Lambda's Runtime API (the stand-in of
# query-fn's tests), and the daemon of the .deb checks a good setup (`ingestor check`) and explains its commands (`--help`).
#
#   infra/check/arm64.sh
#
# Needs target/lambda/query-fn.zip, target/packages/bitstamp-live_arm64.deb and apt-get, which fetches QEMU and the C library of arm64 into a temporary folder. It is no part of
# infra/check.sh: the release build before it takes up to half an hour.
set -euo pipefail
[ $# = 0 ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 2; }
cd "$(dirname "$0")/../.."
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
package=target/packages/bitstamp-live_arm64.deb
[ -f target/lambda/query-fn.zip ] || fail 'target/lambda/query-fn.zip is missing: scripts/build.sh --only function'
[ -f $package ] || fail "$package is missing: scripts/build.sh --only arm64"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(
    cd "$work"
    apt-get download qemu-user-static libc6-arm64-cross libgcc-s1-arm64-cross
    for archive in ./*.deb; do dpkg -x "$archive" .; done
) >"$work/log" 2>&1 || fail "$(tail -n 3 "$work/log")"

# The zip as it is uploaded.
python3 -m zipfile -e target/lambda/query-fn.zip "$work/function"
size=$(stat --format %s target/lambda/query-fn.zip)
[ "$size" -le 8388608 ] || fail "the function's zip has $size bytes"
[ "$(od -An -tx2 -j18 -N2 "$work/function/bootstrap" | tr -d ' ')" = 00b7 ] || fail 'bootstrap is not for arm64'
chmod +x "$work/function/bootstrap"
emulated() { # program of arm64, what runs it here
    printf '#!/bin/sh\nexec %q -L %q %q "$@"\n' "$work/usr/bin/qemu-aarch64-static" "$work/usr/aarch64-linux-gnu" "$1" >"$2"
    chmod +x "$2"
}
tests() { # package, tests
    cargo test --locked --package "$1" --test it -- "${@:2}" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; fail "${*:2} of $1"; }
    grep '^test ' "$work/log"
    grep -q '^test result: ok. [1-9]' "$work/log" || fail 'no test has run'
}
emulated "$work/function/bootstrap" "$work/bootstrap"
QUERY_FN_BINARY=$work/bootstrap tests query-fn lambda::
echo "function: $size bytes zipped, $(stat --format %s "$work/function/bootstrap") unpacked; it answers the events of the Runtime API"

# The package as it is installed.
dpkg-deb --extract $package "$work/daemon"
[ "$(dpkg-deb --field $package Architecture)" = arm64 ] || fail "$package is not for arm64"
emulated "$work/daemon/usr/bin/ingestor" "$work/ingestor"
"$work/ingestor" --version
INGESTOR_BINARY=$work/ingestor tests ingestor commands::a_check commands::every_command_has_help
echo "package: $(stat --format %s $package) bytes; its daemon checks a setup and explains its commands"
