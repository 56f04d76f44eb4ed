// The page in a browser, against the local demo. Every wait is on a condition.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { chart, launch, open, rows, settled } from './browser.mjs';
import { demo, lines, until } from './demo.mjs';
import { proxy } from './proxy.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const BUILT = process.env.EXPLORER_BUILT ?? null;
const SHOTS = process.env.EXPLORER_SHOTS ?? null;

let system;
let browser;
/** A proxy that changes nothing, unless a test says so. */
let api;
/** A range without events to come: it ends before the gap does, and has all of the first run. */
let past;

const rfc3339 = (micros) => `${new Date(Math.floor(micros / 1000)).toISOString().slice(0, -1)}${String(micros % 1000).padStart(3, '0')}Z`;
const address = (pairs) => `${api.url}/#${new URLSearchParams(pairs)}`;
const of = (channel, more = {}) => address({ channel, from: rfc3339(past.from), to: rfc3339(past.to), ...more });
const shot = async (page, name) => {
    if (SHOTS !== null) await page.screenshot({ path: `${SHOTS}/${name}.png` });
};

before(async () => {
    system = process.env.EXPLORER_DEMO === undefined ? await demo(process.env.BITSTAMP_LIVE) : JSON.parse(process.env.EXPLORER_DEMO);
    api = await proxy(system.url, { built: BUILT });
    api.fault = (request, response) => {
        const url = new URL(request.url, system.url);
        if (url.pathname !== '/coverage' || url.searchParams.get('channel') !== system.gap.channel) return false;
        response.end(coverage(Number(url.searchParams.get('from')), Number(url.searchParams.get('to'))));
        return true;
    };
    const [first] = await lines(`${system.url}/bitstamp?channel=live_orders_btcusd&limit=1&format=ndjson`);
    past = { from: first.nmicrotimestamp, to: system.gap.through };
    browser = await launch();
});

/** The coverage of the order channel as NDJSON: captured, except the time between the two runs. */
function coverage(from, to) {
    const { gap } = system;
    const parts = [{ from, through: gap.from - 1, state: 'captured', reason: null }, gap, { from: gap.through + 1, through: to, state: 'captured', reason: null }];
    return parts.map((part) => ({ ...part, channel: gap.channel, from: Math.max(from, part.from), through: Math.min(to, part.through) }))
        .filter((part) => part.from <= part.through).map((part) => `${JSON.stringify(part)}\n`).join('');
}

after(async () => {
    await browser?.close();
    api?.close();
    await system?.stop?.();
});

async function violations(page) {
    await page.evaluate(AXE);
    const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    const grave = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
    return grave.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`);
}

describe('explorer', () => {
    test('it loads the newest quarter of an hour of trades and follows it', async () => {
        await open(browser, `${api.url}/`, async (page) => {
            await settled(page);
            assert.match(page.url(), /#channel=live_trades_btcusd&last=15m$/);
            assert.equal((await chart(page)).kind, '5 s');
            assert.ok(Number((await chart(page)).count) > 0);
            await page.waitForSelector('.live[data-way="poll"], .live[data-way="stream"]');
            const first = await page.evaluate(() => document.querySelector('.chart').dataset.to);
            const newest = await page.waitForFunction(() => Number(document.querySelector('.live').dataset.newest) || false);
            const before = await newest.jsonValue();
            await page.waitForFunction((before) => Number(document.querySelector('.live').dataset.newest) > before, before);
            assert.ok(Number((await chart(page)).to) > Number(first), 'the window does not move');
            const [row] = await rows(page);
            assert.match(row, /^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\t\d+\t[01] (buy|sell)\t/);
            assert.match(await page.textContent('.summary'), /^live_trades_btcusd: .*(gap|unknown|nothing is missing)/);
            const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
            console.log(`first contentful paint: ${Math.round(paint)} ms`);
        });
    });

    test('a channel is found by words and chosen by keys', async () => {
        await open(browser, of('live_trades_btcusd'), async (page) => {
            await settled(page);
            await page.click('.top .channel');
            await page.keyboard.type('btc orders');
            await page.waitForFunction(() => document.querySelectorAll('#channels li').length === 1);
            await page.keyboard.press('Enter');
            await page.waitForFunction(() => location.hash.includes('channel=live_orders_btcusd'));
            await settled(page);
            await page.waitForFunction(() => /order_(created|changed|deleted)/.test(document.querySelector('.events tbody')?.innerText));
        });
    });

    test('presets set the length of the range', async () => {
        await open(browser, of('live_trades_btcusd'), async (page) => {
            await settled(page);
            for (const [preset, minutes] of [['1m', 1], ['5m', 5], ['1h', 60], ['24h', 1440], ['7d', 10_080]]) {
                await page.click(`[data-preset="${preset}"]`);
                await page.waitForFunction((length) => {
                    const { from, to } = document.querySelector('.chart').dataset;
                    return to - from === length;
                }, minutes * 60e6);
            }
            await page.click('[data-preset="all"]');
            const [first] = await lines(`${system.url}/bitstamp?channel=live_trades_btcusd&limit=1&format=ndjson`);
            await page.waitForFunction((from) => Number(document.querySelector('.chart').dataset.from) === from, first.nmicrotimestamp);
        });
    });

    test('a range is typed in UTC or in the local zone, and a fault is named', async () => {
        await open(browser, of('live_trades_btcusd'), async (page) => {
            await settled(page);
            const typed = async (from, to) => {
                if (!await page.isVisible('#from')) await page.click('.top .range');
                await page.fill('#from', from);
                await page.fill('#to', to);
                await page.keyboard.press('Enter');
            };
            await typed('yesterday', 'now');
            await page.waitForFunction(() => document.querySelector('.fault')?.textContent.includes('no time'));
            await typed('2026-11-21 10:00', '2026-11-21 11:00:00.5');
            await page.waitForFunction(() => location.hash.includes('from=2026-11-21T10:00:00Z&to=2026-11-21T11:00:00.5Z'));
            await page.click('[data-zone="local"]');
            await page.waitForFunction(() => document.querySelector('.top .range').textContent.startsWith('2026-11-21 15:30:00'));
            await typed('2026-11-21 10:00', '2026-11-21');
            await page.waitForFunction(() => location.hash.includes('from=2026-11-21T04:30:00Z&to=2026-11-21T18:29:59.999999Z'));
        });
    });

    test('dragging zooms to single trades, back and double click lead out', async () => {
        await open(browser, address({ channel: 'live_trades_btcusd', from: rfc3339(past.from - 600e6), to: rfc3339(past.to) }), async (page) => {
            await settled(page);
            const wide = await chart(page);
            assert.equal(wide.kind, '5 s');
            const box = await page.locator('.chart').boundingBox();
            const y = box.y + 80;
            await page.mouse.move(box.x + 1060, y);
            await page.mouse.down();
            await page.mouse.move(box.x + 1130, y, { steps: 4 });
            await page.mouse.up();
            await page.waitForFunction(() => document.querySelector('.chart').dataset.kind === 'trades');
            await settled(page);
            const near = await chart(page);
            assert.ok(near.to - near.from < (wide.to - wide.from) / 10, JSON.stringify([wide, near]));
            const expected = await lines(`${system.url}/bitstamp?channel=live_trades_btcusd&from=${near.from}&to=${near.to}&limit=10000&format=ndjson`);
            assert.equal(Number(near.count), expected.length);
            await page.goBack();
            await page.waitForFunction((from) => document.querySelector('.chart').dataset.from === from, wide.from);
            await settled(page);
            assert.deepEqual(await chart(page), wide);
            await page.goForward();
            await page.waitForFunction((from) => document.querySelector('.chart').dataset.from === from, near.from);
            await page.mouse.dblclick(box.x + 600, y);
            await page.waitForFunction(({ from, to }) => {
                const shown = document.querySelector('.chart').dataset;
                return Number(shown.from) < from && Number(shown.to) > to;
            }, { from: Number(near.from), to: Number(near.to) });
            await page.focus('.chart');
            const { from } = await chart(page);
            await page.keyboard.press('ArrowRight');
            await page.waitForFunction((from) => Number(document.querySelector('.chart').dataset.from) > Number(from), from);
        });
    });

    test('a gap says why, to the mouse, to keys and as a table', async () => {
        // Wider than what a zoom to the gap leaves around it, however long the demo took to start again.
        const margin = Math.max(5e6, system.gap.through - system.gap.from);
        const around = address({ channel: system.gap.channel, from: rfc3339(system.gap.from - margin), to: rfc3339(system.gap.through + margin) });
        await open(browser, around, async (page) => {
            await settled(page);
            await page.waitForFunction(() => /gap/.test(document.querySelector('.summary').textContent));
            const strip = await page.locator('.strip canvas').boundingBox();
            await page.mouse.move(strip.x + strip.width / 2, strip.y + 8);
            await page.waitForFunction((reason) => document.querySelector('.tip')?.innerText.includes(reason), system.gap.reason);
            await shot(page, 'explorer-gap');
            await page.mouse.move(5, 5);
            await page.waitForSelector('.tip', { state: 'hidden' });
            await page.focus('.strip');
            await page.keyboard.press('Home');
            await page.keyboard.press('g');
            const said = await page.getAttribute('.strip', 'aria-valuetext');
            assert.ok(said.startsWith(`${system.gap.channel}: gap: `) && said.includes(system.gap.reason), said);
            await page.waitForSelector('.tip[data-state="gap"]');
            await page.click('.coverage summary');
            await page.waitForFunction((reason) => document.querySelector('.coverage table')?.innerText.includes(reason), system.gap.reason);
            await page.focus('.strip');
            await page.keyboard.press('Enter');
            await page.waitForFunction((from) => Number(document.querySelector('.chart').dataset.from) > from, system.gap.from - margin);
        });
    });

    test('an order id opens its life with its trades', async () => {
        const trades = await lines(`${system.url}/bitstamp?channel=live_trades_btcusd&from=${past.from}&to=${past.to}&format=ndjson`);
        // A taker is one side of the trade and gone soon: its events are stored too.
        let wanted = null;
        for (const trade of trades.slice(5, 40)) {
            const id = trade.type === 0 ? trade.sell_order_id_str : trade.buy_order_id_str;
            const events = await lines(`${system.url}/orders/${id}?format=ndjson`);
            if (events[0]?.event === 'order_created') wanted = { id, events: events.length };
            if (wanted !== null) break;
        }
        assert.ok(wanted !== null, 'no trade whose order was captured');
        await open(browser, of('live_trades_btcusd', { order: 'asc' }), async (page) => {
            await settled(page);
            await page.click(`.events a:text-is("${wanted.id}") >> nth=0`);
            await page.waitForFunction(() => document.querySelector('dialog.order')?.dataset.events !== undefined);
            const { events, trades: count } = await page.evaluate(() => ({ ...document.querySelector('dialog.order').dataset }));
            assert.equal(Number(events), wanted.events);
            assert.ok(Number(count) >= 1);
            const said = await page.innerText('dialog.order');
            assert.ok(said.includes(wanted.id) && said.includes('order_created'), said);
            assert.match(page.url(), new RegExp(`id=${wanted.id}`));
            assert.deepEqual(await violations(page), []);
            await page.keyboard.press('Escape');
            await page.waitForFunction(() => !location.hash.includes('id='));
        });
    });

    test('a click that has begun survives the next drawing', async () => {
        await open(browser, of('live_trades_btcusd', { order: 'asc' }), async (page) => {
            await settled(page);
            const box = await page.locator('.events a').nth(8).boundingBox();
            await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
            await page.mouse.down();
            await page.evaluate(() => new Promise((resolve) => {
                document.querySelector('.events').scrollTop += 1;
                requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(resolve)));
            }));
            await page.mouse.up();
            await page.waitForSelector('dialog.order[open]');
        });
    });

    test('scrolling follows the tokens through thousands of events, each once', async () => {
        const asked = `channel=live_orders_btcusd&from=${past.from}&to=${past.to}`;
        const expected = (await (await fetch(`${system.url}/export?${asked}&format=csv&fields=id`)).text()).trim().split('\r\n').slice(1);
        assert.ok(expected.length > 5000, `${expected.length} events`);
        await open(browser, of('live_orders_btcusd', { order: 'asc', columns: 'id' }), async (page) => {
            await settled(page);
            const seen = new Map();
            const end = Date.now() + 180_000;
            for (let top = 0; seen.size < expected.length; ) {
                const drawn = await page.evaluate((top) => {
                    const host = document.querySelector('.events');
                    host.scrollTop = top;
                    return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve({
                        rows: [...host.querySelectorAll('tbody tr:not(.pad)')].map((row) => [Number(row.ariaRowIndex ?? row.getAttribute('aria-rowindex')), row.innerText]),
                        height: host.clientHeight, total: host.scrollHeight,
                    }))));
                }, top);
                for (const [index, id] of drawn.rows) seen.set(index, id.trim());
                // The rows before and behind those in sight were read too.
                top = Math.min(Math.max(...seen.keys()) * 24 - drawn.height / 2, drawn.total);
                assert.ok(Date.now() < end, `${seen.size} of ${expected.length} rows`);
            }
            assert.deepEqual([...seen].sort(([a], [b]) => a - b).map(([, id]) => id), expected);
            assert.equal(await page.textContent('.list .bar .muted'), `all ${expected.length}`);
        }, { viewport: { width: 1280, height: 1800 } });
    });

    test('a download is byte for byte what the API answers, and so is the curl line', async () => {
        await open(browser, of('live_trades_btcusd'), async (page) => {
            await settled(page);
            await page.click('button:text-is("Download")');
            for (const format of ['csv', 'ndjson']) {
                const [download] = await Promise.all([page.waitForEvent('download'), page.click(`.download a:text-is("${format.toUpperCase()}")`)]);
                const query = `channel=live_trades_btcusd&from=${past.from}&to=${past.to}&order=desc&format=${format}`;
                const fields = 'time,id,type,price_str,amount_str,buy_order_id,sell_order_id,received_at';
                const expected = await (await fetch(`${system.url}/export?${query}&fields=${fields}`)).text();
                assert.ok(expected.length > 1000);
                assert.equal(readFileSync(await download.path(), 'utf8'), expected);
            }
            await page.check('#every-column');
            const command = await page.textContent('.download code');
            const query = `channel=live_trades_btcusd&from=${past.from}&to=${past.to}&order=desc&format=csv`;
            const said = await run(command);
            assert.equal(said, await (await fetch(`${system.url}/export?${query}`)).text());
        });
    });

    test('an address shows the same view in a new tab', async () => {
        await open(browser, of('live_orders_btcusd', { zone: 'local', columns: 'time,id,price_str', order: 'asc', show: 'trades' }), async (page, context) => {
            await settled(page);
            const other = await context.newPage();
            await other.goto(page.url());
            await settled(other);
            assert.deepEqual(await chart(other), await chart(page));
            assert.equal((await chart(page)).kind, 'trades');
            assert.deepEqual(await rows(other), await rows(page));
            for (const part of ['.top .range', '.summary', '.events thead']) {
                assert.equal(await other.textContent(part), await page.textContent(part));
            }
        });
    });

    test('the dark theme follows the system, a switch, and is remembered', async () => {
        const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
        await open(browser, of('live_trades_btcusd'), async (page) => {
            await settled(page);
            assert.equal(await ground(page), 'rgb(13, 18, 24)');
            assert.deepEqual(await violations(page), []);
            await page.click('[aria-label="Light theme"]');
            assert.equal(await ground(page), 'rgb(243, 245, 247)');
            await page.reload();
            await settled(page);
            assert.equal(await ground(page), 'rgb(243, 245, 247)');
        }, { colorScheme: 'dark' });
    });

    test('nobody is shut out: no serious finding in the page and what it opens', async () => {
        await open(browser, of('live_trades_btcusd'), async (page) => {
            await settled(page);
            assert.deepEqual(await violations(page), []);
            for (const opener of ['.top .channel', '.top .range', 'button:text-is("Columns")', 'button:text-is("Download")']) {
                await page.click(opener);
                assert.deepEqual(await violations(page), [], opener);
                await page.keyboard.press('Escape');
            }
        });
    });

    test('it fits a telephone', async () => {
        await open(browser, of('live_orders_btcusd'), async (page) => {
            await settled(page);
            assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
            assert.ok(await page.locator('.events tbody tr').count() < 80, 'more rows than are in sight');
            assert.deepEqual(await violations(page), []);
            await page.click('.top .channel');
            const box = await page.locator('.picker').boundingBox();
            assert.ok(box.x >= 0 && box.x + box.width <= 360, JSON.stringify(box));
        }, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
    });

    test('a key is asked for once, kept in the tab, and sent as a header only', async () => {
        const locked = await proxy(system.url, { built: BUILT });
        locked.key = 'right';
        try {
            await open(browser, of('live_trades_btcusd').replace(api.url, locked.url), async (page) => {
                await page.waitForSelector('dialog.key');
                assert.deepEqual(await violations(page), []);
                await page.fill('#key', 'wrong');
                await page.keyboard.press('Enter');
                await page.waitForFunction(() => document.querySelector('#key-title')?.textContent.includes('refused'));
                await page.fill('#key', 'right');
                await page.keyboard.press('Enter');
                await settled(page);
                assert.equal(await page.locator('dialog.key').count(), 0);
                await page.reload();
                await settled(page);
                assert.equal(await page.locator('dialog.key').count(), 0);
                await page.click('button:text-is("Download")');
                const [download] = await Promise.all([page.waitForEvent('download'), page.click('.download a:text-is("CSV")')]);
                const address = await page.getAttribute('.download a:text-is("CSV")', 'href');
                const expected = await (await fetch(address, { headers: { 'x-api-key': 'right' } })).text();
                assert.equal(readFileSync(await download.path(), 'utf8'), expected);
                assert.ok(!page.url().includes('right'));
                assert.equal(await page.evaluate(() => localStorage.length), 0);
            }, { refused: (url) => url.startsWith(locked.url) });
            assert.ok(locked.seen.every(({ url }) => !url.includes('right')));
            assert.ok(locked.seen.some(({ key }) => key === 'right'));
        } finally {
            locked.close();
        }
    });

    test('an API that is busy or down is said in words and asked again, not before it wishes', async () => {
        const failing = await proxy(system.url, { built: BUILT });
        const problem = { type: 'store-busy', title: 'Store busy', status: 503, detail: 'DynamoDB is throttled', request_id: '1' };
        failing.fault = (_, response) => {
            response.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '3' });
            response.end(JSON.stringify(problem));
            return true;
        };
        try {
            await open(browser, of('live_trades_btcusd').replace(api.url, failing.url), async (page) => {
                await page.waitForFunction(() => document.querySelector('.trouble')?.innerText.includes('busy (503): DynamoDB is throttled'));
                assert.match(await page.textContent('.trouble'), /Next attempt in [1-3] s\./);
                const attempts = () => failing.seen.filter(({ url }) => url.startsWith('/channels'));
                await until('a second attempt', () => attempts().length >= 2);
                const [first, second] = attempts();
                assert.ok(second.at - first.at >= 2900, `${second.at - first.at} ms`);
                failing.fault = (_, response) => {
                    response.destroy();
                    return true;
                };
                await page.waitForFunction(() => document.querySelector('.trouble')?.innerText.includes('does not answer'));
                failing.fault = null;
                await page.click('.trouble button');
                await settled(page);
                await page.waitForSelector('.trouble', { state: 'hidden' });
                assert.ok((await rows(page)).length > 5);
            }, { refused: (url) => url.startsWith(failing.url) });
        } finally {
            failing.close();
        }
    });

    test('what the API refuses is said in its words', async () => {
        await open(browser, of('live_trades_nothing'), async (page) => {
            await page.waitForFunction(() => document.querySelector('.trouble')?.innerText.includes('live_trades_nothing was never captured'));
        });
    });

    test('a hundred thousand trades in view leave the page quick', async () => {
        const many = await proxy(system.url, { built: BUILT });
        const body = Array.from({ length: 100_000 }, (_, at) =>
            `${past.from + at * 500},${at + 1},${(84_000 + 20 * Math.sin(at / 3000) + (at % 7) / 10).toFixed(2)},0.0${1 + (at % 9)}000000,${at % 2}`);
        const csv = `nmicrotimestamp,id_str,price_str,amount_str,type\r\n${body.join('\r\n')}\r\n`;
        let sent = 0;
        many.fault = (request, response) => {
            if (!request.url.includes('format=csv')) return false;
            response.writeHead(200, { 'content-type': 'text/csv' });
            response.end(csv);
            sent = Date.now();
            return true;
        };
        try {
            await open(browser, of('live_trades_btcusd', { show: 'trades' }).replace(api.url, many.url), async (page) => {
                await page.waitForFunction(() => document.querySelector('.chart').dataset.count === '100000');
                await page.click('.top .channel');
                await page.waitForSelector('#channels li');
                console.log(`100,000 trades: drawn and a click answered ${Date.now() - sent} ms after they were sent`);
                await page.keyboard.press('Escape');
                await settled(page);
                console.log(`moving over 100,000 trades: ${JSON.stringify(await frames(page))}`);
            });
        } finally {
            many.close();
        }
    });

    test('pictures', { skip: SHOTS === null }, async () => {
        const view = { channel: 'live_orders_btcusd', last: '5m' };
        for (const [name, options] of [
            ['explorer-light', {}], ['explorer-dark', { colorScheme: 'dark' }],
            ['explorer-phone', { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 }],
        ]) {
            await open(browser, address(view), async (page) => {
                await settled(page);
                await page.waitForFunction(() => Number(document.querySelector('.live').dataset.newest) > 0);
                await page.waitForFunction(() => Number(document.querySelector('.chart').dataset.rates) >= 25);
                await shot(page, name);
            }, { timezoneId: 'UTC', ...options });
        }
    });
});

/** Moves the chart with the mouse for a second; returns how the frames came. */
async function frames(page) {
    const box = await page.locator('.chart').boundingBox();
    await page.evaluate(() => {
        globalThis.times = [];
        const note = (time) => {
            globalThis.times.push(time);
            globalThis.noting = requestAnimationFrame(note);
        };
        globalThis.noting = requestAnimationFrame(note);
    });
    await page.keyboard.down('Shift');
    await page.mouse.move(box.x + 300, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + 700, box.y + 60, { steps: 60 });
    const times = await page.evaluate(() => {
        cancelAnimationFrame(globalThis.noting);
        return globalThis.times;
    });
    await page.mouse.up();
    await page.keyboard.up('Shift');
    const gaps = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b);
    return { frames: times.length, perSecond: Math.round((1000 * gaps.length) / (times.at(-1) - times[0])), longestMs: Math.round(gaps.at(-1)) };
}

async function run(command) {
    const env = { ...process.env, no_proxy: '127.0.0.1' };
    return (await promisify(execFile)('sh', ['-c', command], { encoding: 'utf8', maxBuffer: 1 << 26, env })).stdout;
}
