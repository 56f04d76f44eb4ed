/** The coverage strip: for each channel of the market, which time is captured, filled, a gap, or unknown. */

import type { Api } from './api.ts';
import type { Chart } from './chart.ts';
import type { Channel } from './channels.ts';
import { element } from './dom.ts';
import { micros, text } from './fields.ts';
import { texts } from './texts.ts';
import { palette } from './theme.ts';
import { written, type Zone } from './time.ts';

export type State = keyof typeof texts.coverageState;

export interface Interval { channel: string; state: State; from: number; through: number; reason: string }
export interface Lane { channel: Channel; intervals: Interval[] }

const LANE = 16;
const BAR = 10;
/** Intervals that the table for readers lists, and pages that are read for them. */
const MOST_INTERVALS = 20_000;
const MOST_LISTED = 500;

export async function readLane(api: Api, channel: Channel, from: number, to: number, signal: AbortSignal): Promise<Lane> {
    const { rows } = await api.all('coverage', { channel: channel.name, from, to }, signal, MOST_INTERVALS);
    const intervals = rows.map((row) => ({
        channel: channel.name, state: text(row, 'state') as State, from: Math.max(from, micros(row, 'from')),
        through: Math.min(to, micros(row, 'through')), reason: text(row, 'reason'),
    }));
    return { channel, intervals };
}

export class Strip {
    readonly host = element('section', { class: 'coverage', 'aria-label': texts.coverage });
    private readonly canvas = element('canvas', { 'aria-hidden': 'true' });
    private readonly labels = element('div', { class: 'lanes', 'aria-hidden': 'true' });
    private readonly slider = element('div', { class: 'strip', role: 'slider', tabindex: 0, 'aria-label': texts.coverage, 'aria-valuemin': 0, 'aria-valuenow': 0, 'aria-valuemax': 0 });
    private readonly tip = element('div', { class: 'tip', hidden: true, id: 'coverage-tip' });
    private readonly summary = element('p', { class: 'summary', role: 'status' });
    private readonly table = element('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': texts.coverageTable });
    private readonly details = element('details', {}, element('summary', {}, texts.coverageTable), this.table);
    private lanes: Lane[] = [];
    private zone: Zone = 'utc';
    private chosen = 0;

    constructor(private readonly chart: Chart, private readonly zoom: (interval: Interval) => void) {
        this.slider.append(this.canvas, this.labels);
        this.host.append(this.slider, this.tip, element('div', { class: 'about' }, this.legend(), this.summary, this.details));
        this.slider.addEventListener('pointermove', (event) => this.hover(event));
        this.slider.addEventListener('pointerleave', () => this.hide());
        this.slider.addEventListener('blur', () => this.hide());
        this.slider.addEventListener('focus', () => this.choose(this.chosen));
        this.slider.addEventListener('keydown', (event) => this.key(event));
        this.slider.title = texts.coverageKeys;
        this.details.addEventListener('toggle', () => this.list());
    }

    show(lanes: Lane[], zone: Zone): void {
        const before = this.all()[this.chosen];
        this.lanes = lanes;
        this.zone = zone;
        this.labels.replaceChildren(...lanes.map((lane) => element('span', {}, lane.channel.family.replace('live_', '') || lane.channel.name)));
        this.slider.style.height = `${Math.max(1, lanes.length) * LANE}px`;
        this.slider.setAttribute('aria-valuemax', String(Math.max(0, this.all().length - 1)));
        // The interval that the keys stand on stays chosen, whatever was read before it meanwhile.
        const same = before === undefined ? -1 : this.all().findIndex((one) =>
            one.channel === before.channel && one.state === before.state && one.from <= before.through && one.through >= before.from);
        this.chosen = same >= 0 ? same : Math.min(this.chosen, Math.max(0, this.all().length - 1));
        this.describe();
        this.summarize();
        this.list();
        this.draw();
    }

    draw(): void {
        const width = this.chart.width;
        const height = Math.max(1, this.lanes.length) * LANE;
        const ratio = devicePixelRatio;
        this.canvas.width = Math.round(width * ratio);
        this.canvas.height = Math.round(height * ratio);
        this.canvas.style.width = `${width}px`;
        this.canvas.style.height = `${height}px`;
        this.labels.style.left = `${width + 6}px`;
        const context = this.canvas.getContext('2d') as CanvasRenderingContext2D;
        context.scale(ratio, ratio);
        const colours = palette();
        const hatched = hatch(context, colours.filled, colours.surface);
        const dotted = hatch(context, colours.unknown, colours.surface);
        const fills = { expired: colours.unknown, unknown: dotted, captured: colours.captured, filled: hatched, gap: colours.gap };
        this.lanes.forEach((lane, number) => {
            const top = number * LANE + (LANE - BAR) / 2;
            // Gaps last, so that nothing hides a short one.
            for (const state of ['expired', 'unknown', 'captured', 'filled', 'gap'] as const) {
                for (const interval of lane.intervals) {
                    if (interval.state !== state) continue;
                    const [left, right] = [this.chart.x(interval.from), this.chart.x(interval.through + 1)];
                    if (right < 0 || left > width) continue;
                    context.fillStyle = fills[state];
                    const tall = state === 'gap' ? 2 : state === 'captured' ? -2 : state === 'expired' ? -4 : 0;
                    context.fillRect(left, top - tall, Math.max(state === 'gap' ? 3 : 0.5, right - left), BAR + 2 * tall);
                }
            }
        });
    }

    private all(): Interval[] {
        return this.lanes.flatMap((lane) => lane.intervals);
    }

    private legend(): HTMLElement {
        const entries = Object.entries(texts.coverageState).map(([state, name]) =>
            element('li', { title: texts.coverageMeaning[state as State] }, element('i', { class: `swatch ${state}` }), name));
        return element('ul', { class: 'legend' }, ...entries);
    }

    private said(interval: Interval): string {
        const decimals = interval.through - interval.from < 60_000_000 ? 6 : 3;
        const [from, to] = [written(interval.from, this.zone, decimals), written(interval.through, this.zone, decimals)];
        return texts.interval(texts.coverageState[interval.state], from, to, interval.through - interval.from + 1, interval.reason);
    }

    private hover(event: PointerEvent): void {
        const box = this.canvas.getBoundingClientRect();
        const [x, y] = [event.clientX - box.left, event.clientY - box.top];
        const lane = this.lanes[Math.floor(y / LANE)];
        const [early, late] = [this.chart.timeAt(x - 3), this.chart.timeAt(x + 3)];
        const under = lane?.intervals.filter((interval) => interval.from <= late && interval.through >= early) ?? [];
        const interval = under.find((one) => one.state === 'gap') ?? under.find((one) => one.state === 'filled') ?? under.at(-1);
        if (interval === undefined || x > box.width) return this.hide();
        this.explain(interval, x);
    }

    private key(event: KeyboardEvent): void {
        const all = this.all();
        const gap = all.findIndex((interval, at) => interval.state === 'gap' && at > this.chosen);
        const steps: Record<string, number> = {
            ArrowLeft: this.chosen - 1, ArrowUp: this.chosen - 1, ArrowRight: this.chosen + 1, ArrowDown: this.chosen + 1,
            Home: 0, End: all.length - 1, g: gap >= 0 ? gap : all.findIndex((interval) => interval.state === 'gap'),
        };
        const step = steps[event.key];
        const interval = all[this.chosen];
        if (event.key === 'Escape') return this.hide();
        if (event.key === 'Enter' && interval !== undefined) return this.zoom(interval);
        if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        if (step >= 0) this.choose(Math.min(step, all.length - 1));
    }

    private choose(at: number): void {
        const interval = this.all()[at];
        if (interval === undefined) return;
        this.chosen = at;
        this.describe();
        if (document.activeElement !== this.slider) return;
        const middle = (this.chart.x(interval.from) + this.chart.x(interval.through)) / 2;
        this.explain(interval, Math.max(0, Math.min(this.chart.width, middle)));
    }

    private describe(): void {
        const interval = this.all()[this.chosen];
        this.slider.setAttribute('aria-valuenow', String(this.chosen));
        this.slider.setAttribute('aria-valuetext', interval === undefined ? '' : `${interval.channel}: ${this.said(interval)}`);
    }

    private explain(interval: Interval, x: number): void {
        this.tip.replaceChildren(element('i', { class: `swatch ${interval.state}` }), element('b', {}, interval.channel), ` ${this.said(interval)}`);
        this.tip.dataset.state = interval.state;
        this.tip.hidden = false;
        const most = this.host.clientWidth - this.tip.offsetWidth;
        this.tip.style.left = `${Math.max(0, Math.min(x - this.tip.offsetWidth / 2, most))}px`;
    }

    private hide(): void {
        this.tip.hidden = true;
    }

    /** Says of the chosen channel, the first lane, whether anything is missing. */
    private summarize(): void {
        const of = (state: State) => this.lanes[0]?.intervals.filter((interval) => interval.state === state) ?? [];
        const length = (list: Interval[]) => list.reduce((sum, one) => sum + one.through - one.from + 1, 0);
        const [gaps, unknown, expired] = [of('gap'), of('unknown'), of('expired')];
        const parts = gaps.length > 0 ? [texts.gaps(gaps.length, length(gaps))] : unknown.length + expired.length > 0 ? [] : [texts.nothingMissing];
        if (unknown.length > 0) parts.push(texts.unknownFor(length(unknown)));
        if (expired.length > 0) parts.push(texts.expiredFor(length(expired)));
        const [first] = this.lanes;
        const said = first === undefined ? '' : texts.summary(first.channel.name, parts.join(', '));
        if (this.summary.textContent !== said) this.summary.textContent = said;
        this.summary.dataset.gaps = String(gaps.length);
    }

    private list(): void {
        if (!this.details.open) return;
        const rows = this.all().slice(0, MOST_LISTED).map((interval) => element('tr', {},
            element('td', {}, interval.channel), element('td', {}, texts.coverageState[interval.state]),
            element('td', {}, written(interval.from, this.zone, 6)), element('td', {}, written(interval.through, this.zone, 6)),
            element('td', {}, texts.length(interval.through - interval.from + 1)), element('td', {}, interval.reason)));
        const head = element('tr', {}, ...texts.coverageColumns.map((name) => element('th', { scope: 'col' }, name)));
        const caption = this.all().length > MOST_LISTED ? texts.tooManyIntervals(MOST_LISTED) : texts.coverageTable;
        this.table.replaceChildren(element('table', {}, element('caption', {}, caption), element('thead', {}, head), element('tbody', {}, ...rows)));
    }
}

function hatch(context: CanvasRenderingContext2D, colour: string, ground: string): CanvasPattern | string {
    const tile = element('canvas', { width: 4, height: 4 });
    const pen = tile.getContext('2d') as CanvasRenderingContext2D;
    pen.fillStyle = ground;
    pen.fillRect(0, 0, 4, 4);
    pen.strokeStyle = colour;
    pen.lineWidth = 1.4;
    for (const shift of [-4, 0, 4]) {
        pen.beginPath();
        pen.moveTo(shift, 4);
        pen.lineTo(shift + 4, 0);
        pen.stroke();
    }
    return context.createPattern(tile, 'repeat') ?? colour;
}
