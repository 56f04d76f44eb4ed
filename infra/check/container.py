"""Builds by hand what infra/container/Dockerfile describes and runs it, since no Docker runs everywhere: the files that it copies, the C
library and the certificates of its base, its user, environment, entry point and health check, on a read-only root with a volume.

  container.py BINARIES      ingestor and bitstamp-live, built for this machine

Needs root, for a network and mounts of its own; says SKIPPED where there are none. What it cannot see is the base image itself and the
build within it.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

HERE = pathlib.Path(__file__).resolve().parents[1] / "container"
STATE = "/var/lib/bitstamp-live"
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"


def stages() -> dict[str, dict]:
    """Each stage of the Dockerfile by its name, with what it has from the one that it begins from."""
    text = re.sub(r"\\\n", " ", (HERE / "Dockerfile").read_text())
    found, current = {}, {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\w+)", rest).groups()
            current = found[name] = json.loads(json.dumps(found.get(base, {"copies": [], "environment": {}})))
        elif word == "COPY" and "--from=build" in rest:
            current["copies"].append(rest.split()[-2:])
        elif word == "ENV":
            current["environment"] |= dict(pair.split("=", 1) for pair in rest.split())
        elif word in ("ENTRYPOINT", "CMD"):
            current[word] = json.loads(rest)
        elif word == "HEALTHCHECK":
            current[word] = json.loads(rest.split(" CMD ")[1])
        elif word in ("USER", "WORKDIR", "VOLUME"):
            current[word] = rest
    return found


def compose(made: dict) -> None:
    services = yaml.safe_load((HERE / "compose.yaml").read_text())["services"]
    for name, service in services.items():
        stage = made[service["build"]["target"]]
        assert (HERE / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == HERE / "Dockerfile", name
        assert service["user"] == stage["USER"] and service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert [volume.split(":")[1] for volume in service["volumes"]] == [stage["VOLUME"]], name
    print(f"compose: {', '.join(services)}: targets, user and volume are those of the Dockerfile")


def image(stage: dict, binaries: pathlib.Path, root: pathlib.Path) -> None:
    """Lays out the files of a stage, and of its base what the programs need."""
    for source, target in stage["copies"]:
        place = root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if source == "/made/state":
            place.mkdir()
            continue
        program = binaries / source.removeprefix("/made/")
        shutil.copy(program, place)
        for library in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], text=True, capture_output=True, check=True).stdout):
            (root / library.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library.lstrip("/"))
    for folder in ("etc/ssl/certs", "proc", "dev", "tmp"):
        (root / folder).mkdir(parents=True)
    certificates = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.exists():
        shutil.copy(certificates, root / "etc/ssl/certs")
    (root / "etc/passwd").write_text("nonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n")
    (root / "dev/null").touch()


class Container:
    """A root as Docker would mount it: read-only, with /proc, /dev/null and, if wanted, a volume that belongs to the user."""

    def __init__(self, stage: dict, binaries: pathlib.Path, work: pathlib.Path, volume: bool = True):
        self.stage, self.root = stage, work / "root"
        self.root.mkdir(parents=True)
        image(stage, binaries, self.root)
        mount = lambda *words: subprocess.run(["mount", *map(str, words)], check=True)
        mount("--bind", self.root, self.root)
        mount("--bind", "/dev/null", self.root / "dev/null")
        mount("-t", "proc", "proc", self.root / "proc")
        if volume:
            mount("-t", "tmpfs", "-o", "mode=0755,uid=65532,gid=65532", "volume", self.root / STATE.lstrip("/"))
        mount("-o", "remount,ro,bind", self.root)
        assert os.statvfs(self.root).f_flag & os.ST_RDONLY

    def start(self, words: list, **environment: str) -> subprocess.Popen:
        user = self.stage["USER"]
        # Nothing of this machine's environment.
        given = self.stage["environment"] | environment
        return subprocess.Popen([CHROOT, f"--userspec={user}", "--groups=", self.root, *words], env=given, cwd="/", text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def main(self, *more: str, **environment: str) -> subprocess.Popen:
        return self.start(self.stage["ENTRYPOINT"] + (list(more) or self.stage.get("CMD", [])), **environment)

    def healthy(self) -> int:
        check = self.start(self.stage["HEALTHCHECK"])
        said, _ = check.communicate(timeout=120)
        assert check.returncode in (0, 1, 69), said
        return check.returncode


def until(what: str, process: subprocess.Popen, condition) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if condition():
            return
        time.sleep(0.2)
    process.kill()
    sys.exit(f"FAILED: {what}: exit code {process.poll()}: {process.communicate()[0][-2000:]}")


def answer(url: str) -> dict:
    try:
        with urllib.request.urlopen(url, timeout=30) as given:
            return json.load(given)
    except (OSError, urllib.error.URLError):
        return {}


def stopped(process: subprocess.Popen) -> str:
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, (process.returncode, said[-2000:])
    return said


def run(made: dict, binaries: pathlib.Path, work: pathlib.Path) -> None:
    local = Container(made["local"], binaries, work / "local")
    process = local.main()
    until("no event", process, lambda: answer("http://127.0.0.1:8080/bitstamp?channel=live_trades_btcusd&limit=1").get("Count") == 1)
    until("its health check fails", process, lambda: local.healthy() == 0)
    owner = re.search(r"^Uid:\s+(\d+)", (local.root / f"proc/{process.pid}/status").read_text(), re.M).group(1)
    assert owner == "65532", owner
    stopped(process)
    print("local: the demo serves events on port 8080 as the user 65532 from a read-only root, is healthy, and stops in order")

    daemon = Container(made["daemon"], binaries, work / "daemon")
    helped = daemon.main("--help")
    assert "--spool-dir" in helped.communicate(timeout=120)[0] and helped.returncode == 0
    # Neither exchange nor table: it goes on trying, and says so.
    nowhere = {
        "BITSTAMP_LIVE_URL": "ws://127.0.0.1:1", "BITSTAMP_LIVE_REST_URL": "", "BITSTAMP_LIVE_ENDPOINT_URL": "http://127.0.0.1:1",
        "BITSTAMP_LIVE_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }
    process = daemon.main(**nowhere)
    until("its health check does not say that it is not healthy", process, lambda: daemon.healthy() == 1)
    stopped(process)
    assert list((daemon.root / STATE.lstrip("/") / "spool").iterdir()), "no spool in the volume"
    print("daemon: without exchange and table it runs, is not healthy, stops in order, and its spool is in the volume")

    process = Container(made["daemon"], binaries, work / "without", volume=False).main(**nowhere)
    said, _ = process.communicate(timeout=120)
    assert process.returncode not in (0, None), said
    print(f"control: without a volume it ends with exit code {process.returncode}")


def loopback() -> None:
    """Switches on the loopback device of a new network: ioctl SIOCSIFFLAGS, IFF_UP."""
    import fcntl
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))


def main() -> None:
    binaries = pathlib.Path(sys.argv[1]).resolve()
    made = stages()
    if len(sys.argv) > 2:
        loopback()
        run(made, binaries, pathlib.Path(sys.argv[2]))
        return
    compose(made)
    apart = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    possible = "mount -t tmpfs tmpfs /mnt && mount -t proc proc /proc && mount --bind /dev/null /dev/null"
    if os.geteuid() != 0 or subprocess.run([*apart, "sh", "-c", possible], capture_output=True).returncode != 0:
        print("SKIPPED: container: needs root and namespaces with mounts of their own")
        return
    with tempfile.TemporaryDirectory() as work:
        sys.exit(subprocess.run([*apart, sys.executable, __file__, str(binaries), work]).returncode)


if __name__ == "__main__":
    main()
