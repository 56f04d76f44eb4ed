/** What the page shows, and its form in the part of the address behind `#`, which no server sees. */

import { type Zone, length, now, read, rfc3339 } from './time.ts';

/** A window that ends now and moves, or two fixed ends, both inclusive. */
export type Span = { last: string } | { from: number; to: number };

export type Mode = 'auto' | 'candles' | 'trades';

export interface View {
    /** Null until the channels are known. */
    channel: string | null;
    span: Span;
    /** Candles or single trades; `auto` chooses by the length of the range. */
    mode: Mode;
    /** Newest or oldest event first. */
    order: 'asc' | 'desc';
    /** The table's columns; null: those of the channel's family. */
    columns: string[] | null;
    zone: Zone;
    /** The order whose life is open. */
    orderId: string | null;
}

export const START: View = {
    channel: null, span: { last: '15m' }, mode: 'auto', order: 'desc', columns: null, zone: 'utc', orderId: null,
};

/** The ends of the span at this moment. */
export function ends(span: Span): { from: number; to: number } {
    if (!('last' in span)) return span;
    const to = now();
    return { from: to - (length(span.last) as number), to };
}

export function isLive(view: View): boolean {
    return 'last' in view.span;
}

export function toAddress(view: View): string {
    const pairs = new URLSearchParams();
    if (view.channel !== null) pairs.set('channel', view.channel);
    if ('last' in view.span) pairs.set('last', view.span.last);
    else {
        pairs.set('from', rfc3339(view.span.from));
        pairs.set('to', rfc3339(view.span.to));
    }
    if (view.mode !== START.mode) pairs.set('show', view.mode);
    if (view.order !== START.order) pairs.set('order', view.order);
    if (view.columns !== null) pairs.set('columns', view.columns.join(','));
    if (view.zone !== START.zone) pairs.set('zone', view.zone);
    if (view.orderId !== null) pairs.set('id', view.orderId);
    return `#${pairs.toString().replaceAll('%3A', ':').replaceAll('%2C', ',')}`;
}

/** Reads an address; what it does not say, or says wrongly, is as at the start. */
export function fromAddress(hash: string): View {
    const pairs = new URLSearchParams(hash.replace(/^#/, ''));
    const one = <T extends string>(name: string, known: readonly T[], otherwise: T): T =>
        known.find((value) => value === pairs.get(name)) ?? otherwise;
    const id = pairs.get('id');
    const columns = pairs.get('columns')?.split(',').filter((name) => name !== '') ?? [];
    return {
        channel: pairs.get('channel'),
        span: span(pairs),
        mode: one('show', ['auto', 'candles', 'trades'], START.mode),
        order: one('order', ['asc', 'desc'], START.order),
        columns: columns.length > 0 ? columns : null,
        zone: one('zone', ['utc', 'local'], START.zone),
        orderId: id !== null && /^\d{1,38}$/.test(id) ? id : null,
    };
}

function span(pairs: URLSearchParams): Span {
    const last = pairs.get('last');
    if (last !== null && length(last) !== null) return { last };
    const [from, to] = [read(pairs.get('from') ?? '', 'utc', false), read(pairs.get('to') ?? '', 'utc', true)];
    return from !== null && to !== null && from < to ? { from, to } : START.span;
}
