"""Runs the programs with the permissions of their roles and no others, then with one permission less.

  policies.py RESOLVED_FOLDER BINARIES_FOLDER

The table is the stack's in moto. Between it and each program stands fault-proxy, which refuses every action that is not on its
list, as IAM does. BINARIES_FOLDER holds ingestor, query-fn, items, backfill, exchange-sim and fault-proxy.
"""

import contextlib
import json
import logging
import os
import pathlib
import re
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
FREE = "127.0.0.1:0"
INDEX = "channel-nmicrotimestamp-index"


def actions(resolved: pathlib.Path, policy: str) -> set:
    document = json.loads((resolved / "roles-all.json").read_text())["Resources"][policy]["Properties"]["PolicyDocument"]
    listed = [each for statement in document["Statement"] for each in
              (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])]
    return {each.split(":")[1] for each in listed if each.startswith("dynamodb:")}


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
        self.moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
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

    def address(self, process: subprocess.Popen, before: str) -> str:
        """Where a process listens: it chooses a free port and says which one, after these words."""
        def said():
            found = re.search(re.escape(before) + r"(127\.0\.0\.1:\d+)", process.log.read_text())
            if not found and process.poll() is not None:
                raise SystemExit(f"FAILED: exit code {process.returncode} before `{before}`:\n{process.log.read_text()}")
            return found and found[1]
        return wait(f"`{before}`", said)

    def proxy(self, allowed: set) -> str:
        process = self.spawn("fault-proxy", "--upstream", self.store, "--listen", FREE, "--allow", ",".join(sorted(allowed)))
        return "http://" + self.address(process, "listening on http://")

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


def settings(bench: Bench, allowed: set, exchange: str) -> list:
    spool = tempfile.mkdtemp(dir=bench.folder)
    return ["--region", REGION, "--endpoint-url", bench.proxy(allowed), "--url", f"ws://{exchange}",
            "--rest-url", f"http://{exchange}/api/v2", "--spool-dir", spool, "--listen", FREE,
            "--channels", "live_trades_btcusd,live_orders_btcusd"]


def daemon(bench: Bench, allowed: set, exchange: str) -> tuple[subprocess.Popen, str]:
    process = bench.spawn("ingestor", *settings(bench, allowed, exchange))
    return process, "http://" + bench.address(process, "listening address=")


def check(bench: Bench, allowed: set, exchange: str) -> tuple[int, str]:
    return bench.run("ingestor", "check", *settings(bench, allowed, exchange))


def ingestor(bench: Bench, allowed: set) -> None:
    exchange = bench.address(bench.spawn("exchange-sim", "--listen", FREE, "--rate", "0.05"), "ws://")

    process, address = daemon(bench, allowed, exchange)
    wait("100 items stored", lambda: json.loads(get(f"{address}/health")[1])["stored"] >= 100)
    process.terminate()
    assert process.wait(PATIENCE) == 0, process.log.read_text()
    print(f"ingestor with its role: stores, stops in order; used of {sorted(allowed)}: BatchWriteItem, DescribeTable, PutItem")

    # A channel that is new to the table, so that the daemon has to enter it.
    for item in bench.dynamodb.query(TableName=TABLE, IndexName=INDEX, KeyConditionExpression="channel = :c",
                                     ExpressionAttributeValues={":c": {"S": "_channels"}})["Items"]:
        bench.dynamodb.delete_item(TableName=TABLE, Key={name: item[name] for name in ("id", "microtimestamp")})
    for action in ("PutItem", "BatchWriteItem", "DescribeTable"):
        process, address = daemon(bench, allowed - {action}, exchange)
        said = wait("the daemon names the missing action",
                    lambda: [each for each in json.loads(get(f"{address}/health")[1])["trouble"] if f"dynamodb:{action}" in each])
        print(f"ingestor without {action}: goes on capturing and says: {said[0]}")
        process.terminate()
        process.wait(PATIENCE)


    code, said = check(bench, allowed, exchange)
    assert code == 0, (code, said)
    for action in sorted(allowed):
        code, said = check(bench, allowed - {action}, exchange)
        (fault,) = [line for line in said.splitlines() if line.startswith("fault")]
        assert code == 78 and f"dynamodb:{action}" in fault, (action, code, said)
        print(f"ingestor check without {action}: exit code 78 and says: {fault}")
    each_is_taken_away("ingestor", allowed, {"BatchWriteItem", "PutItem", "DeleteItem", "DescribeTable", "Query"})


def query(bench: Bench, allowed: set) -> None:
    def serve(actions: set) -> tuple[subprocess.Popen, str]:
        process = bench.spawn("query-fn", "--region", REGION, "--endpoint-url", bench.proxy(actions), "--listen", FREE)
        return process, "http://" + bench.address(process, "address=")

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


def items(bench: Bench, allowed: set) -> None:
    """The function's service, as the program items runs it for a local store."""
    item = bench.folder / "item.json"

    def run(actions: set, *arguments: str) -> tuple[int, str]:
        return bench.run("items", "--region", REGION, "--endpoint-url", bench.proxy(actions), *arguments)

    def write(**attributes) -> None:
        item.write_text(json.dumps({"id": 7, "microtimestamp": "5", **attributes}))

    write(a=1)
    put, put_again = ("put", str(item), "--yes"), ("put", str(item), "--yes", "--overwrite")
    for command in (put, ("get", "7", "5"), ("set", "7", "5", "a=2", "--yes"), put_again, ("rm", "7", "5", "--yes"), ("audit",)):
        code, said = run(allowed, *command)
        assert code == 0, (command, code, said)
    assert said.count('"who":"local:') == 4, said
    print(f"items with the function's role {sorted(allowed)}: put, get, set, put, rm, audit")
    commands = {"GetItem": ("get", "7", "5"), "PutItem": put, "UpdateItem": ("set", "7", "5", "a=2", "--yes"),
                "DeleteItem": ("rm", "7", "5", "--yes"), "Query": ("audit",)}
    for action, command in commands.items():
        code, said = run(allowed, *(("rm", "7", "5", "--yes") if action == "PutItem" else put_again))
        assert code == 0, said
        code, said = run(allowed - {action}, *command)
        assert code == 1 and f"dynamodb:{action}" in said, (action, code, said)
        print(f"items without {action}: exit code {code} and says: {said.strip().splitlines()[-1]}")
    # A condition where nothing changes is the function's alone; query-fn/items/tests/it/faults.rs takes its action away.
    each_is_taken_away("items", allowed, {*commands, "ConditionCheckItem"})
    # Its key is no time, which backfill would call a reject.
    bench.dynamodb.delete_item(TableName=TABLE, Key={"id": {"N": "7"}, "microtimestamp": {"S": "5"}})


def backfill(bench: Bench, allowed: set) -> None:
    def run(actions: set, *arguments: str) -> tuple[int, str]:
        for file in bench.folder.glob("backfill-*"):
            file.unlink()
        return bench.run("backfill", *arguments, "--region", REGION, "--endpoint-url", bench.proxy(actions), "--patience", "30")

    # Few: moto takes seconds for each statement. Older than a minute: verify compares nothing that may still be being written.
    page = bench.dynamodb.scan(TableName=TABLE)["Items"]
    older = [item for item in page if not item.get("channel", {"S": "_"})["S"].startswith("_")][:2]
    assert len(older) == 2, page
    for number, item in enumerate(older):
        _, *rest = item["microtimestamp"]["S"].split("#")
        item["microtimestamp"]["S"] = "#".join([f"150000000000000{number}", *rest])
        item["received_at"] = {"N": "1500000000000002"}
        del item["nmicrotimestamp"]

    def make_older() -> None:
        for item in older:
            bench.dynamodb.put_item(TableName=TABLE, Item=item)

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
            items(bench, actions(folder, "ItemsPolicy"))
            backfill(bench, actions(folder, "BackfillPolicy"))
        finally:
            bench.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
