#!/usr/bin/env bash
# Installs what scripts/build.sh and scripts/release.sh need besides Rust and Python: cargo-deb, cargo-zigbuild with zig, cargo-cyclonedx,
# and Rust's libraries for the other architecture.
#
#   scripts/build-tools.sh
set -euo pipefail
case ${1:-} in
    '') ;;
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
    *) echo "build-tools.sh: unknown argument $1; see --help" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
rustup target add x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu
need() { # command, what gets it
    command -v "$1" >/dev/null || "${@:2}"
}
need cargo-deb cargo install --quiet --locked cargo-deb@3.8.0
need cargo-cyclonedx cargo install --quiet --locked cargo-cyclonedx@0.5.9
if ! command -v cargo-zigbuild >/dev/null; then
    # A folder of its own, and its programs where cargo's are: the system's Python takes no packages.
    python3 -m venv target/zig
    target/zig/bin/pip install --quiet cargo-zigbuild==0.24.1 ziglang==0.17.1
    bin=${CARGO_HOME:-$HOME/.cargo}/bin
    ln -sf "$PWD/target/zig/bin/cargo-zigbuild" "$bin/"
    command -v zig >/dev/null || ln -sf "$PWD/target/zig/bin/python-zig" "$bin/zig"
fi
