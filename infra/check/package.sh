#!/usr/bin/env bash
# Makes the Debian package from a daemon that is built already, twice, and takes it through its life: files, modes and owner,
# lintian, then install, upgrade, remove, purge in a copy-on-write view of this machine, which stays as it is.
#
#   infra/check/package.sh BINARY      e.g. target/debug/ingestor; PACKAGES=DIR keeps old.deb and new.deb for service.sh
#
# Needs cargo-deb (cargo install --locked cargo-deb@3.8.0) and dpkg; lintian and namespaces with overlayfs for their steps. What
# cannot run here says so in a line that begins with SKIPPED. infra/check/service.sh goes further, with a systemd.
set -euo pipefail

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
skip() { printf 'SKIPPED: %s\n' "$*"; }

binary=$(realpath "${1:?package.sh needs the daemon: target/debug/ingestor}")
[ -z "${PACKAGES:-}" ] || PACKAGES=$(realpath "$PACKAGES")
cd "$(dirname "$0")/../.."
[ -x "$binary" ] || fail "$binary is not a program: cargo build -p ingestor"
for tool in cargo-deb dpkg-deb dpkg-shlibdeps; do
    command -v "$tool" >/dev/null || { skip "package: no $tool (cargo install --locked cargo-deb@3.8.0; apt install dpkg-dev)"; exit 0; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cargo-deb takes what lies where a release build puts it.
mkdir -p "$work/target/release"
cp "$binary" "$work/target/release/ingestor"
pack() { # file, options
    CARGO_TARGET_DIR=$work/target cargo deb --locked --quiet -p ingestor --no-build --fast --output "$work/$1.deb" "${@:2}" >/dev/null
}
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
version=$(cargo metadata --locked --no-deps --format-version 1 | grep -oE '"name":"ingestor","version":"[^"]*' | cut -d'"' -f8)
pack old
sleep 1
pack again
pack new --deb-version "$version-2"
[ -z "${PACKAGES:-}" ] || cp "$work/old.deb" "$work/new.deb" "$PACKAGES"
cmp "$work/old.deb" "$work/again.deb" || fail 'the same program makes another package'

dpkg-deb --contents "$work/old.deb" | awk '$1 !~ /^d/ { print $1, $2, $6 }' | sed 's# 0/0 # root/root #' | LC_ALL=C sort -k 3 >"$work/files"
diff infra/check/package.txt "$work/files" || fail 'files, modes or owners differ from infra/check/package.txt'
[ "$(dpkg-deb --field "$work/old.deb" Version)" = "$version-1" ] || fail "version: $(dpkg-deb --field "$work/old.deb" Version)"
for needed in ca-certificates systemd libc6; do
    dpkg-deb --field "$work/old.deb" Depends | grep -qw "$needed" || fail "does not depend on $needed"
done
echo "ok: $(wc -l <"$work/files") files, modes and owners as listed; packed twice, the same bytes"

if command -v lintian >/dev/null; then
    lintian --allow-root --fail-on error,warning "$work/old.deb" || fail lintian
    echo 'ok: lintian without errors and warnings'
else
    skip 'lintian: not installed'
fi

# A view of this machine in which every change goes to memory; as another user with that user as its root.
inside=(unshare --mount --pid --fork --kill-child)
[ "$(id -u)" = 0 ] || inside+=(--map-root-user)
mkdir "$work/view"
# shellcheck disable=SC2016 # expanded inside
overlay='mount --make-rprivate / && mount -t tmpfs tmpfs "$0/view" && mkdir "$0"/view/{upper,work,root} &&
    mount -t overlay overlay -o "lowerdir=/,upperdir=$0/view/upper,workdir=$0/view/work" "$0/view/root"'
if ! "${inside[@]}" bash -c "$overlay" "$work" 2>"$work/errors"; then
    skip "package: install, upgrade, remove, purge: no overlay of this machine: $(tail -n 1 "$work/errors")"
    exit 0
fi
# shellcheck disable=SC2016 # expanded inside
"${inside[@]}" bash -ec "$overlay"'
    cd "$0/view/root"
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    mount -t proc proc proc
    mount --bind /dev dev
    cp "$0"/{old,new}.deb tmp
    exec chroot . bash -s "$1"' "$work" "$version" <infra/check/package-life.sh
