/** What stands beside the chart and over the table: how trades are drawn, the order of events, the columns. */

import { isLive, type Mode, type View } from './address.ts';
import { button, element, opens } from './dom.ts';
import type { Events } from './events.ts';
import { texts } from './texts.ts';

export interface ToolActions {
    order: (order: 'asc' | 'desc') => void;
    columns: (columns: string[] | null) => void;
    mode: (mode: Mode) => void;
    count: () => void;
}

export class Tools {
    readonly modes = element('div', { class: 'segments', role: 'group', 'aria-label': texts.mode });
    readonly counted = element('span', { class: 'muted', role: 'status' });
    readonly counting = button(texts.rateOnDemand, { title: texts.rateCost, hidden: true });
    readonly sequence = element('div', { class: 'segments', role: 'group', 'aria-label': texts.events });
    readonly columns = button(texts.columns, { class: 'menu' });
    readonly popover = element('div', { class: 'popover columns', role: 'dialog', 'aria-label': texts.columns });

    constructor(private readonly events: Events, private readonly actions: ToolActions) {
        for (const mode of ['auto', 'candles', 'trades'] as const) {
            this.modes.append(button(texts.modes[mode], { 'data-mode': mode, onclick: () => actions.mode(mode) }));
        }
        for (const [order, label] of [['desc', texts.newestFirst], ['asc', texts.oldestFirst]] as const) {
            this.sequence.append(button(label, { 'data-order': order, onclick: () => actions.order(order) }));
        }
        this.counting.addEventListener('click', () => {
            this.counting.hidden = true;
            actions.count();
        });
        opens(this.columns, this.popover, () => this.list());
        this.popover.addEventListener('change', () => this.take());
    }

    /** The order that is really shown. */
    order(view: View): 'asc' | 'desc' {
        return isLive(view) ? 'desc' : view.order;
    }

    show(view: View): void {
        for (const mode of this.modes.children as HTMLCollectionOf<HTMLElement>) {
            mode.setAttribute('aria-pressed', String(mode.dataset.mode === view.mode));
        }
        for (const one of this.sequence.children as HTMLCollectionOf<HTMLButtonElement>) {
            one.setAttribute('aria-pressed', String(one.dataset.order === this.order(view)));
            one.disabled = isLive(view) && one.dataset.order === 'asc';
            one.title = one.disabled ? texts.orderWhileLive : '';
        }
    }

    count(count: number, isAll: boolean): void {
        this.counted.textContent = texts.eventsLoaded(count, isAll);
    }

    offerCount(isOffered: boolean): void {
        this.counting.hidden = !isOffered;
    }

    private list(): void {
        const shown = new Set(this.events.shown);
        const names = [...new Set([...this.events.shown, ...this.events.known])];
        const boxes = names.map((name) => element('label', {}, element('input', { type: 'checkbox', value: name, checked: shown.has(name) }), ` ${name}`));
        const usual = button(texts.usualColumns, { onclick: () => {
            this.popover.hidePopover();
            this.actions.columns(null);
        } });
        this.popover.replaceChildren(element('div', { class: 'boxes' }, ...boxes), usual);
    }

    private take(): void {
        const chosen = [...this.popover.querySelectorAll<HTMLInputElement>('input:checked')].map((box) => box.value);
        if (chosen.length > 0) this.actions.columns(chosen);
    }
}
