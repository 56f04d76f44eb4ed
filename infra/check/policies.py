"""Runs the programs with the permissions of their roles and no others, then with one permission less.

  policies.py RESOLVED_FOLDER BINARIES_FOLDER

The table is the stack's in moto. Between it and each program stands fault-proxy, which refuses every action that is not on its
list, as IAM does. BINARIES_FOLDER holds ingestor, query-fn, backfill, exchange-sim and fault-proxy.
"""

import contextlib
import json
import logging
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

REGION = "eu-central-1"
os.environ |= {"AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto", "NO_COLOR": "1"}

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)

PATIENCE = 120.0
TABLE = "bitstamp-live"
INDEX = "channel-nmicrotimestamp-index"


def actions(resolved: pathlib.Path, policy: str) -> set:
    document = json.loads((resolved / "roles-all.json").read_text())["Resources"][policy]["Properties"]["PolicyDocument"]
    listed = [each for statement in document["Statement"] for each in
              (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])]
    return {each.split(":")[1] for each in listed if each.startswith("dynamodb:")}


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait(what: str, condition):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := condition():
                return found
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what} within {PATIENCE} s")


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Bench:
    def __init__(self, resolved: pathlib.Path, binaries: pathlib.Path, folder: pathlib.Path):
        self.binaries, self.folder, self.processes = binaries, folder, []
        self.moto = ThreadedMotoServer(ip_address="127.0.0.1", port=port(), verbose=False)
        self.moto.start()
        host, number = self.moto.get_host_and_port()
        self.store = f"http://{host}:{number}"
        body = (resolved / "data.json").read_text()
        boto3.client("cloudformation", endpoint_url=self.store).create_stack(StackName="data", TemplateBody=body)
        self.dynamodb = boto3.client("dynamodb", endpoint_url=self.store)
        recovery = {"PointInTimeRecoveryEnabled": True}
        self.dynamodb.update_continuous_backups(TableName=TABLE, PointInTimeRecoverySpecification=recovery)

    def spawn(self, name: str, *arguments: str) -> subprocess.Popen:
        log = (self.folder / f"{name}-{len(self.processes)}.log").open("w")
        process = subprocess.Popen([self.binaries / name, *arguments], stdout=log, stderr=log, cwd=self.folder)
        process.log = pathlib.Path(log.name)
        self.processes.append(process)
        return process

    def proxy(self, allowed: set) -> str:
        number = port()
        self.spawn("fault-proxy", "--upstream", self.store, "--listen", f"127.0.0.1:{number}", "--allow", ",".join(sorted(allowed)))
        wait("fault-proxy listens", lambda: socket.create_connection(("127.0.0.1", number), 1))
        return f"http://127.0.0.1:{number}"

    def run(self, name: str, *arguments: str) -> tuple[int, str]:
        done = subprocess.run([self.binaries / name, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout + done.stderr

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(PATIENCE)
        self.moto.stop()


def each_is_taken_away(program: str, allowed: set, taken: set) -> None:
    """So that no action comes into a role without anybody showing what happens where it is missing."""
    assert taken == allowed, f"{program}: in its role and never taken away, or the other way round: {sorted(taken ^ allowed)}"


def settings(bench: Bench, allowed: set, exchange: str, listen: str) -> list:
    spool = tempfile.mkdtemp(dir=bench.folder)
    return ["--region", REGION, "--endpoint-url", bench.proxy(allowed), "--url", f"ws://{exchange}",
            "--rest-url", f"http://{exchange}/api/v2", "--spool-dir", spool, "--listen", listen,
            "--channels", "live_trades_btcusd,live_orders_btcusd"]


def daemon(bench: Bench, allowed: set, exchange: str) -> tuple[subprocess.Popen, str]:
    listen = f"127.0.0.1:{port()}"
    return bench.spawn("ingestor", *settings(bench, allowed, exchange, listen)), f"http://{listen}"


def check(bench: Bench, allowed: set, exchange: str) -> tuple[int, str]:
    return bench.run("ingestor", "check", *settings(bench, allowed, exchange, f"127.0.0.1:{port()}"))


def ingestor(bench: Bench, allowed: set) -> None:
    number = port()
    bench.spawn("exchange-sim", "--listen", f"127.0.0.1:{number}", "--rate", "0.05")
    wait("exchange-sim listens", lambda: socket.create_connection(("127.0.0.1", number), 1))
    exchange = f"127.0.0.1:{number}"

    process, address = daemon(bench, allowed, exchange)
    wait("100 items stored", lambda: json.loads(get(f"{address}/health")[1])["stored"] >= 100)
    process.terminate()
    assert process.wait(PATIENCE) == 0, process.log.read_text()
    print(f"ingestor with its role: stores, stops in order; used of {sorted(allowed)}: BatchWriteItem, DescribeTable, PutItem")

    # A channel that is new to the table, so that the daemon has to enter it.
    for item in bench.dynamodb.query(TableName=TABLE, IndexName=INDEX, KeyConditionExpression="channel = :c",
                                     ExpressionAttributeValues={":c": {"S": "_channels"}})["Items"]:
        bench.dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("id", "microtimestamp")})
    for action in ("PutItem", "BatchWriteItem"):
        process, address = daemon(bench, allowed - {action}, exchange)
        said = wait("the daemon names the missing action",
                    lambda: [each for each in json.loads(get(f"{address}/health")[1])["trouble"] if f"dynamodb:{action}" in each])
        print(f"ingestor without {action}: goes on capturing and says: {said[0]}")
        process.terminate()
        process.wait(PATIENCE)

    process, _ = daemon(bench, allowed - {"DescribeTable"}, exchange)
    assert process.wait(PATIENCE) == 78, process.log.read_text()
    said = process.log.read_text().splitlines()[-1]
    assert "dynamodb:DescribeTable" in said, said
    print(f"ingestor without DescribeTable: exit code 78 and says: {said}")

    code, said = check(bench, allowed, exchange)
    assert code == 0, (code, said)
    for action in sorted(allowed):
        code, said = check(bench, allowed - {action}, exchange)
        (fault,) = [line for line in said.splitlines() if line.startswith("fault")]
        assert code == 78 and f"dynamodb:{action}" in fault, (action, code, said)
        print(f"ingestor check without {action}: exit code 78 and says: {fault}")
    each_is_taken_away("ingestor", allowed, {"BatchWriteItem", "PutItem", "DescribeTable", "Query"})


def query(bench: Bench, allowed: set) -> None:
    def serve(actions: set) -> tuple[subprocess.Popen, str]:
        listen = f"127.0.0.1:{port()}"
        process = bench.spawn("query-fn", "--region", REGION, "--endpoint-url", bench.proxy(actions), "--listen", listen)
        wait("query-fn listens", lambda: get(f"http://{listen}/health")[0] == 200)
        return process, f"http://{listen}"

    _, address = serve(allowed)
    status, body = get(f"{address}/bitstamp?channel=live_orders_btcusd&from=2020-01-01T00:00:00Z&limit=5")
    assert status == 200 and json.loads(body)["Count"] == 5, body
    order = json.loads(body)["Items"][0]["id"]
    for path in (f"orders/{order}", "channels", "coverage?channel=live_orders_btcusd&from=2020-01-01T00:00:00Z",
                 "candles?channel=live_trades_btcusd&interval=1h&from=2020-01-01T00:00:00Z",
                 "export?channel=live_orders_btcusd&from=2020-01-01T00:00:00Z", "openapi.json"):
        status, body = get(f"{address}/{path}")
        assert status == 200, (path, status, body)
    print(f"query-fn with its role {sorted(allowed)}: page, order, channels, coverage, candles, export")

    process, address = serve({"DescribeTable"})
    status, body = get(f"{address}/bitstamp?channel=live_orders_btcusd&from=2020-01-01T00:00:00Z")
    assert status == 502, (status, body)
    told = json.loads(body)["detail"]
    logged = process.log.read_text()
    assert "dynamodb:Query" in told and "dynamodb:Query" in logged, (told, logged)
    print(f"query-fn without Query: 502 and says: {told}")
    each_is_taken_away("query-fn", allowed, {"Query"})


def backfill(bench: Bench, allowed: set) -> None:
    def run(actions: set, *arguments: str) -> tuple[int, str]:
        for file in bench.folder.glob("backfill-*"):
            file.unlink()
        return bench.run("backfill", *arguments, "--region", REGION, "--endpoint-url", bench.proxy(actions), "--patience", "30")

    def make_older() -> None:
        # Few: moto takes seconds for each statement.
        page = bench.dynamodb.scan(TableName=TABLE, Limit=2)
        for item in page["Items"]:
            key = {name: item[name] for name in ("id", "microtimestamp")}
            bench.dynamodb.update_item(TableName=TABLE, Key=key, UpdateExpression="REMOVE nmicrotimestamp")

    def remove_index() -> None:
        bench.dynamodb.update_table(TableName=TABLE, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": INDEX}}])

    commands = {
        "DescribeTable": "plan", "DescribeContinuousBackups": "run", "Scan": "run", "PartiQLUpdate": "run",
        "GetItem": "run --checkpoint-item", "PutItem": "run --checkpoint-item", "DeleteItem": "run --checkpoint-item",
        "UpdateItem": "run --update-item", "UpdateTable": "run --create-index",
    }
    for command in ("plan", "run", "verify", "run --checkpoint-item", "run --update-item", "run --create-index"):
        make_older()
        if "--create-index" in command:
            remove_index()
        code, said = run(allowed, *command.split())
        assert code == (4 if command == "verify" else 0), (command, code, said[-900:])
        print(f"backfill with its role: {command}: exit code {code}")
    for action, command in commands.items():
        make_older()
        if action == "UpdateTable":
            remove_index()
        code, said = run(allowed - {action}, *command.split())
        last = said.strip().splitlines()[-1]
        assert code not in (0, 3, 4) and f"dynamodb:{action}" in said, (action, code, said)
        print(f"backfill without {action}: {command}: exit code {code} and says: {last}")
    each_is_taken_away("backfill", allowed, set(commands))


def main(resolved: str, binaries: str) -> None:
    folder = pathlib.Path(resolved)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(folder, pathlib.Path(binaries).resolve(), pathlib.Path(scratch))
        try:
            ingestor(bench, actions(folder, "IngestorPolicy"))
            query(bench, actions(folder, "QueryPolicy"))
            backfill(bench, actions(folder, "BackfillPolicy"))
        finally:
            bench.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
