#!/usr/bin/env bash
# Builds what is deployed, from Cargo.lock:
#
#   target/lambda/query-fn.zip                  the function of the query API, arm64
#   target/lambda/items-fn.zip                  the operators' function, arm64
#   target/packages/bitstamp-live_ARCH.deb      the daemon, amd64 and arm64
#
# Options:
#   --only PART     function (both), or a Debian architecture: amd64, arm64; or a program that is not among the above:
#                   backfill-amd64, backfill-arm64, compact-amd64, compact-arm64, as target/TRIPLE/release/PROGRAM
#   --dry-run       prints the commands
#
# Examples:
#   scripts/build.sh                     everything that scripts/deploy.sh uploads
#   scripts/build.sh --only amd64        a package for a Debian machine of your own
#
# Needs what scripts/build-tools.sh installs: cargo-deb, and for an architecture that is not this machine's cargo-zigbuild with zig. With
# zig the result does not depend on the machine's C library: 2.34 is asked for, which Amazon Linux 2023 and Debian 12 both have. Without
# it, for this machine's own architecture, it needs what this machine has. The same commit and tools make the same bytes, wherever the
# checkout lies.
set -euo pipefail
cd "$(dirname "$0")/.."

glibc=2.34
only=
dry=
while [ $# -gt 0 ]; do
    case $1 in
        --only) [ $# -ge 2 ] || { echo "build.sh: --only needs function, amd64 or arm64" >&2; exit 2; }; only=$2; shift 2 ;;
        --dry-run) dry=yes; shift ;;
        --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
        *) echo "build.sh: unknown argument $1; see --help" >&2; exit 2 ;;
    esac
done
case $only in
    '' | function | amd64 | arm64 | backfill-amd64 | backfill-arm64 | compact-amd64 | compact-arm64) ;;
    *) echo "build.sh: --only $only: function, amd64, arm64, or backfill or compact with -amd64 or -arm64" >&2; exit 2 ;;
esac

run() {
    printf '+'; printf ' %q' "$@"; echo
    [ -n "$dry" ] || "$@"
}
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
need() { # command, how to get it
    [ -n "$dry" ] || command -v "$1" >/dev/null || { echo "build.sh: $1 is missing: $2" >&2; exit 1; }
}
zig() { need cargo-zigbuild scripts/build-tools.sh; }
made() { # file: what it is, for who compares
    [ -n "$dry" ] || { stat --printf '%n: %s bytes, sha256 ' "$1"; sha256sum "$1" | cut -d' ' -f1; }
}
# The same sources make the same bytes: no paths of this machine in them, and times of the last commit.
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$cargo_home=cargo --remap-path-prefix=$PWD=. --remap-path-prefix=$target=target"
export CFLAGS="${CFLAGS:-} -ffile-prefix-map=$cargo_home=cargo -ffile-prefix-map=$target=target"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
# By the linker, since the machine's own strip knows one architecture. A panic still names its file and line.
export CARGO_PROFILE_RELEASE_STRIP=symbols

if wanted function; then
    zig
    run mkdir -p target/lambda
    # One after the other: together their dependencies would have the features of both.
    for function in query-fn items-fn; do
        run cargo zigbuild --locked --profile lambda -p "$function" --target "aarch64-unknown-linux-gnu.$glibc"
        run install -m 755 "$target/aarch64-unknown-linux-gnu/lambda/$function" target/lambda/bootstrap
        run rm -f "target/lambda/$function.zip"
        run python3 -c 'import sys, time, zipfile
archive, file, epoch = sys.argv[1:]
entry = zipfile.ZipInfo("bootstrap", time.gmtime(int(epoch))[:6])
entry.external_attr, entry.compress_type = 0o100755 << 16, zipfile.ZIP_DEFLATED
zipfile.ZipFile(archive, "w").writestr(entry, open(file, "rb").read(), compresslevel=9)' \
            "target/lambda/$function.zip" target/lambda/bootstrap "$SOURCE_DATE_EPOCH"
        made target/lambda/bootstrap
        made "target/lambda/$function.zip"
    done
fi

triple() { # architecture as Debian names it
    case $1 in
        amd64) echo x86_64-unknown-linux-gnu ;;
        arm64) echo aarch64-unknown-linux-gnu ;;
    esac
}
compile() { # program, architecture
    local triple
    triple=$(triple "$2")
    if command -v cargo-zigbuild >/dev/null || [ "$(uname -m)" != "${triple%%-*}" ]; then
        zig
        run cargo zigbuild --locked --release -p "$1" --target "$triple.$glibc"
    else
        run cargo build --locked --release -p "$1" --target "$triple"
    fi
}
for architecture in amd64 arm64; do
    for program in backfill compact; do
        if [ "$only" = "$program-$architecture" ]; then
            compile "$program" "$architecture"
            made "$target/$(triple "$architecture")/release/$program"
        fi
    done
    wanted "$architecture" || continue
    need cargo-deb scripts/build-tools.sh
    compile ingestor "$architecture"
    triple=$(triple "$architecture")
    run mkdir -p target/packages
    run cargo deb --locked -p ingestor --target "$triple" --no-build --no-strip --output "target/packages/bitstamp-live_$architecture.deb"
    made "target/packages/bitstamp-live_$architecture.deb"
done
