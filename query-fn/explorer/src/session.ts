/** One view being shown: reads it, draws it, and, where it follows, keeps it up to date. It ends when another view takes its place. */

import { ends, isLive, type View } from './address.ts';
import { type Api, isAborted } from './api.ts';
import { merged } from './candles.ts';
import type { Channel, Channels } from './channels.ts';
import type { Chart } from './chart.ts';
import { type Lane, readLane, type Strip } from './coverage.ts';
import type { Events } from './events.ts';
import { type Fields, micros, text } from './fields.ts';
import { candles, grid, showsTrades, tradeStep } from './grid.ts';
import { MOST_TRADES, type Rates, readCandles, readQuotes, readTrades } from './load.ts';
import type { Scene } from './scene.ts';
import { follow, type Way } from './tail.ts';
import { texts } from './texts.ts';
import { HOUR, MINUTE } from './time.ts';
import { Trades } from './trades.ts';

/** Counting reads every event, so a longer range is counted on request only. */
export const COUNTED_UNASKED = 15 * MINUTE;
const MOST_COUNTED = 24 * HOUR;
const LONGEST_WITH_BOOKS = 5 * MINUTE;
const TICK = 1000;
/** Ticks between two looks at candles, and at coverage, rates and books. */
const CANDLES_EVERY = 3;
const REST_EVERY = 5;

export interface Parts { api: Api; channels: Channels; chart: Chart; strip: Strip; events: Events; rates: Rates }

export interface Told {
    /** A sentence over the chart; empty if there is nothing to say. */
    note: (said: string) => void;
    way: (way: Way) => void;
    /** The time of the newest event of the chosen channel. */
    newest: (time: number) => void;
    failed: (error: unknown) => void;
    ends: (from: number, to: number) => void;
    busy: (isBusy: boolean) => void;
}

export class Session {
    private readonly end = new AbortController();
    private readonly signal = this.end.signal;
    private readonly tradesOf: Channel | null;
    private readonly ordersOf: Channel | null;
    private readonly booksOf: Channel | null;
    private scene: Scene;
    /** The API's candles, from which those of the scene are summed up. */
    private summed: Fields[] = [];
    private lanes: Lane[] = [];
    private timer = 0;
    private ticks = 0;
    private isDue = false;
    private readonly working = new Set<string>();
    /** False until prices came: the view before is moved meanwhile, not emptied. */
    private hasPrices = false;
    private countsRates: boolean;

    constructor(private readonly parts: Parts, private readonly view: View, private readonly channel: Channel, private readonly told: Told) {
        const { channels } = parts;
        const family = (name: string) => (channel.family === name ? channel : channels.beside(channel, name));
        this.tradesOf = family('live_trades');
        this.ordersOf = family('live_orders');
        this.booksOf = family('order_book') ?? family('detail_order_book');
        const { from, to } = ends(view.span);
        const isTrades = showsTrades(to - from, view.mode);
        this.countsRates = to - from <= COUNTED_UNASKED;
        this.scene = { from, to, zone: view.zone, grid: grid(from, to, 1), interval: isTrades ? null : candles(to - from).name, candles: [], trades: isTrades ? new Trades() : null, buckets: [], quotes: [] };
        this.move();
    }

    /** True if the rate of order events could be counted, but is not without being asked for. */
    get mayCount(): boolean {
        const { from, to } = this.scene;
        return this.ordersOf !== null && !this.countsRates && to - from <= MOST_COUNTED;
    }

    start(): void {
        const { chart } = this.parts;
        const { from, to } = this.scene;
        chart.view(from, to);
        this.told.ends(from, to);
        this.told.note(this.tradesOf === null ? texts.noTradesChannel : '');
        this.told.busy(true);
        const jobs = [this.table(), this.prices(), this.coverage(), this.quotes()];
        // Counting takes longest, and nothing waits for it.
        this.count(this.countsRates);
        void Promise.allSettled(jobs.map((job) => job.catch((error: unknown) => this.fail(error)))).then(() => {
            if (this.signal.aborted) return;
            this.told.busy(false);
            if (isLive(this.view)) this.live(to);
        });
    }

    stop(): void {
        this.end.abort();
        clearInterval(this.timer);
    }

    /** Counts order events, if they are wanted. */
    count(isWanted: boolean): void {
        this.countsRates = isWanted;
        this.unlessBusy('rate', () => this.rate());
    }

    /** Shows the same data in another zone. */
    present(view: View): void {
        this.scene.zone = view.zone;
        this.parts.strip.show(this.lanes, view.zone);
        this.drawSoon();
    }

    private fail(error: unknown): void {
        if (!isAborted(error) && !this.signal.aborted) this.told.failed(error);
    }

    private async prices(): Promise<void> {
        const { scene, tradesOf } = this;
        if (tradesOf === null) return this.priced();
        const { api } = this.parts;
        if (scene.trades === null) {
            this.summed = await readCandles(api, tradesOf, this.asked, scene.from, scene.to, this.signal);
        } else {
            const isCut = await readTrades(api, tradesOf, scene.from, scene.to, scene.trades, () => this.priced(), this.signal);
            if (isCut) this.told.note(texts.tooManyTrades(MOST_TRADES));
        }
        if (this.summed.length === 0 && (scene.trades?.list.length ?? 0) === 0 && !isLive(this.view)) this.told.note(texts.noTrades);
        this.priced();
    }

    private priced(): void {
        this.hasPrices = true;
        this.drawSoon();
    }

    private async coverage(): Promise<void> {
        const { api, channels, strip } = this.parts;
        const { from, to } = this.scene;
        const each = channels.ofMarket(this.channel).map((channel) => readLane(api, channel, from, to, this.signal));
        this.lanes = await Promise.all(each);
        strip.show(this.lanes, this.scene.zone);
    }

    private async rate(): Promise<void> {
        const { from, to } = this.scene;
        if (this.ordersOf === null || !this.countsRates) return;
        await this.parts.rates.read(this.ordersOf, from, to, (buckets) => {
            if (this.signal.aborted) return;
            this.scene.buckets = buckets;
            this.drawSoon();
        }, this.signal);
    }

    private async quotes(): Promise<void> {
        const { from, to } = this.scene;
        if (this.booksOf === null || to - from > LONGEST_WITH_BOOKS) return;
        this.scene.quotes = await readQuotes(this.parts.api, this.booksOf, from, to, this.signal);
        this.drawSoon();
    }

    private async table(): Promise<void> {
        const { from, to } = this.scene;
        const { columns, zone } = this.view;
        const order = isLive(this.view) ? 'desc' : this.view.order;
        await this.parts.events.load({ channel: this.channel, from, to, order, columns, zone, isLive: isLive(this.view) });
    }

    private live(since: number): void {
        const wanted = new Set([this.channel.name]);
        if (this.tradesOf !== null && this.scene.trades !== null) wanted.add(this.tradesOf.name);
        const listener = { way: this.told.way, events: (rows: Fields[], lines: string[]) => this.arrived(rows, lines) };
        follow(this.parts.api, [...wanted], since, listener, this.signal).catch((error: unknown) => this.fail(error));
        this.timer = window.setInterval(() => this.tick(), TICK);
    }

    private arrived(rows: Fields[], lines: string[]): void {
        const own = rows.flatMap((row, at) => (text(row, 'channel') === this.channel.name ? [at] : []));
        this.parts.events.add(own.map((at) => rows[at] as Fields), own.map((at) => lines[at] as string));
        const newest = Math.max(...own.map((at) => micros(rows[at] as Fields, 'nmicrotimestamp')));
        if (own.length > 0) this.told.newest(newest);
        const { trades } = this.scene;
        if (trades === null) return;
        for (const row of rows) {
            if (text(row, 'event') !== 'trade' || text(row, 'channel') !== this.tradesOf?.name) continue;
            trades.add({ time: micros(row, 'nmicrotimestamp'), id: text(row, 'id'), price: text(row, 'price_str'), amount: text(row, 'amount_str'), isBuy: text(row, 'type') === '0' });
        }
        this.drawSoon();
    }

    private tick(): void {
        this.ticks += 1;
        Object.assign(this.scene, ends(this.view.span));
        this.move();
        this.told.ends(this.scene.from, this.scene.to);
        this.drawSoon();
        if (this.ticks % CANDLES_EVERY === 0 && this.scene.trades === null) this.unlessBusy('candles', () => this.newCandles());
        if (this.ticks % REST_EVERY !== 0) return;
        this.unlessBusy('coverage', () => this.coverage());
        this.unlessBusy('rate', () => this.rate());
        this.unlessBusy('quotes', () => this.quotes());
    }

    /** Starts a job unless the last one of its name is still at work: a slow API is not asked ever more. */
    private unlessBusy(name: string, job: () => Promise<void>): void {
        if (this.working.has(name)) return;
        this.working.add(name);
        job().catch((error: unknown) => this.fail(error)).finally(() => this.working.delete(name));
    }

    /** Reads the last candles again: the API sums them up exactly. */
    private async newCandles(): Promise<void> {
        const { scene, tradesOf } = this;
        if (tradesOf === null) return;
        const last = this.summed.at(-1);
        const from = last === undefined ? scene.from : Math.max(scene.from, micros(last, 'time') - scene.grid.step);
        const rows = await readCandles(this.parts.api, tradesOf, this.asked, from - (from % scene.grid.step), scene.to, this.signal);
        const first = rows[0] === undefined ? Infinity : micros(rows[0], 'time');
        this.summed = [...this.summed.filter((row) => micros(row, 'time') < first), ...rows];
        this.drawSoon();
    }

    /** The interval of `/candles` that the scene needs. */
    private get asked(): string {
        return candles(this.scene.to - this.scene.from).asked;
    }

    /** Lays the slots over the present range and forgets what lies before it. */
    private move(): void {
        const { scene } = this;
        const { from, to } = scene;
        scene.grid = grid(from, to, scene.trades === null ? candles(to - from).step : tradeStep(to - from));
        this.summed = this.summed.filter((row) => micros(row, 'time') >= scene.grid.start);
        scene.trades?.dropBefore(from);
    }

    private drawSoon(): void {
        if (this.isDue || !this.hasPrices) return;
        this.isDue = true;
        requestAnimationFrame(() => {
            this.isDue = false;
            if (this.signal.aborted) return;
            if (this.scene.trades === null) this.scene.candles = merged(this.summed, this.scene.grid.step);
            this.parts.chart.show(this.scene);
        });
    }
}
