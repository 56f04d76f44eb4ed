"""Reads an export with one reader and prints `rows first_id last_id digest`; ends with an error if the reader reports one.

The digest is the SHA-256 of all ids in order, each followed by a line feed.

    python3 read.py READER URL        READER: requests, pandas_csv, pandas_ndjson, polars, duckdb
"""

import hashlib
import io
import sys
import tempfile
import urllib.request

reader, url = sys.argv[1], sys.argv[2]
ndjson, csv = url + "&format=ndjson", url + "&format=csv"


def show(ids):
    digest = hashlib.sha256("".join(f"{id}\n" for id in ids).encode()).hexdigest()
    print(len(ids), ids[0], ids[-1], digest)


if reader == "requests":
    import json

    import requests

    show([json.loads(line)["id"] for line in requests.get(ndjson).iter_lines()])
elif reader == "pandas_csv":
    import pandas

    table = pandas.read_csv(csv)
    assert str(table["id"].dtype) == "int64", table["id"].dtype
    show(list(table["id"]))
elif reader == "pandas_ndjson":
    import pandas

    table = pandas.read_json(ndjson, lines=True, dtype={"id_str": "string"})
    show(list(table["id_str"]))
elif reader == "polars":
    import polars

    table = polars.read_ndjson(io.BytesIO(urllib.request.urlopen(ndjson).read()))
    assert table["id"].dtype == polars.Int64, table["id"].dtype
    show(table["id"].to_list())
elif reader == "duckdb":
    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        file.write(urllib.request.urlopen(ndjson).read())
        file.flush()
        rows = duckdb.sql(f"select id from read_json('{file.name}', format='newline_delimited')").fetchall()
    show([row[0] for row in rows])
