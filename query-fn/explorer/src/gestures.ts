/** What the mouse, a finger, the wheel and keys do on the chart: all of it changes the range. */

import type { Chart } from './chart.ts';
import { element } from './dom.ts';

export interface Ranges {
    /** Shows another range, as a step that the browser's back button undoes. */
    go: (from: number, to: number) => void;
    zoomOut: () => void;
}

/** Shorter drags are clicks. */
const CLICK = 5;
const SETTLED = 250;
/** How far a key moves and how much it zooms, as parts of the range. */
const STEP = 0.25;

export function gestures(chart: Chart, ranges: Ranges): void {
    drag(chart, ranges);
    wheel(chart, ranges);
    chart.host.addEventListener('dblclick', () => ranges.zoomOut());
    chart.host.addEventListener('keydown', (event) => {
        if (event.altKey || event.ctrlKey || event.metaKey) return;
        const { from, to } = chart.range;
        const by = Math.round((to - from) * STEP);
        const moves: Record<string, () => void> = {
            ArrowLeft: () => ranges.go(from - by, to - by),
            ArrowRight: () => ranges.go(from + by, to + by),
            '+': () => ranges.go(from + by, to - by),
            '=': () => ranges.go(from + by, to - by),
            '-': () => ranges.zoomOut(),
        };
        const move = moves[event.key];
        if (move === undefined) return;
        event.preventDefault();
        move();
    });
}

/** A drag selects the range to zoom to; with Shift, or the middle button, it moves the range. */
function drag(chart: Chart, ranges: Ranges): void {
    const box = element('div', { class: 'selection', hidden: true });
    chart.host.append(box);
    chart.host.addEventListener('pointerdown', (down) => {
        if (down.button > 1 || !down.isPrimary) return;
        const left = chart.host.getBoundingClientRect().left;
        const start = down.clientX - left;
        if (start > chart.width) return;
        const moves = down.shiftKey || down.button === 1;
        const { from, to } = chart.range;
        const follow = new AbortController();
        const listen = { signal: follow.signal };
        const place = (event: PointerEvent) => Math.min(Math.max(0, event.clientX - left), chart.width);
        const shift = (event: PointerEvent) => Math.round(((start - (event.clientX - left)) / chart.width) * (to - from));
        addEventListener('pointermove', (event) => {
            if (moves) return chart.view(from + shift(event), to + shift(event));
            const at = place(event);
            box.hidden = Math.abs(at - start) < CLICK;
            box.style.left = `${Math.min(start, at)}px`;
            box.style.width = `${Math.abs(at - start)}px`;
        }, listen);
        const end = (event: PointerEvent, isDone: boolean) => {
            follow.abort();
            box.hidden = true;
            if (!isDone || Math.abs(event.clientX - left - start) < CLICK) return chart.view(from, to);
            if (moves) return ranges.go(from + shift(event), to + shift(event));
            const [first, last] = [chart.timeAt(Math.min(start, place(event))), chart.timeAt(Math.max(start, place(event)))];
            ranges.go(first, last);
        };
        addEventListener('pointerup', (event) => end(event, true), listen);
        addEventListener('pointercancel', (event) => end(event, false), listen);
    });
}

/** Ctrl and the wheel zoom at the pointer, the horizontal wheel moves; the range is taken over once the wheel rests. */
function wheel(chart: Chart, ranges: Ranges): void {
    let resting = 0;
    chart.host.addEventListener('wheel', (event) => {
        const isZoom = event.ctrlKey || event.metaKey;
        const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX;
        if (!isZoom && Math.abs(sideways) < 1) return;
        event.preventDefault();
        const { from, to } = chart.range;
        const at = chart.timeAt(event.clientX - chart.host.getBoundingClientRect().left);
        const factor = isZoom ? Math.exp(Math.max(-50, Math.min(50, event.deltaY)) * 0.008) : 1;
        const by = isZoom ? 0 : Math.round((sideways / chart.width) * (to - from));
        chart.view(Math.round(at - (at - from) * factor) + by, Math.round(at + (to - at) * factor) + by);
        clearTimeout(resting);
        resting = window.setTimeout(() => ranges.go(chart.range.from, chart.range.to), SETTLED);
    }, { passive: false });
}
