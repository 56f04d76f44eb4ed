// Starts the local demo with what the tests need: thousands of events, a gap, books, and events still coming.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CHANNELS = 'live_trades_btcusd,live_orders_btcusd,order_book_btcusd,live_trades_ethusd';

/** Waits until `condition` returns something true, and returns it. */
export async function until(what, condition, seconds = 180) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
        const found = await condition();
        if (found) return found;
        if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

export async function lines(url) {
    const response = await fetch(url);
    // A channel is unknown until it was subscribed.
    if (response.status === 404) return [];
    if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
    return (await response.text()).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));
}

async function run(binary, data, rate) {
    const process = spawn(binary, ['demo', '--rate', String(rate), '--listen', '127.0.0.1:0', '--data', data, '--channels', CHANNELS], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    process.stdout.on('data', (text) => { said += text; });
    const stop = async () => {
        const exit = once(process, 'exit');
        if (process.exitCode === null && process.kill('SIGTERM')) await exit;
    };
    try {
        const url = await until('the demo serves', () => /served on (http:\S+?);/.exec(said)?.[1]);
        return { url, stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

/** Runs the demo once, at this multiple of the usual rates. */
export async function demoOnce(binary, rate) {
    const data = mkdtempSync(join(tmpdir(), 'explorer-'));
    const running = await run(binary, data, rate);
    const stop = async () => {
        await running.stop();
        rmSync(data, { recursive: true, force: true });
    };
    return { url: running.url, stop };
}

/**
 * Runs the demo, stops it, and runs it again. The ledger calls the time between the two runs a gap or unknown, by what the spool still held;
 * `gap` is that time as a gap.
 */
export async function demo(binary) {
    const data = mkdtempSync(join(tmpdir(), 'explorer-'));
    let running = await run(binary, data, 2);
    const stop = async () => {
        await running.stop();
        rmSync(data, { recursive: true, force: true });
    };
    try {
        const { url } = running;
        await until('six thousand order events', async () => (await lines(`${url}/count?channel=live_orders_btcusd&format=ndjson`))[0]?.items >= 6000);
        await running.stop();
        const stopped = Date.now() * 1000;
        running = await run(binary, data, 0.2);
        const order = `${running.url}/bitstamp?channel=live_orders_btcusd&format=ndjson&limit=1`;
        const [after] = await until('events of the second run', async () => {
            const found = await lines(`${order}&from=${stopped}`);
            return found.length > 0 ? found : null;
        });
        const [last] = await lines(`${order}&to=${stopped}&order=desc`);
        const gap = { channel: 'live_orders_btcusd', state: 'gap', from: last.nmicrotimestamp + 1, through: after.nmicrotimestamp - 1, reason: 'the daemon was down' };
        return { url: running.url, gap, stop };
    } catch (error) {
        await stop();
        throw error;
    }
}
