"""The first system's way: scan, then one update_item for each item. The reference of the benchmark.

    python first_system.py --endpoint-url http://127.0.0.1:8100 --table bitstamp-live
"""

import argparse
import json
import time

import boto3

parser = argparse.ArgumentParser()
parser.add_argument("--endpoint-url", required=True)
parser.add_argument("--table", required=True)
arguments = parser.parse_args()

table = boto3.resource(
    "dynamodb",
    endpoint_url=arguments.endpoint_url,
    region_name="us-east-1",
    aws_access_key_id="local",
    aws_secret_access_key="local",
).Table(arguments.table)

begin, count, page = time.monotonic(), 0, {}
while True:
    page = table.scan(**page)
    for item in page["Items"]:
        table.update_item(
            Key={"id": item["id"], "microtimestamp": item["microtimestamp"]},
            UpdateExpression="SET nmicrotimestamp = :n",
            ExpressionAttributeValues={":n": int(item["microtimestamp"])},
        )
        count += 1
    if "LastEvaluatedKey" not in page:
        break
    page = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
print(json.dumps({"items": count, "seconds": round(time.monotonic() - begin, 3)}))
