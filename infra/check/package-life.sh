# The life of the package on a machine without a running systemd; infra/check/package.sh runs it where nothing can be broken.
# shellcheck shell=bash
set -euo pipefail
version=$1

fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
run_dpkg() { # nobody answers questions; what it needs is checked elsewhere
    DEBIAN_FRONTEND=noninteractive dpkg --force-depends "$@" </dev/null >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg $*"; }
}
traces() { find /etc /usr /var -xdev -path '*bitstamp-live*' ! -path '/var/lib/dpkg/*' | LC_ALL=C sort; }
settings=/etc/bitstamp-live/ingestor.env
started=/etc/systemd/system/multi-user.target.wants/bitstamp-live.service
state=/var/lib/private/bitstamp-live

run_dpkg --purge bitstamp-live
rm -rf "$state"
[ -z "$(traces)" ] || fail "this machine has traces of another installation: $(traces)"

run_dpkg --install /tmp/old.deb
[ "$(stat -c %a:%U:%G $settings)" = 640:root:root ] || fail "settings: $(stat -c %a:%U:%G $settings)"
[ "$(stat -c %a:%U:%G /usr/bin/ingestor)" = 755:root:root ] || fail 'program: mode or owner'
[ -L $started ] || fail 'an installation enables the unit'
[ "$(ingestor --version)" = "ingestor $version" ] || fail "says $(ingestor --version)"
[ ! -e $state ] || fail 'the state directory is systemd'\''s to make'
echo 'ok: installed, enabled, runs'

mkdir -p $state/spool
echo frames >$state/spool/segment
echo BITSTAMP_LIVE_REGION=eu-central-1 >>$settings
run_dpkg --install /tmp/new.deb
[ "$(dpkg-query --show --showformat '${Version}' bitstamp-live)" = "$version-2" ] || fail 'not upgraded'
grep -q BITSTAMP_LIVE_REGION=eu-central-1 $settings || fail 'an upgrade keeps the settings'
[ "$(cat $state/spool/segment)" = frames ] || fail 'an upgrade keeps the spool'
[ -L $started ] || fail 'an upgrade keeps the unit enabled'
rm $started
run_dpkg --install /tmp/old.deb
[ ! -L $started ] || fail 'an installation over another enables a unit that its owner had disabled'
run_dpkg --install /tmp/new.deb
[ ! -L $started ] || fail 'an upgrade enables a unit that its owner had disabled'
echo 'ok: upgraded without a question; settings, spool and whether it is enabled are kept'

run_dpkg --remove bitstamp-live
[ ! -e /usr/bin/ingestor ] && [ ! -e /usr/lib/systemd/system/bitstamp-live.service ] || fail 'removed, but still there'
grep -q BITSTAMP_LIVE_REGION=eu-central-1 $settings || fail 'a removal keeps the settings'
[ "$(cat $state/spool/segment)" = frames ] || fail 'a removal keeps the spool'
run_dpkg --purge bitstamp-live
grep -q 'the spool is kept in' /tmp/dpkg.log || fail 'a purge says that the spool is kept'
[ "$(cat $state/spool/segment)" = frames ] || fail 'a purge keeps the spool'
[ "$(traces)" = "$(printf '%s\n' $state $state/spool $state/spool/segment)" ] || fail "a purge leaves: $(traces)"
echo 'ok: removed and purged; the spool is kept and nothing else'
