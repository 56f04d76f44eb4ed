"""Compares `backfill run` with the first system's loop and with a bare loop of ready-made update batches.

    cargo build --release -p backfill --bins --example lab
    python scripts/backfill/bench/bench.py target/release --items 100000 --rounds 3

Needs boto3 for the first system's loop. Each works on the same items in an engine of its own, in memory and in another process. Prints one JSON line for each, with the process's own CPU time and peak memory.
"""

import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("binaries", type=pathlib.Path, help="folder of `backfill` and `examples/lab`")
parser.add_argument("--items", type=int, default=100_000)
parser.add_argument("--rounds", type=int, default=3, help="of all three, alternating")
parser.add_argument("--python-items", type=int, help="items of the first system's loop, as many by default")
parser.add_argument("--no-python", action="store_true")
parser.add_argument("--slow-ms", type=int, help="delays each answer by up to so many milliseconds (needs `fault-proxy` in the folder)")
parser.add_argument("--port", type=int, default=8100)
arguments = parser.parse_args()

folder = arguments.binaries.resolve()
lab, backfill = str(folder / "examples" / "lab"), str(folder / "backfill")
direct = f"http://127.0.0.1:{arguments.port}"
url = f"http://127.0.0.1:{arguments.port + 1}" if arguments.slow_ms else direct
python = str(pathlib.Path(__file__).with_name("first_system.py"))


def measured(command):
    """Runs a command; its last line of output as JSON, its seconds, CPU seconds and peak memory."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as desk:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=desk, text=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(f"{command[0]} failed: {output}")
    line = json.loads(output.strip().splitlines()[-1])
    return line, time.monotonic() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def fill(table, items):
    target = ["--endpoint-url", direct, "--table", table, "--items", str(items)]
    subprocess.run([lab, "fill", *target], check=True)


def show(name, items, seconds, cpu, memory):
    line = {
        "what": name,
        "items": items,
        "items_per_second": round(items / seconds),
        "cpu_us_per_item": round(cpu / items * 1e6, 1),
        "peak_mib": round(memory, 1),
    }
    print(json.dumps(line), flush=True)
    return line


@contextlib.contextmanager
def engine():
    """A fresh engine for each measurement: it gets slower with each table that it holds."""
    command = [lab, "engine", "--listen", direct.removeprefix("http://")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True)]
    processes[0].stdout.readline()
    if arguments.slow_ms:
        # A store that is reached over a network: each answer comes later by a random time.
        slow = ["--listen", url.removeprefix("http://"), "--slow", "1", "--slow-limit-ms", str(arguments.slow_ms)]
        command = [str(folder / "fault-proxy"), "--upstream", direct, *slow]
        processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        time.sleep(1)
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.wait()


lines = {"first system": [], "bare loop": [], "backfill": []}
target = ["--endpoint-url", url, "--table", "bench"]
for number in range(arguments.rounds):
    if not arguments.no_python:
        items = arguments.python_items or arguments.items
        with engine():
            fill("bench", items)
            line, _, cpu, memory = measured([sys.executable, python, *target])
        lines["first system"].append(show("first system", items, line["seconds"], cpu, memory))
    with engine():
        fill("bench", arguments.items)
        line, _, cpu, memory = measured([lab, "bare-loop", *target, "--items", str(arguments.items)])
    lines["bare loop"].append(show("bare loop", arguments.items, line["seconds"], cpu, memory))
    with engine():
        fill("bench", arguments.items)
        line, seconds, cpu, memory = measured([backfill, "run", *target, "--force", "--json"])
    assert line["totals"]["updated"] == arguments.items, line
    # The whole process, from its start to its end.
    lines["backfill"].append(show("backfill", arguments.items, seconds, cpu, memory))


def median(name, field):
    values = sorted(line[field] for line in lines[name])
    return values[len(values) // 2]


rate, ceiling = median("backfill", "items_per_second"), median("bare loop", "items_per_second")
print(f"backfill / bare loop: {rate / ceiling:.2f}")
if lines["first system"]:
    print(f"backfill / first system: {rate / median('first system', 'items_per_second'):.1f} times as fast")
    less = median("first system", "cpu_us_per_item") / median("backfill", "cpu_us_per_item")
    print(f"CPU per item: {less:.0f} times less; peak memory {median('backfill', 'peak_mib')} MiB")
