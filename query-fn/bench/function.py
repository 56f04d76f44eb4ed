"""Runs the built function under a stand-in for Lambda's Runtime API and measures it.

    python3 function.py target/lambda/query-fn http://127.0.0.1:8000 50 [gzip|zstd|identity [PATH [QUERY]]]

Prints: start of the process to its first poll (also without a warm-up, i.e. with an endpoint that refuses), wall and CPU time
of one page of 1 MB, bytes sent, peak memory.
"""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

binary, endpoint, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
coding = sys.argv[4] if len(sys.argv) > 4 and sys.argv[4] != "identity" else None
path = sys.argv[5] if len(sys.argv) > 5 else "/bitstamp"
query = "channel=live_trades_btcusd&from=0&to=2000000000000000" + ("&interval=1m" if path == "/candles" else "")
query = sys.argv[6] if len(sys.argv) > 6 else query
event = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": path,
    "rawQueryString": query,
    "headers": {"host": "example.lambda-url.eu-central-1.on.aws", **({"accept-encoding": coding} if coding else {})},
    "requestContext": {
        "accountId": "anonymous",
        "apiId": "example",
        "domainName": "example.lambda-url.eu-central-1.on.aws",
        "domainPrefix": "example",
        "http": {"method": "GET", "path": "/bitstamp", "protocol": "HTTP/1.1", "sourceIp": "198.51.100.7", "userAgent": "x"},
        "requestId": "id",
        "routeKey": "$default",
        "stage": "$default",
        "time": "12/Mar/2020:19:03:58 +0000",
        "timeEpoch": 1583348638390,
    },
    "isBase64Encoded": False,
}


class Runtime(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.server.polled.set()
        self.server.ready.acquire()
        body = json.dumps(event).encode()
        self.send_response(200)
        self.send_header("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd")
        self.send_header("lambda-runtime-deadline-ms", str(int(time.time() * 1000) + 30000))
        self.send_header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:query-fn")
        self.send_header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.answer = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()
        self.server.answered.set()


def start(address):
    environment = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{address[1]}",
        "AWS_LAMBDA_FUNCTION_NAME": "query-fn",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": endpoint,
        "BITSTAMP_TOKEN_KEYS": base64.b64encode(bytes(32)).decode(),
        "RUST_LOG": "warn",
    }
    environment.update({name: value for name, value in os.environ.items() if name.startswith("BITSTAMP_")})
    return subprocess.Popen([binary], env=environment)


def cpu(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
    return total / 1e6


def status(pid, name):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.polled, server.answered, server.ready = threading.Event(), threading.Event(), threading.Semaphore(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


starts = []
for _ in range(10):
    server = serve()
    started = time.perf_counter()
    process = start(server.server_address)
    server.polled.wait(20)
    starts.append((time.perf_counter() - started) * 1000)
    process.kill()
    process.wait()
starts.sort()
print(f"start to first poll: median {starts[len(starts) // 2]:.1f} ms, best {starts[0]:.1f}, worst {starts[-1]:.1f}")

server = serve()
process = start(server.server_address)


def invoke():
    server.answered.clear()
    server.ready.release()
    server.answered.wait(30)
    return server.answer


invoke()
wall, before = time.perf_counter(), cpu(process.pid)
for _ in range(calls):
    answer = invoke()
wall = (time.perf_counter() - wall) * 1000 / calls
spent = (cpu(process.pid) - before) / calls
answer = json.loads(answer)
body = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
is_json = not coding and body.startswith(b"{")
count = json.loads(body)["Count"] if is_json else body.count(b"\n") if not coding else "?"
print(
    f"function{' ' + coding if coding else ''}: {count} items, {wall:.2f} ms wall, {spent:.2f} ms cpu a call, {len(body)} bytes of body, "
    f"{status(process.pid, 'VmHWM'):.1f} MB peak, status {answer['statusCode']}"
)
process.kill()
