#!/usr/bin/env bash
# Installs the package into a Debian of its own, under a systemd of its own, and looks at everything that the unit and the package
# promise: ready, confined, restarted, watched, upgraded, stopped, removed with its spool kept.
#
#   infra/check/service.sh OLD.deb NEW.deb BINARIES     as infra/check/package.sh keeps them
#
# BINARIES holds exchange-sim and bitstamp-live's store is moto: MOTO=FOLDER/bin/moto_server, RESOLVED=FOLDER with data.json (both
# as infra/check.sh makes them). Needs root, debootstrap, and namespaces; ROOTFS=DIR keeps the Debian for the next time.
set -euo pipefail

old=$(realpath "$1") new=$(realpath "$2") binaries=$(realpath "$3")
work=$(mktemp -d)
root=${ROOTFS:-$work/root}
[ "$(id -u)" = 0 ] || { echo 'SKIPPED: service: needs root'; exit 0; }
if [ ! -x "$root/lib/systemd/systemd" ]; then
    command -v debootstrap >/dev/null || { echo 'SKIPPED: service: no debootstrap'; exit 0; }
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,curl bookworm "$root" >"$work/debootstrap.log"
fi
started=()
finish() {
    for process in "${started[@]}"; do kill -9 "$process" 2>/dev/null || true; done
    [ -n "${ROOTFS:-}" ] || rm -rf "$root"
}
trap finish EXIT

export AWS_ACCESS_KEY_ID=moto AWS_SECRET_ACCESS_KEY=moto AWS_DEFAULT_REGION=eu-central-1 AWS_PAGER=''
"$MOTO" -p 5555 >"$work/moto.log" 2>&1 & started+=($!)
"$binaries/exchange-sim" --listen 127.0.0.1:8765 --rate 0.1 >"$work/exchange.log" 2>&1 & started+=($!)
until curl -s 127.0.0.1:5555 >/dev/null; do sleep 1; done
aws --endpoint-url http://127.0.0.1:5555 cloudformation create-stack --stack-name data \
    --template-body "file://$RESOLVED/data.json" >/dev/null
cp "$old" "$root/root/old.deb"
cp "$new" "$root/root/new.deb"

# A control group of its own, then namespaces; the network is this machine's, where exchange and store are.
for hierarchy in /sys/fs/cgroup/{systemd,unified,memory,pids,cpu,devices}; do
    [ ! -d "$hierarchy" ] || mkdir -p "$hierarchy/unit-check"
done
# shellcheck disable=SC2016 # expanded inside
ROOT=$root setsid bash -c '
    for hierarchy in /sys/fs/cgroup/*/unit-check; do echo $$ >"$hierarchy/cgroup.procs"; done
    exec unshare --pid --fork --kill-child --mount --uts --ipc --cgroup bash -ec "
        mount --make-rprivate /
        mount --bind \$ROOT \$ROOT
        cd \$ROOT
        mount -t proc proc proc
        mount -t sysfs -o ro sysfs sys
        mount -t tmpfs -o mode=755 tmpfs dev
        mkdir dev/pts dev/shm
        for node in null zero full random urandom tty; do touch dev/\$node; mount --bind /dev/\$node dev/\$node; done
        mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
        ln -s pts/ptmx dev/ptmx
        ln -s /proc/self/fd dev/fd
        mount -t tmpfs tmpfs run
        mount -t tmpfs tmpfs tmp
        mount -t tmpfs tmpfs sys/fs/cgroup
        for controller in cpu memory pids devices; do
            mkdir sys/fs/cgroup/\$controller
            mount -t cgroup -o \$controller cgroup sys/fs/cgroup/\$controller
        done
        mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
        mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
        mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
        pivot_root . mnt
        umount -l /mnt
        hostname unit-check
        exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
    "' >"$work/boot.log" 2>&1 &
outside=$!
started+=("$outside")
init=
for _ in $(seq 60); do
    sleep 1
    init=$(pgrep -P "$outside") || continue
    ! nsenter -t "$init" -a systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded' || break
done
[ -n "$init" ] && [ "$(cat "/proc/$init/comm")" = systemd ] || { echo 'SKIPPED: service: systemd does not start in namespaces here'; cat "$work/boot.log"; exit 0; }
started=("$init" "${started[@]}")

nsenter -t "$init" -a bash -s <<'INSIDE'
set -euo pipefail
show() { systemctl show bitstamp-live --property "$1" --value; }
stored() { curl -s 127.0.0.1:9464/health | grep -o '"stored":[0-9]*' | cut -d: -f2; }
fail() { echo "FAILED: $*" >&2; journalctl -u bitstamp-live --no-pager -n 20 >&2; exit 1; }
expect() { # what, command: true within 60 s
    local what=$1
    shift
    for _ in $(seq 120); do if "$@" >/dev/null 2>&1; then echo "ok: $what"; return; fi; sleep 0.5; done
    fail "$what"
}
storing() { [ "$(stored)" -gt 20 ]; }

dpkg -P bitstamp-live >/dev/null 2>&1 || true
rm -rf /var/lib/private/bitstamp-live
dpkg -i /root/old.deb >/dev/null 2>&1
[ "$(systemctl is-enabled bitstamp-live)" = enabled ] && [ "$(show ActiveState)" = inactive ] || fail 'enabled, not started'
[ "$(stat -c %a:%U /etc/bitstamp-live/ingestor.env)" = 640:root ] || fail 'owner of the settings'
cat >>/etc/bitstamp-live/ingestor.env <<END
BITSTAMP_LIVE_REGION=eu-central-1
BITSTAMP_LIVE_ENDPOINT_URL=http://127.0.0.1:5555
BITSTAMP_LIVE_URL=ws://127.0.0.1:8765
END
systemctl start bitstamp-live
echo 'ok: installed, enabled, said that it is ready'
expect 'stores events' storing

journalctl -u bitstamp-live -o verbose | grep -q 'BITSTAMP_TABLE=bitstamp-live' || fail 'values are fields of the journal'
echo 'ok: the journal has the values of an event as fields'

process=$(show MainPID)
for line in 'NoNewPrivs:	1' 'Seccomp:	2' 'CapEff:	0000000000000000' 'CapBnd:	0000000000000000'; do
    grep -qx "$line" "/proc/$process/status" || fail "$line"
done
for folder in /usr /etc /var/lib /boot /home /root; do
    ! nsenter -t "$process" -m touch "$folder/x" 2>/dev/null || fail "$folder is writable"
done
[ "$(stat -c %a /var/lib/private/bitstamp-live)" = 700 ] || fail 'mode of the state directory'
[ "$(stat -c %u /var/lib/private/bitstamp-live)" != 0 ] || fail 'owner of the state directory'
echo 'ok: no privileges, no capabilities, system calls filtered, only its state directory is writable'

kill -9 "$process"
expect 'started again after kill -9' sh -c "[ \$(systemctl show bitstamp-live -p MainPID --value) != $process ] && systemctl is-active bitstamp-live"
expect 'stores again' storing

process=$(show MainPID)
dpkg -i /root/new.deb >/dev/null 2>&1
[ "$(show MainPID)" != "$process" ] || fail 'an upgrade restarts'
grep -q 127.0.0.1:5555 /etc/bitstamp-live/ingestor.env || fail 'an upgrade keeps the settings'
expect 'upgraded, restarted, stores' storing

systemctl stop bitstamp-live
[ "$(show Result):$(show ExecMainStatus)" = success:0 ] || fail 'stops in order'
echo 'ok: stops in order, within its time'

# The line of docs/operations.md, while the daemon is stopped.
in_its_place() {
    systemd-run --quiet --pipe --wait --collect -p DynamicUser=yes -p User=bitstamp-live -p StateDirectory=bitstamp-live \
        -p StateDirectoryMode=0700 -p UMask=0077 -p EnvironmentFile=/etc/bitstamp-live/ingestor.env \
        -p Environment=BITSTAMP_LIVE_SPOOL_DIR=/var/lib/bitstamp-live/spool /usr/bin/ingestor "$@"
}
in_its_place spool status >/root/said 2>&1 || fail "spool status: $(cat /root/said)"
in_its_place quarantine list >/root/said 2>&1 || fail "quarantine list: $(cat /root/said)"
echo "ok: looks into the spool and the quarantine as the service's user"

cp /etc/bitstamp-live/ingestor.env /root/good.env
echo BITSTAMP_LIVE_SPOL_MAX=1 >>/etc/bitstamp-live/ingestor.env
! systemctl start bitstamp-live 2>/dev/null || fail 'a wrong configuration starts'
sleep 4
[ "$(show ExecMainStatus):$(show NRestarts):$(show ActiveState)" = 78:0:failed ] || fail 'a wrong configuration is not tried again'
echo 'ok: a wrong configuration ends with 78 and stays down'
cp /root/good.env /etc/bitstamp-live/ingestor.env
systemctl reset-failed bitstamp-live

systemctl start bitstamp-live
process=$(show MainPID)
kill -STOP "$process"
expect 'the watchdog replaces a daemon that hangs' sh -c "! [ -d /proc/$process ]"
expect 'and it runs again' systemctl is-active bitstamp-live

dpkg -r bitstamp-live >/dev/null 2>&1
[ "$(show ActiveState)" = inactive ] && [ -d /var/lib/private/bitstamp-live/spool ] && [ -f /etc/bitstamp-live/ingestor.env ] ||
    fail 'removal stops it, keeps spool and settings'
dpkg -P bitstamp-live >/dev/null 2>&1
[ -d /var/lib/private/bitstamp-live/spool ] && [ ! -e /etc/bitstamp-live ] || fail 'a purge keeps the spool alone'
echo 'ok: removed and purged, the spool is kept'
INSIDE
