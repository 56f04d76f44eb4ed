/** Whether the API answers, and how fresh what is shown is. */

import type { Trouble } from './api.ts';
import { button, element } from './dom.ts';
import type { Way } from './tail.ts';
import { texts } from './texts.ts';
import { now } from './time.ts';

export class Status {
    /** Over everything: what stands in the way. */
    readonly banner = element('div', { class: 'trouble', role: 'alert', hidden: true });
    readonly badge = element('p', { class: 'live', hidden: true });
    private readonly wayOf = element('span', { class: 'way' });
    private readonly age = element('span', { class: 'age' });
    private readonly countdown = element('span');
    private waiting: Trouble | null = null;
    private last: number | null = null;

    constructor() {
        this.badge.append(element('i', { class: 'dot' }), this.wayOf, this.age);
        setInterval(() => this.tick(), 500);
    }

    trouble(trouble: Trouble | null): void {
        if (trouble === null) {
            if (this.waiting !== null) this.clear();
            return;
        }
        // Of several requests that wait, the first one speaks.
        if (this.waiting !== null && this.waiting.retryAt > Date.now()) return;
        this.waiting = trouble;
        this.banner.replaceChildren(element('span', {}, `${trouble.said} `), this.countdown, ' ', button(texts.tryNow, { onclick: () => trouble.retryNow() }));
        this.banner.dataset.kind = 'waiting';
        this.banner.hidden = false;
        this.tick();
    }

    /** Says what repeating does not change. */
    refused(detail: string): void {
        this.waiting = null;
        this.banner.replaceChildren(detail);
        this.banner.dataset.kind = 'refused';
        this.banner.hidden = false;
    }

    clear(): void {
        this.waiting = null;
        this.banner.hidden = true;
        this.banner.replaceChildren();
    }

    live(isLive: boolean): void {
        this.badge.hidden = !isLive;
        this.last = null;
        this.way('connecting');
    }

    way(way: Way): void {
        this.wayOf.textContent = texts.live[way];
        this.badge.dataset.way = way;
        this.tick();
    }

    paused(): void {
        this.wayOf.textContent = texts.live.paused;
        this.badge.dataset.way = 'paused';
    }

    newest(time: number): void {
        this.last = Math.max(this.last ?? 0, time);
        this.badge.dataset.newest = String(this.last);
    }

    private tick(): void {
        if (this.waiting !== null) {
            this.countdown.textContent = texts.again(Math.max(0, Math.ceil((this.waiting.retryAt - Date.now()) / 1000)));
        }
        const isRunning = this.badge.dataset.way === 'stream' || this.badge.dataset.way === 'poll';
        this.age.textContent = !isRunning ? '' : this.last === null ? texts.noEvent : texts.lastEvent(now() - this.last);
    }
}
