"""Prints the trades and order books that ccxt.pro receives from an exchange at the given addresses, one JSON object a line.

Usage: ccxt_client.py ws://HOST:PORT http://HOST:PORT SYMBOL...
Nothing of ccxt is changed but its addresses. Order books are watched for the first symbol only.
"""
import asyncio
import json
import sys

import ccxt.pro


def say(**line):
    print(json.dumps(line), flush=True)


async def trades(exchange, symbol):
    while True:
        for trade in await exchange.watch_trades(symbol):
            say(trade=trade["id"], market=exchange.market(symbol)["id"], side=trade["side"], price=trade["price"],
                amount=trade["amount"], millis=trade["timestamp"], micro=trade["info"]["microtimestamp"])


async def books(exchange, symbol):
    while True:
        book = await exchange.watch_order_book(symbol)
        say(book=str(book["nonce"]), bids=[level[:2] for level in book["bids"]], asks=[level[:2] for level in book["asks"]])


async def main(websocket, rest, symbols):
    exchange = ccxt.pro.bitstamp({"urls": {"api": {"ws": websocket, "public": rest + "/api"}}})
    try:
        await exchange.load_markets()
        await asyncio.gather(books(exchange, symbols[0]), *(trades(exchange, symbol) for symbol in symbols))
    finally:
        await exchange.close()


asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
