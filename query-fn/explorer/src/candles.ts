/** Sums up candles of the API to longer ones, with exact digits. */

import { type Fields, micros, text } from './fields.ts';

export interface Candle {
    time: number;
    open: string;
    high: string;
    low: string;
    close: string;
    volume: string;
    bought: string;
    trades: number;
    skipped: number;
    state: string;
}

/** States of candles, the one that says most about a longer candle first. */
const STATES = ['expired', 'gap', 'unread', 'unknown', 'open', 'complete'];

/** Merges rows of `/candles`, in order of time, into candles of `step`. */
export function merged(rows: Fields[], step: number): Candle[] {
    const list: Candle[] = [];
    for (const row of rows) {
        const time = micros(row, 'time');
        const next: Candle = {
            time: time - (time % step), open: text(row, 'open'), high: text(row, 'high'), low: text(row, 'low'), close: text(row, 'close'),
            volume: text(row, 'volume'), bought: text(row, 'buy_volume'), trades: micros(row, 'trades'), skipped: micros(row, 'skipped'),
            state: text(row, 'state'),
        };
        const last = list.at(-1);
        if (last?.time === next.time) list[list.length - 1] = joined(last, next);
        else list.push(next);
    }
    return list;
}

function joined(a: Candle, b: Candle): Candle {
    return {
        time: a.time, open: a.open, close: b.close, volume: sum(a.volume, b.volume), bought: sum(a.bought, b.bought),
        high: Number(b.high) > Number(a.high) ? b.high : a.high, low: Number(b.low) < Number(a.low) ? b.low : a.low,
        trades: a.trades + b.trades, skipped: a.skipped + b.skipped,
        state: STATES.find((state) => state === a.state || state === b.state) ?? b.state,
    };
}

/** The exact sum of two decimals that are not negative. */
export function sum(a: string, b: string): string {
    const [left, right] = [a.split('.'), b.split('.')];
    const decimals = Math.max(left[1]?.length ?? 0, right[1]?.length ?? 0);
    const whole = ([units, fraction = '']: string[]) => BigInt(`${units}${fraction.padEnd(decimals, '0')}`);
    const digits = (whole(left) + whole(right)).toString().padStart(decimals + 1, '0');
    return decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}
