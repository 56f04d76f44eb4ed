/** The line over the chart: the candle or trade under the pointer with its digits as sent, or what is to be said of the view. */

import type { Candle } from './candles.ts';
import { element } from './dom.ts';
import { texts } from './texts.ts';
import { written, type Zone } from './time.ts';
import type { Trade } from './trades.ts';

export class Readout {
    readonly host = element('div', { class: 'readout' });
    private readonly values = element('p', { class: 'values' });
    private readonly said = element('p', { class: 'note', role: 'status' });
    private readonly spinner = element('p', { class: 'busy', role: 'status' });

    constructor() {
        this.host.append(this.values, this.said, this.spinner);
    }

    point(at: { trade: Trade } | { candle: Candle } | null, zone: Zone): void {
        if (at === null) return this.values.replaceChildren();
        this.values.replaceChildren(...('trade' in at ? ofTrade(at.trade, zone) : ofCandle(at.candle, zone)));
    }

    note(said: string): void {
        this.said.textContent = said;
    }

    busy(isBusy: boolean): void {
        this.spinner.textContent = isBusy ? texts.loading : '';
        this.host.dataset.busy = String(isBusy);
    }
}

function pair(name: string, value: string, kind: string | null = null): HTMLElement {
    return element('span', { class: kind }, element('small', {}, name), ` ${value}`);
}

function ofTrade(trade: Trade, zone: Zone): HTMLElement[] {
    const side = trade.isBuy ? texts.buy : texts.sell;
    return [
        element('time', {}, written(trade.time, zone, 6)), element('span', { class: side }, side), element('b', {}, trade.price),
        pair('×', trade.amount), pair('id', trade.id),
    ];
}

function ofCandle(candle: Candle, zone: Zone): HTMLElement[] {
    const { time, open, high, low, close, volume, bought, trades, skipped, state } = candle;
    return [
        element('time', {}, written(time, zone, 0)),
        pair(texts.open, open), pair(texts.high, high), pair(texts.low, low), pair(texts.close, close),
        pair(texts.volume, volume), pair(texts.bought, bought), pair(texts.trades, String(trades)),
        element('span', { class: `state ${state}` }, texts.states[state as keyof typeof texts.states] ?? state),
        ...(skipped === 0 ? [] : [pair(texts.skipped, String(skipped))]),
    ];
}
