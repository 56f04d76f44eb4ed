#!/usr/bin/env bash
# Makes the files of a release, in target/release-files/:
#
#   bitstamp-live_VERSION_ARCH.deb        the daemon's Debian package, amd64 and arm64
#   query-fn.zip, items-fn.zip            the functions, arm64
#   ingestor-VERSION-linux-ARCH.tar.gz    the daemon with its unit and settings, for other systems
#   backfill-VERSION-linux-ARCH.tar.gz    the program that migrates an older table
#   compact-VERSION-linux-ARCH.tar.gz     the program that packs stored events into blocks
#   NAME.cdx.json                         each program's dependencies (CycloneDX)
#   SHA256SUMS                            of all of these
#
# and target/release-notes.md from CHANGELOG.md.
#
#   scripts/release.sh vVERSION
#
# Options:
#   --dry-run      prints the commands
#
# VERSION is that of Cargo.toml. Needs what scripts/build-tools.sh installs. The same commit and tools make the same archives.
set -euo pipefail
cd "$(dirname "$0")/.."

tag='' dry=()
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry=(--dry-run); shift ;;
        --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
        v*) tag=$1; shift ;;
        *) echo "release.sh: unknown argument $1; see --help" >&2; exit 2 ;;
    esac
done
wrong() { echo "release.sh: $*" >&2; exit 2; }
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
[ "$tag" = "v$version" ] || wrong "the tag of this version is v$version, not ${tag:-empty}"
# The section of this version, or, before there is one, what is unreleased.
notes() { sed -n "/^## \[\{0,1\}$1/,/^## /{/^## /d;p;}" CHANGELOG.md; }
said=$(notes "$version")
[ -n "$said" ] || said=$(notes Unreleased)
[ -n "$said" ] || wrong "CHANGELOG.md says nothing of $version"

run() {
    printf '+'; printf ' %q' "$@"; echo
    [ ${#dry[@]} -gt 0 ] || "$@"
}
files=target/release-files
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

run rm -rf "$files"
run mkdir -p "$files"
scripts/build.sh ${dry[@]+"${dry[@]}"}
run cp target/lambda/query-fn.zip target/lambda/items-fn.zip "$files/"

archive() { # name, files ...; the same files make the same archive
    run tar --create --gzip --file "$files/$1.tar.gz" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner \
        --mode='u=rwX,go=rX' --transform "s#^\\(.*/\\)\\{0,1\\}#$1/#" "${@:2}"
}
for architecture in amd64 arm64; do
    case $architecture in
        amd64) triple=x86_64-unknown-linux-gnu ;;
        arm64) triple=aarch64-unknown-linux-gnu ;;
    esac
    for program in backfill compact; do scripts/build.sh ${dry[@]+"${dry[@]}"} --only "$program-$architecture"; done
    built=${CARGO_TARGET_DIR:-target}/$triple/release
    run cp "target/packages/bitstamp-live_$architecture.deb" "$files/bitstamp-live_${version}_$architecture.deb"
    archive "ingestor-$version-linux-$architecture" "$built/ingestor" infra/systemd/bitstamp-live.service infra/debian/ingestor.env \
        docs/operations.md LICENSE-MIT LICENSE-APACHE
    archive "backfill-$version-linux-$architecture" "$built/backfill" docs/data-model.md LICENSE-MIT LICENSE-APACHE
    archive "compact-$version-linux-$architecture" "$built/compact" scripts/compact/README.md LICENSE-MIT LICENSE-APACHE
done

# It writes one beside the Cargo.toml of each member, with this machine's paths in it.
run cargo cyclonedx --quiet --format json --override-filename release.cdx
for folder in ingestor query-fn query-fn/items scripts/backfill scripts/compact; do
    program=$(sed -n 's/^name = "\(.*\)"$/\1/p' "$folder/Cargo.toml" | head -n 1)
    run sh -c "sed 's#file://$PWD/#file:///bitstamp-live/#g' $folder/release.cdx.json >$files/$program.cdx.json"
done
run find . -path ./target -prune -o -name release.cdx.json -exec rm {} +

run sh -c "cd $files && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS ."
[ ${#dry[@]} -gt 0 ] || { printf '%s\n' "$said" >target/release-notes.md; cat "$files/SHA256SUMS"; }
