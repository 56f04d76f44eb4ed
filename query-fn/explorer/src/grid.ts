/** Slots of equal length that the chart counts time in: so a pixel is the same time everywhere, also where nothing was traded. */

import { DAY, HOUR, MINUTE, SECOND } from './time.ts';

export interface Grid {
    /** The beginning of the first slot. */
    start: number;
    /** The length of a slot. */
    step: number;
    count: number;
}

/** Lengths of candles, and the interval of `/candles` that each is summed up from. */
const CANDLES: [string, number, string][] = [
    ['1 s', SECOND, '1s'], ['5 s', 5 * SECOND, '1s'], ['1 min', MINUTE, '1m'], ['5 min', 5 * MINUTE, '5m'], ['15 min', 15 * MINUTE, '5m'],
    ['1 h', HOUR, '1h'], ['4 h', 4 * HOUR, '1h'], ['1 d', DAY, '1d'],
];
const MOST_CANDLES = 400;
const MOST_SLOTS = 1200;
/** The longest range that shows single trades unless they are asked for. */
const SINGLE_TRADES = 5 * MINUTE;
/** The shortest range that has candles to show. */
const FEWEST_CANDLES = 10 * SECOND;

export function showsTrades(length: number, mode: 'auto' | 'candles' | 'trades'): boolean {
    return mode === 'trades' || length < FEWEST_CANDLES || (mode === 'auto' && length <= SINGLE_TRADES);
}

/** The shortest candles with which the range stays readable. */
export function candles(length: number): { name: string; step: number; asked: string } {
    const fitting = CANDLES.find(([, step]) => length / step <= MOST_CANDLES) ?? CANDLES.at(-1);
    const [name, step, asked] = fitting as [string, number, string];
    return { name, step, asked };
}

const ROUND = [1, 2, 5, 10, 15, 20, 30].map((count) => count * SECOND)
    .concat([1, 2, 5, 10, 15, 30].map((count) => count * MINUTE))
    .concat([1, 2, 3, 6, 12, 24].map((count) => count * HOUR));

/** The shortest round length that `length` has at most `most` of. */
export function roundStep(length: number, most: number): number {
    for (let power = 1; power < SECOND; power *= 10) {
        for (const digit of [1, 2, 5]) {
            if (length / (digit * power) <= most) return digit * power;
        }
    }
    return ROUND.find((step) => length / step <= most) ?? DAY * Math.ceil(length / DAY / most);
}

/** The slots in which single trades lie. */
export function tradeStep(length: number): number {
    return roundStep(length, MOST_SLOTS);
}

export function grid(from: number, to: number, step: number): Grid {
    const start = Math.floor(from / step) * step;
    return { start, step, count: Math.floor((to - start) / step) + 1 };
}

export function slot(of: Grid, time: number): number {
    return Math.floor((time - of.start) / of.step);
}
