/** The bar that chooses the range of time. */

import { isLive, type Span, type View } from './address.ts';
import { button, element, opens } from './dom.ts';
import { texts } from './texts.ts';
import { length, read, written, type Zone } from './time.ts';

export const PRESETS = ['1m', '5m', '15m', '1h', '6h', '24h', '7d'] as const;

export interface RangeActions {
    preset: (last: string) => void;
    all: () => void;
    fixed: (from: number, to: number) => void;
    follow: (isOn: boolean) => void;
    zoomOut: () => void;
    zone: (zone: Zone) => void;
}

/** The preset that is nearest above a length: what following shows after a typed range. */
export function presetFor(span: Span): string {
    if ('last' in span) return span.last;
    return PRESETS.find((preset) => (length(preset) as number) >= span.to - span.from) ?? '7d';
}

export class RangeBar {
    readonly presets = element('div', { class: 'segments', role: 'group', 'aria-label': texts.range });
    readonly typed = button('', { class: 'menu range', title: texts.customRange });
    readonly steps: HTMLElement;
    readonly follow: HTMLButtonElement;
    readonly zones = element('div', { class: 'segments', role: 'group', 'aria-label': texts.zone });
    readonly popover: HTMLElement;
    private readonly from = element('input', { id: 'from', autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'time-forms' });
    private readonly to = element('input', { id: 'to', autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'time-forms' });
    private readonly fault = element('p', { class: 'fault', role: 'alert' });
    private shown: { from: number; to: number; zone: Zone } = { from: 0, to: 0, zone: 'utc' };

    constructor(private readonly actions: RangeActions) {
        for (const preset of PRESETS) {
            this.presets.append(button(texts.presets[preset], { 'data-preset': preset, title: texts.presetHints[preset], onclick: () => actions.preset(preset) }));
        }
        this.presets.append(button(texts.presets.all, { 'data-preset': 'all', title: texts.presetHints.all, onclick: () => actions.all() }));
        const icon = (sign: string, label: string, onclick: () => void) => button(sign, { class: 'icon', title: label, 'aria-label': label, onclick });
        this.steps = element('div', { class: 'steps' }, icon('‹', texts.back, () => history.back()), icon('›', texts.forward, () => history.forward()), icon('−', texts.zoomOut, () => actions.zoomOut()));
        this.follow = button(texts.follow, { class: 'follow', title: texts.followHint, onclick: () => actions.follow(this.follow.getAttribute('aria-pressed') !== 'true') });
        for (const zone of ['utc', 'local'] as const) {
            this.zones.append(button(texts.zones[zone], { 'data-zone': zone, onclick: () => actions.zone(zone) }));
        }
        this.popover = this.form();
        opens(this.typed, this.popover, () => this.choose(), () => this.fill());
    }

    show(view: View, from: number, to: number): void {
        this.shown = { from, to, zone: view.zone };
        const live = isLive(view);
        for (const preset of this.presets.children as HTMLCollectionOf<HTMLElement>) {
            preset.setAttribute('aria-pressed', String('last' in view.span && preset.dataset.preset === view.span.last));
        }
        for (const zone of this.zones.children as HTMLCollectionOf<HTMLElement>) {
            zone.setAttribute('aria-pressed', String(zone.dataset.zone === view.zone));
        }
        this.follow.setAttribute('aria-pressed', String(live));
        const decimals = to - from < 2_000_000 ? 6 : 0;
        const [first, last] = [written(from, view.zone, decimals), written(to, view.zone, decimals)];
        this.typed.textContent = `${first} – ${first.slice(0, 10) === last.slice(0, 10) ? last.slice(11) : last}`;
        this.typed.setAttribute('aria-label', `${texts.customRange}: ${this.typed.textContent}`);
    }

    private form(): HTMLElement {
        const form = element('form', { class: 'popover typed', role: 'dialog', 'aria-label': texts.customRange },
            element('label', { for: 'from' }, texts.from), this.from, element('label', { for: 'to' }, texts.to), this.to,
            this.fault, element('p', { class: 'muted', id: 'time-forms' }, texts.timeForms), button(texts.show, { type: 'submit', class: 'main' }));
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            this.take();
        });
        return form;
    }

    private fill(): void {
        const { from, to, zone } = this.shown;
        this.from.value = written(from, zone, 6);
        this.to.value = written(to, zone, 6);
        this.complain(null, '');
    }

    private choose(): void {
        this.from.focus();
        this.from.select();
    }

    private take(): void {
        const { zone } = this.shown;
        const [from, to] = [read(this.from.value, zone, false), read(this.to.value, zone, true)];
        if (from === null) return this.complain(this.from, texts.notATime);
        if (to === null) return this.complain(this.to, texts.notATime);
        if (to <= from) return this.complain(this.to, texts.endBeforeStart);
        this.popover.hidePopover();
        this.actions.fixed(from, to);
    }

    private complain(about: HTMLInputElement | null, fault: string): void {
        for (const input of [this.from, this.to]) input.setAttribute('aria-invalid', String(input === about));
        this.fault.textContent = fault;
        about?.focus();
    }
}
