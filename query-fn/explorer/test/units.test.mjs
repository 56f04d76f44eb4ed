// What needs no browser. test.sh compiles it.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ends, fromAddress, START, toAddress } from '../node_modules/.cache/units/address.js';
import { merged, sum } from '../node_modules/.cache/units/candles.js';
import { fields, text } from '../node_modules/.cache/units/fields.js';
import { candles, grid, roundStep, slot } from '../node_modules/.cache/units/grid.js';
import { duration, read, rfc3339, written } from '../node_modules/.cache/units/time.js';
import { Trades } from '../node_modules/.cache/units/trades.js';

test('every field keeps the characters that were sent', () => {
    const row = fields('{"id":20019396239362785281,"price":1.50,"x":1e-08,"say":"a \\"b\\", {c}","none":null,"bids":[["1.0","2"],["}",3]],"o":{"a":[1]}}');
    assert.equal(text(row, 'id'), '20019396239362785281');
    assert.equal(text(row, 'price'), '1.50');
    assert.equal(text(row, 'x'), '1e-08');
    assert.equal(text(row, 'say'), 'a "b", {c}');
    assert.equal(text(row, 'none'), '');
    assert.equal(text(row, 'bids'), '[["1.0","2"],["}",3]]');
    assert.equal(text(row, 'o'), '{"a":[1]}');
    assert.deepEqual([...fields('{}')], []);
    for (const wrong of ['', '[1]', '{"a"', '{"a":', '{"a":[1}', '{"a":1']) assert.throws(() => fields(wrong), SyntaxError, wrong);
});

test('times are written and read as people do', () => {
    const time = 1_795_226_911_565_003;
    assert.equal(written(time, 'utc', 6), '2026-11-21 02:08:31.565003');
    assert.equal(rfc3339(time), '2026-11-21T02:08:31.565003Z');
    assert.equal(rfc3339(1_795_226_910_000_000), '2026-11-21T02:08:30Z');
    for (const said of ['2026-11-21 02:08:31.565003', '2026-11-21T02:08:31.565003Z', '2026-11-21T04:08:31.565003+02:00', String(time)]) {
        assert.equal(read(said, 'utc', false), time, said);
    }
    assert.equal(read('2026-11-21', 'utc', false), 1_795_219_200_000_000);
    assert.equal(read('2026-11-21', 'utc', true), 1_795_305_599_999_999);
    assert.ok(Math.abs(read('-15m', 'utc', false) - (Date.now() * 1000 - 900e6)) < 1e6);
    for (const wrong of ['', 'soon', '2026-02-30', '2026-11-21 25:00', '1795226911']) assert.equal(read(wrong, 'utc', false), null, wrong);
    assert.deepEqual([17, 850_000, 12_340_000, 3_900_000_000].map(duration), ['17 µs', '850 ms', '12.3 s', '1 h 5 min']);
});

test('an address gives back the view', () => {
    const view = { channel: 'live_orders_btcusd', span: { from: 1_795_226_911_565_003, to: 1_795_226_912_000_000 }, mode: 'trades', order: 'asc', columns: ['time', 'id'], zone: 'local', orderId: '2050558851342339' };
    assert.deepEqual(fromAddress(toAddress(view)), view);
    assert.deepEqual(fromAddress(''), START);
    assert.deepEqual(fromAddress('#last=never&id=x&order=up'), START);
    const { from, to } = ends({ last: '5m' });
    assert.equal(to - from, 300e6);
});

test('sums of candles are exact', () => {
    assert.equal(sum('0.1', '0.20000003'), '0.30000003');
    assert.equal(sum('99999999999999999999', '1'), '100000000000000000000');
    const row = (time, open, high, low, close, volume, state) => fields(JSON.stringify({ time, open, high, low, close, volume, buy_volume: volume, trades: 2, state }));
    const rows = [row(0, '5', '9', '5', '6', '0.1', 'complete'), row(1e6, '6', '10', '2', '3', '0.02', 'gap'), row(5e6, '3', '3', '3', '3', '1', 'open')];
    assert.deepEqual(merged(rows, 5e6).map(({ time, open, high, low, close, volume, trades, state }) => [time, open, high, low, close, volume, trades, state]),
        [[0, '5', '10', '2', '3', '0.12', 4, 'gap'], [5e6, '3', '3', '3', '3', '1', 2, 'open']]);
});

test('slots cover the range, in steps that people count in', () => {
    assert.deepEqual(candles(900e6), { name: '5 s', step: 5e6, asked: '1s' });
    assert.equal(candles(1e15).name, '1 d');
    assert.deepEqual([60e6, 900e6, 3600e6].map((length) => roundStep(length, 60)), [1e6, 15e6, 60e6]);
    const of = grid(7e6 + 1, 21e6, 5e6);
    assert.deepEqual(of, { start: 5e6, step: 5e6, count: 4 });
    assert.equal(slot(of, 21e6), 3);
});

test('trades come once, in order of time', () => {
    const trades = new Trades();
    trades.addCsv('nmicrotimestamp,id_str,price_str,amount_str,type\r\n5,2,84000.10,1.0,0\r\n3,1,84000.00,0.5,1\r\n5,2,84000.10,1.0,0\r\n');
    assert.deepEqual(trades.list.map(({ id, price, isBuy }) => [id, price, isBuy]), [['1', '84000.00', false], ['2', '84000.10', true]]);
    trades.dropBefore(4);
    assert.deepEqual(trades.prices, [84000.1]);
});
