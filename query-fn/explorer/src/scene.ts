/** What the chart draws, as data of its series. */

import type { CandlestickData, HistogramData, LineData, Time, WhitespaceData } from 'lightweight-charts';

import type { Candle } from './candles.ts';
import { type Grid, slot } from './grid.ts';
import type { Palette } from './theme.ts';
import { offset, SECOND, type Zone } from './time.ts';
import type { Trade, Trades } from './trades.ts';

/** Events a second in a stretch of time. */
export interface Bucket { from: number; length: number; events: number }
export interface Quote { time: number; bid: number; ask: number; bidText: string; askText: string }

export interface Scene {
    from: number;
    to: number;
    zone: Zone;
    grid: Grid;
    /** `1 min`, or null where single trades are drawn. */
    interval: string | null;
    candles: Candle[];
    trades: Trades | null;
    buckets: Bucket[];
    quotes: Quote[];
}

/** The chart's time of a slot. The chart writes all times as if they were UTC, so those of another zone are shifted. */
export function timeOf(scene: Scene, index: number): Time {
    const time = scene.grid.start + index * scene.grid.step;
    return ((time + offset(scene.from, scene.zone)) / SECOND) as Time;
}

type Bar = { open: number; high: number; low: number; close: number; volume: number };

/** A bar for each slot with trades. Doubles: they only become pixels. */
function bars(scene: Scene): Map<number, Bar> {
    const found = new Map<number, Bar>();
    if (scene.trades === null) {
        for (const { time, open, high, low, close, volume } of scene.candles) {
            const bar = { open: Number(open), high: Number(high), low: Number(low), close: Number(close), volume: Number(volume) };
            found.set(slot(scene.grid, time), bar);
        }
        return found;
    }
    const { list, prices } = scene.trades;
    for (let at = scene.trades.from(scene.grid.start); at < list.length; at += 1) {
        const [trade, price] = [list[at] as Trade, prices[at] as number];
        const index = slot(scene.grid, trade.time);
        if (index >= scene.grid.count) break;
        const bar = found.get(index);
        const volume = Number(trade.amount);
        if (bar === undefined) found.set(index, { open: price, high: price, low: price, close: price, volume });
        else Object.assign(bar, { high: Math.max(bar.high, price), low: Math.min(bar.low, price), close: price, volume: bar.volume + volume });
    }
    return found;
}

export interface Series {
    bars: (CandlestickData | WhitespaceData)[];
    volumes: HistogramData[];
    rates: LineData[];
    bids: LineData[];
    asks: LineData[];
    /** Decimals of the prices. */
    decimals: number;
}

export function series(scene: Scene, palette: Palette): Series {
    const drawn: Series = { bars: [], volumes: [], rates: [], bids: [], asks: [], decimals: decimals(scene) };
    const found = bars(scene);
    for (let index = 0; index < scene.grid.count; index += 1) {
        const time = timeOf(scene, index);
        const bar = found.get(index);
        if (bar === undefined) {
            drawn.bars.push({ time });
            continue;
        }
        const { volume, ...prices } = bar;
        drawn.bars.push({ time, ...prices });
        drawn.volumes.push({ time, value: volume, color: bar.close >= bar.open ? palette.buy : palette.sell });
    }
    drawn.rates = rates(scene);
    const quotes = lastOfSlots(scene);
    drawn.bids = quotes.map(([index, quote]) => ({ time: timeOf(scene, index), value: quote.bid }));
    drawn.asks = quotes.map(([index, quote]) => ({ time: timeOf(scene, index), value: quote.ask }));
    return drawn;
}

function rates(scene: Scene): LineData[] {
    const drawn = new Map<number, number>();
    for (const bucket of scene.buckets) {
        const value = bucket.events / (bucket.length / SECOND);
        const [first, last] = [slot(scene.grid, bucket.from), slot(scene.grid, bucket.from + bucket.length - 1)];
        for (const index of [Math.max(first, 0), Math.min(last, scene.grid.count - 1)]) {
            if (index >= first && index <= last) drawn.set(index, value);
        }
    }
    return [...drawn].sort(([a], [b]) => a - b).map(([index, value]) => ({ time: timeOf(scene, index), value }));
}

function lastOfSlots(scene: Scene): [number, Quote][] {
    const last = new Map<number, Quote>();
    for (const quote of scene.quotes) {
        const index = slot(scene.grid, quote.time);
        if (index >= 0 && index < scene.grid.count) last.set(index, quote);
    }
    return [...last].sort(([a], [b]) => a - b);
}

/** The most decimals among the first prices: enough to write a price axis. */
function decimals(scene: Scene): number {
    const first = scene.trades?.list.slice(0, 200).map((trade) => trade.price) ?? scene.candles.slice(0, 200).map((candle) => candle.close);
    return Math.min(8, Math.max(0, ...first.map((price) => price.split('.')[1]?.length ?? 0)));
}
