"""Prints the trades and order books that cryptofeed receives from an exchange at the given addresses, one JSON object a line.

Usage: cryptofeed_client.py ws://HOST:PORT http://HOST:PORT SYMBOL...
Nothing of cryptofeed is changed but its addresses. Order books are followed for the first symbol only.
"""
import json
import sys
from urllib.parse import urlsplit

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, L3_BOOK, TRADES
from cryptofeed.exchanges import Bitstamp

import tls


def say(**line):
    print(json.dumps(line), flush=True)


async def trade(trade, _received):
    data = trade.raw["data"]
    say(trade=trade.id, market=trade.raw["channel"].rsplit("_", 1)[-1], side=trade.side, price=str(trade.price),
        amount=str(trade.amount), micro=data["microtimestamp"])


async def book(book, _received):
    if "data" not in book.raw:
        say(snapshot=book.raw["microtimestamp"])
        return
    sides = {side: [[str(price), str(size)] for price, size in levels.items()] for side, levels in book.book.to_dict().items()}
    say(book=book.raw["data"]["microtimestamp"], bids=sides["bid"], asks=sides["ask"])


async def detail(book, _received):
    sides = {side: [[str(price), str(size), order] for price, orders in levels.items() for order, size in orders.items()]
             for side, levels in book.book.to_dict().items()}
    say(detail=book.raw["data"]["microtimestamp"], bids=sides["bid"], asks=sides["ask"])


def main(websocket, rest, symbols):
    routes = Bitstamp.rest_endpoints[0].routes
    # cryptofeed refuses `ws` addresses.
    address = urlsplit(websocket)
    secure = f"wss://127.0.0.1:{tls.in_front_of(address.hostname, address.port)}"
    Bitstamp.websocket_endpoints = [WebsocketEndpoint(secure, options=Bitstamp.websocket_endpoints[0].options)]
    Bitstamp.rest_endpoints = [RestEndpoint(rest, routes=routes)]
    handler = FeedHandler(config={"log": {"filename": "cryptofeed.log", "level": "WARNING", "disabled": False}})
    handler.add_feed(Bitstamp(symbols=symbols, channels=[TRADES], callbacks={TRADES: trade}))
    handler.add_feed(Bitstamp(symbols=symbols[:1], channels=[L2_BOOK, L3_BOOK], callbacks={L2_BOOK: book, L3_BOOK: detail}))
    handler.run()


main(sys.argv[1], sys.argv[2], sys.argv[3:])
