/** The table's columns: which there are, and how a field becomes a cell. */

import { type Fields, micros, text } from './fields.ts';
import { texts } from './texts.ts';
import { written, type Zone } from './time.ts';

const USUAL: Record<string, string[]> = {
    live_trades: ['time', 'id', 'type', 'price_str', 'amount_str', 'buy_order_id', 'sell_order_id', 'received_at'],
    live_orders: ['time', 'event', 'id', 'order_type', 'price_str', 'amount_str', 'amount_traded', 'received_at'],
    order_book: ['time', 'bids', 'asks'],
    detail_order_book: ['time', 'bids', 'asks'],
    diff_order_book: ['time', 'bids', 'asks'],
    funding_rate: ['time', 'mark_price', 'index_price', 'funding_rate', 'next_funding_time'],
};

export function usual(family: string): string[] {
    return USUAL[family] ?? ['time', 'event', 'id', 'received_at'];
}

/** Every column that the rows have, the usual ones first. */
export function known(family: string, rows: Iterable<Fields>): string[] {
    const names = new Set(usual(family));
    for (const row of rows) for (const name of row.keys()) names.add(name);
    return [...names];
}

export function cell(row: Fields, column: string, zone: Zone): string {
    return column === 'time' ? written(micros(row, 'nmicrotimestamp'), zone, 6) : text(row, column);
}

/** The order that a cell names, or null. */
export function orderOf(row: Fields, column: string, family: string): string | null {
    const isOrder = /^(buy|sell)_order_id(_str)?$/.test(column) || (family === 'live_orders' && /^id(_str)?$/.test(column));
    const id = text(row, column);
    return isOrder && /^[1-9]\d{0,37}$/.test(id) ? id : null;
}

/** What a coded value means; empty if nothing needs to be said. */
export function meaning(column: string, value: string): string {
    if (column !== 'type' && column !== 'order_type') return '';
    return value === '0' ? texts.buy : value === '1' ? texts.sell : '';
}

export function isBuy(row: Fields): boolean | null {
    const side = text(row, row.has('order_type') ? 'order_type' : 'type');
    return side === '0' ? true : side === '1' ? false : null;
}
