/** The table of events: pages by token as it is scrolled, and only the rows in sight as elements. */

import { type Api, isAborted, type Page } from './api.ts';
import type { Channel } from './channels.ts';
import { cell, isBuy, known, meaning, orderOf, usual } from './columns.ts';
import { element } from './dom.ts';
import { type Fields, micros } from './fields.ts';
import { texts } from './texts.ts';
import type { Zone } from './time.ts';

/** Pixels; style.css has the same. */
const ROW = 24;
const FIRST_PAGE = 200;
const PAGE = 1000;
/** Rows in sight of the end that start the next page. */
const AHEAD = 300;
const SPARE = 12;
/** The most rows that a live table keeps. */
const MOST_LIVE = 20_000;
/** Widest column, characters. */
const WIDEST = 44;

export interface Query {
    channel: Channel;
    from: number;
    to: number;
    order: 'asc' | 'desc';
    columns: string[] | null;
    zone: Zone;
    isLive: boolean;
}

interface Row { fields: Fields; line: string; time: number }

export class Events {
    readonly host = element('div', { class: 'events', tabindex: 0, role: 'region', 'aria-label': texts.events });
    private readonly columns = element('colgroup');
    private readonly head = element('tr');
    private readonly body = element('tbody');
    private readonly table = element('table', {}, this.columns, element('thead', {}, this.head), this.body);
    private readonly empty = element('p', { class: 'empty', hidden: true }, texts.noEvents);
    private query: Query | null = null;
    private rows: Row[] = [];
    /** The rows that are drawn, between the space of those before and behind them. */
    private drawn = new Map<Row, HTMLElement>();
    /** Columns and zone of what is drawn. */
    private form = '';
    private readonly before = pad();
    private readonly behind = pad();
    private seen = new Set<string>();
    private next: string | null = null;
    private abort = new AbortController();
    private isLoading = false;
    private isDue = false;

    constructor(
        private readonly api: Api,
        /** The address that opens an order. */
        private readonly orderAddress: (id: string) => string,
        private readonly changed: (count: number, isAll: boolean) => void,
        private readonly failed: (error: unknown) => void,
    ) {
        this.body.append(this.before, this.behind);
        this.host.append(this.table, this.empty);
        this.host.addEventListener('scroll', () => this.drawSoon());
        new ResizeObserver(() => this.drawSoon()).observe(this.host);
    }

    /** The columns in sight. */
    get shown(): string[] {
        return this.query === null ? [] : (this.query.columns ?? usual(this.query.channel.family));
    }

    /** Every column of what is loaded. */
    get known(): string[] {
        const sample = this.rows.slice(0, 500).map((row) => row.fields);
        return this.query === null ? [] : known(this.query.channel.family, sample);
    }

    /** Reads the beginning of a range; nothing of the old one stays. */
    async load(query: Query): Promise<void> {
        this.abort.abort();
        this.abort = new AbortController();
        this.query = query;
        this.rows = [];
        this.seen.clear();
        this.next = null;
        this.isLoading = false;
        this.host.scrollTop = 0;
        this.empty.hidden = true;
        await this.page(FIRST_PAGE);
    }

    /** Shows the same events in other columns or another zone. */
    present(columns: string[] | null, zone: Zone): void {
        if (this.query === null) return;
        this.query = { ...this.query, columns, zone };
        this.layOut();
        this.draw();
    }

    /** Adds events that came since, each once. */
    add(rows: Fields[], lines: string[]): void {
        const { query } = this;
        if (query === null || !query.isLive) return;
        let added = 0;
        rows.forEach((fields, at) => {
            const line = lines[at] as string;
            if (this.seen.has(line)) return;
            const time = micros(fields, 'nmicrotimestamp');
            if (time < query.from) return;
            this.seen.add(line);
            let place = 0;
            while (place < this.rows.length && (this.rows[place] as Row).time > time) place += 1;
            this.rows.splice(place, 0, { fields, line, time });
            added += 1;
        });
        if (added === 0) return;
        // What somebody reads stays where it is.
        if (this.host.scrollTop > ROW) this.host.scrollTop += added * ROW;
        for (const row of this.rows.splice(MOST_LIVE)) {
            this.seen.delete(row.line);
            this.next = null;
        }
        this.tell();
    }

    private async page(limit: number): Promise<void> {
        const { query } = this;
        if (query === null || this.isLoading) return;
        const { signal } = this.abort;
        this.isLoading = true;
        const { channel, from, to, order } = query;
        try {
            const asked = { channel: channel.name, from, to, order, limit, ExclusiveStartKey: this.next };
            const page: Page = await this.api.page('bitstamp', asked, signal);
            if (signal.aborted) return;
            page.rows.forEach((fields, at) => {
                const line = page.lines[at] as string;
                if (this.seen.has(line)) return;
                this.seen.add(line);
                this.rows.push({ fields, line, time: micros(fields, 'nmicrotimestamp') });
            });
            this.next = page.next;
            this.isLoading = false;
            this.tell();
        } catch (error) {
            if (isAborted(error) || signal.aborted) return;
            this.isLoading = false;
            this.failed(error);
        }
    }

    private tell(): void {
        this.layOut();
        this.draw();
        this.empty.hidden = this.rows.length > 0;
        this.changed(this.rows.length, this.next === null);
        this.host.dataset.rows = String(this.rows.length);
    }

    /** Sets the widths: by the longest of the first cells, so that scrolling moves no column. */
    private layOut(): void {
        const { query } = this;
        if (query === null) return;
        const sample = this.rows.slice(0, 100);
        const widths = this.shown.map((name) => {
            const longest = Math.max(name.length, ...sample.map((row) => {
                const value = cell(row.fields, name, query.zone);
                const said = meaning(name, value);
                return value.length + (said === '' ? 0 : said.length + 1);
            }));
            return Math.min(longest, WIDEST) + 3;
        });
        this.columns.replaceChildren(...widths.map((width) => {
            const column = element('col');
            column.style.width = `${width}ch`;
            return column;
        }));
        this.head.replaceChildren(...this.shown.map((name) => element('th', { scope: 'col', class: isNumber(name) ? 'number' : null }, name)));
        this.table.style.width = `max(100%, ${widths.reduce((sum, width) => sum + width, 0)}ch)`;
        this.table.setAttribute('aria-rowcount', String(this.next === null ? this.rows.length + 1 : -1));
    }

    private drawSoon(): void {
        if (this.isDue) return;
        this.isDue = true;
        requestAnimationFrame(() => {
            this.isDue = false;
            this.draw();
        });
    }

    private draw(): void {
        const { query } = this;
        if (query === null) return;
        const first = Math.max(0, Math.floor(this.host.scrollTop / ROW) - SPARE);
        const end = Math.min(this.rows.length, first + Math.ceil(this.host.clientHeight / ROW) + 2 * SPARE);
        const rows = this.rows.slice(first, end);
        const form = JSON.stringify([this.shown, query.zone]);
        const wanted = new Set(form === this.form ? rows : []);
        this.form = form;
        for (const [row, drawn] of this.drawn) {
            if (wanted.has(row)) continue;
            drawn.remove();
            this.drawn.delete(row);
        }
        // A row that stays is not touched: a click on it that has begun would be lost.
        let last: Element = this.before;
        rows.forEach((row, at) => {
            const drawn = this.drawn.get(row) ?? this.row(row, query);
            this.drawn.set(row, drawn);
            drawn.setAttribute('aria-rowindex', String(first + at + 2));
            if (last.nextElementSibling !== drawn) last.after(drawn);
            last = drawn;
        });
        this.before.style.height = `${first * ROW}px`;
        this.behind.style.height = `${(this.rows.length - end) * ROW}px`;
        if (this.next !== null && end > this.rows.length - AHEAD) void this.page(PAGE);
    }

    private row({ fields }: Row, query: Query): HTMLElement {
        const buys = isBuy(fields);
        const cells = this.shown.map((name) => {
            const value = cell(fields, name, query.zone);
            const order = orderOf(fields, name, query.channel.family);
            const said = meaning(name, value);
            const content = order === null ? value : element('a', { href: this.orderAddress(order), title: texts.openOrder(order) }, value);
            const kind = [isNumber(name) ? 'number' : '', name.startsWith('price') && buys !== null ? (buys ? 'buy' : 'sell') : ''];
            return element('td', { class: kind.join(' ').trim() || null }, content, said === '' ? null : element('small', {}, ` ${said}`));
        });
        return element('tr', {}, ...cells);
    }
}

function pad(): HTMLElement {
    return element('tr', { class: 'pad', 'aria-hidden': 'true' });
}

function isNumber(name: string): boolean {
    return /price|amount|rate|^(id|id_str|received_at|microtimestamp|nmicrotimestamp|timestamp)$|order_id/.test(name);
}
