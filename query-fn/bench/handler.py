"""The first system's function: twenty lines of Python, one Query, the page as JSON."""

import json
import os
import resource
import sys
import time
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Key

table = boto3.resource(
    "dynamodb",
    endpoint_url=os.environ["AWS_ENDPOINT_URL"],
    region_name="eu-central-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
).Table(os.environ.get("BITSTAMP_TABLE", "bitstamp-live"))


def as_number(value):
    return int(value) if value == value.to_integral_value() else float(value)


def handler(event, context):
    query = event["queryStringParameters"]
    page = table.query(
        IndexName="channel-nmicrotimestamp-index",
        KeyConditionExpression=Key("channel").eq(query["channel"])
        & Key("nmicrotimestamp").between(Decimal(query["from"]), Decimal(query["to"])),
    )
    body = json.dumps(page, default=as_number)
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": body}


if __name__ == "__main__":
    calls = int(sys.argv[1])
    event = {"queryStringParameters": {"channel": "live_trades_btcusd", "from": "0", "to": "2000000000000000"}}
    answer = handler(event, None)

    def cpu():
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    started, before = time.perf_counter(), cpu()
    for _ in range(calls):
        answer = json.dumps(handler(event, None))
    wall = (time.perf_counter() - started) * 1000 / calls
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    body = json.loads(answer)["body"]
    print(
        f"python: {json.loads(body)['Count']} items, {wall:.2f} ms wall, {(cpu() - before) * 1000 / calls:.2f} ms cpu a call, "
        f"{len(body)} bytes of body, {peak:.0f} MB peak"
    )
