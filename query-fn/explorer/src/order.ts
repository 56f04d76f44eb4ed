/** An order's life: its events, and the trades that name it. */

import { type Api, isAborted } from './api.ts';
import type { Channels } from './channels.ts';
import { cell, meaning } from './columns.ts';
import { button, element } from './dom.ts';
import { type Fields, micros, text } from './fields.ts';
import { texts } from './texts.ts';
import { duration, MINUTE, SECOND, type Zone } from './time.ts';

const EVENTS = ['time', 'since', 'event', 'order_type', 'price_str', 'amount_str', 'amount_traded'];
const TRADES = ['time', 'id', 'type', 'price_str', 'amount_str', 'buy_order_id', 'sell_order_id'];
/** A life of this length is searched for trades as a whole. */
const SHORT_LIFE = 10 * MINUTE;
/** Time searched around a change of an order that lived longer. */
const AROUND = 2 * SECOND;
const MOST_EVENTS = 5000;
const MOST_CHANGES = 40;

export interface Actions {
    closed: () => void;
    showTime: (from: number, to: number) => void;
}

export class OrderDialog {
    readonly host = element('dialog', { class: 'order', 'aria-labelledby': 'order-title' });
    private abort = new AbortController();
    private openId: string | null = null;

    constructor(private readonly api: Api, private readonly actions: Actions) {
        this.host.addEventListener('close', () => {
            this.abort.abort();
            if (this.openId !== null) actions.closed();
            this.openId = null;
        });
        this.host.addEventListener('click', (event) => {
            if (event.target === this.host) this.host.close();
        });
    }

    /** Opens the dialog for an order, or closes it. */
    show(id: string | null, channels: Channels, zone: Zone): void {
        if (id === this.openId) return;
        this.openId = id;
        this.abort.abort();
        if (id === null) {
            this.host.close();
            return;
        }
        this.abort = new AbortController();
        this.frame(id, element('p', { role: 'status' }, texts.loading));
        if (!this.host.open) this.host.showModal();
        this.fill(id, channels, zone, this.abort.signal).catch((error: unknown) => {
            if (isAborted(error) || this.openId !== id) return;
            this.frame(id, element('p', { role: 'alert' }, texts.refused(error instanceof Error ? error.message : String(error))));
        });
    }

    private frame(id: string, ...content: (Node | null)[]): void {
        const close = button('×', { class: 'icon', 'aria-label': texts.close_, title: texts.close_, onclick: () => this.host.close() });
        this.host.replaceChildren(element('div', { class: 'frame' }, element('header', {}, element('h2', { id: 'order-title' }, texts.order(id)), close), ...content));
    }

    private async fill(id: string, channels: Channels, zone: Zone, signal: AbortSignal): Promise<void> {
        const read = await this.api.all(`orders/${id}`, {}, signal, MOST_EVENTS);
        // A trade may have the number of an order as its own.
        const rows = read.rows.filter((row) => text(row, 'event').startsWith('order_'));
        const [from, to] = [micros(rows[0] ?? new Map(), 'nmicrotimestamp'), micros(rows.at(-1) ?? new Map(), 'nmicrotimestamp')];
        const trades = await this.trades(id, rows, channels, signal);
        const show = button(texts.showInChart, { onclick: () => {
            const margin = Math.max(SECOND, Math.round((to - from) / 10));
            this.actions.showTime(from - margin, to + margin);
        } });
        this.frame(id,
            element('p', { class: 'line' }, texts.orderSummary(rows.length, trades.rows.length, to - from), ' ', show),
            element('h3', {}, texts.orderEvents), table(rows, EVENTS, zone),
            element('h3', {}, texts.orderTrades),
            trades.rows.length > 0 ? table(trades.rows, TRADES, zone) : element('p', {}, texts.noOrderTrades),
            trades.isPart ? element('p', { class: 'muted' }, texts.tradesPartly) : null);
        this.host.dataset.events = String(rows.length);
        this.host.dataset.trades = String(trades.rows.length);
    }

    /** No index leads from an order to its trades: they are found by time, in the trades of its market. */
    private async trades(id: string, rows: Fields[], channels: Channels, signal: AbortSignal): Promise<{ rows: Fields[]; isPart: boolean }> {
        const own = channels.find(text(rows[0] ?? new Map(), 'channel'));
        const channel = own === null ? null : channels.beside(own, 'live_trades');
        if (channel === null || rows.length === 0) return { rows: [], isPart: false };
        const times = rows.map((row) => micros(row, 'nmicrotimestamp'));
        const [first, last] = [times[0] as number, times.at(-1) as number];
        const isPart = last - first > SHORT_LIFE;
        const changes = rows.flatMap((row, at) => {
            const isChange = at > 0 && text(row, 'amount_traded') !== text(rows[at - 1] as Fields, 'amount_traded');
            return isChange ? [times[at] as number] : [];
        });
        const windows = isPart ? changes.slice(0, MOST_CHANGES).map((time) => [time - AROUND, time + AROUND]) : [[first - AROUND, last + AROUND]];
        const found = new Map<string, Fields>();
        for (const [from, to] of windows as [number, number][]) {
            const read = await this.api.all('bitstamp', { channel: channel.name, from, to }, signal);
            for (const row of read.rows) {
                if (text(row, 'buy_order_id') === id || text(row, 'sell_order_id') === id) found.set(text(row, 'id'), row);
            }
        }
        return { rows: [...found.values()], isPart };
    }
}

function table(rows: Fields[], columns: string[], zone: Zone): HTMLElement {
    let before: number | null = null;
    const body = rows.map((row) => {
        const time = micros(row, 'nmicrotimestamp');
        const since = before === null ? '' : `+${duration(time - before)}`;
        before = time;
        return element('tr', {}, ...columns.map((name) => {
            const value = name === 'since' ? since : cell(row, name, zone);
            const said = meaning(name, value);
            return element('td', {}, value, said === '' ? null : element('small', {}, ` ${said}`));
        }));
    });
    const head = element('tr', {}, ...columns.map((name) => element('th', { scope: 'col' }, name === 'since' ? texts.since : name)));
    return element('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': columns === TRADES ? texts.orderTrades : texts.orderEvents },
        element('table', {}, element('thead', {}, head), element('tbody', {}, ...body)));
}
