/** Reads what the chart draws. */

import type { Api } from './api.ts';
import type { Channel } from './channels.ts';
import { type Fields, micros, text } from './fields.ts';
import { roundStep } from './grid.ts';
import type { Bucket, Quote } from './scene.ts';
import { now, SECOND } from './time.ts';
import { TRADE_FIELDS, Trades } from './trades.ts';

/** The most single trades in one view. */
export const MOST_TRADES = 100_000;
const TRADE_PAGE = 10_000;
const MOST_QUOTES = 300;
/** Bars of the rate of order events. */
const BUCKETS = 40;
const AT_ONCE = 4;
/** Events become readable so late. */
const SETTLED = 3 * SECOND;

export async function readCandles(api: Api, channel: Channel, interval: string, from: number, to: number, signal: AbortSignal): Promise<Fields[]> {
    const { rows } = await api.all('candles', { channel: channel.name, interval, from, to }, signal);
    return rows;
}

/** Reads single trades; `grown` is called after each page. Returns true if the range has more than are drawn. */
export async function readTrades(api: Api, channel: Channel, from: number, to: number, into: Trades, grown: () => void, signal: AbortSignal): Promise<boolean> {
    let token: string | null = null;
    do {
        const asked = { channel: channel.name, from, to, fields: TRADE_FIELDS, format: 'csv', limit: TRADE_PAGE, ExclusiveStartKey: token };
        const response = await api.get(api.address('bitstamp', asked), {}, signal);
        into.addCsv(await response.text());
        token = response.headers.get('last-evaluated-key');
        grown();
    } while (token !== null && into.list.length < MOST_TRADES);
    return token !== null;
}

/** Counts events in stretches of time; remembers the stretches that are over. */
export class Rates {
    private readonly counted = new Map<string, Bucket>();

    constructor(private readonly api: Api) {}

    /** Calls `grown` with the stretches counted so far. */
    async read(channel: Channel, from: number, to: number, grown: (buckets: Bucket[]) => void, signal: AbortSignal): Promise<void> {
        const length = roundStep(to - from, BUCKETS);
        const end = Math.min(to, now() - SETTLED);
        const starts: number[] = [];
        for (let start = Math.ceil(from / length) * length; start + length <= end; start += length) starts.push(start);
        const key = (start: number) => `${channel.name} ${start} ${length}`;
        const all = () => starts.flatMap((start) => this.counted.get(key(start)) ?? []);
        const missing = starts.filter((start) => !this.counted.has(key(start)));
        grown(all());
        const worker = async () => {
            for (let start = missing.pop(); start !== undefined; start = missing.pop()) {
                const { rows } = await this.api.all('count', { channel: channel.name, from: start, to: start + length - 1 }, signal);
                const events = Number(text(rows.at(-1) ?? new Map(), 'items'));
                this.counted.set(key(start), { from: start, length, events });
                grown(all());
            }
        };
        await Promise.all(Array.from({ length: AT_ONCE }, worker));
    }
}

/** Reads the best bid and ask of stored books. */
export async function readQuotes(api: Api, channel: Channel, from: number, to: number, signal: AbortSignal): Promise<Quote[]> {
    const asked = { channel: channel.name, from, to, order: 'desc', limit: MOST_QUOTES, fields: 'nmicrotimestamp,bids,asks' };
    const { rows } = await api.page('bitstamp', asked, signal);
    return rows.reverse().flatMap((row) => {
        const [bidText, askText] = [best(row, 'bids'), best(row, 'asks')];
        if (bidText === null || askText === null) return [];
        return [{ time: micros(row, 'nmicrotimestamp'), bid: Number(bidText), ask: Number(askText), bidText, askText }];
    });
}

/** The price of a book's first level. */
function best(row: Fields, side: string): string | null {
    return /^\s*\[\s*\[\s*"?([\d.]+)/.exec(row.get(side) ?? '')?.[1] ?? null;
}
