/** Puts the page together: the address says what is shown, and every choice writes the address. */

import './style.css';

import { ends, fromAddress, isLive, toAddress, type View } from './address.ts';
import { Api, isAborted, Refused, type Trouble } from './api.ts';
import { Channels } from './channels.ts';
import { Chart } from './chart.ts';
import { Strip } from './coverage.ts';
import { element } from './dom.ts';
import { Download } from './download.ts';
import { Events } from './events.ts';
import { micros } from './fields.ts';
import { gestures } from './gestures.ts';
import { askForKey } from './key.ts';
import { layOut } from './layout.ts';
import { Rates } from './load.ts';
import { OrderDialog } from './order.ts';
import { Picker } from './picker.ts';
import { presetFor, RangeBar } from './ranges.ts';
import { Readout } from './readout.ts';
import { Session } from './session.ts';
import { Status } from './status.ts';
import { texts } from './texts.ts';
import { themeSwitch } from './theme.ts';
import { now } from './time.ts';
import { Tools } from './tools.ts';

/** No range is shorter; the exchange's own times are mostly whole milliseconds. */
const SHORTEST = 1000;

let view = fromAddress(location.hash);
let channels: Channels | null = null;
let session: Session | null = null;
/** What is shown besides columns and zone; another value of it is another session. */
let shown = '';

const status = new Status();
const daemon = element('a', { class: 'button', title: texts.daemonHint, hidden: true }, texts.daemon);
const api = new Api({
    trouble: (trouble: Trouble | null) => status.trouble(trouble),
    status: (address) => {
        daemon.href = address;
        daemon.hidden = false;
    },
    key: askForKey,
});
const rates = new Rates(api);
const readout = new Readout();
const chart: Chart = new Chart(() => strip.draw(), (time) => readout.point(time === null ? null : chart.nearest(time), view.zone));
const strip: Strip = new Strip(chart, (interval) => {
    const margin = Math.max(SHORTEST, Math.round((interval.through - interval.from) / 2));
    go(interval.from - margin, interval.through + margin);
});
const events = new Events(api, (id) => toAddress({ ...view, orderId: id }), (count, isAll) => tools.count(count, isAll), failed);
const picker = new Picker((channel) => change({ channel: channel.name, columns: null }));
const ranges = new RangeBar({
    preset: (last) => {
        if (isLive(view)) return change({ span: { last } });
        change({ span: ends({ last }) });
    },
    all: () => void all(),
    fixed: go,
    follow: (isOn) => change({ span: isOn ? { last: presetFor(view.span) } : ends(view.span) }),
    zoomOut,
    zone: (zone) => change({ zone }),
});
const download = new Download(api, () => {
    const { from, to } = ends(view.span);
    return view.channel === null ? null : { channel: view.channel, from, to, order: tools.order(view), columns: events.shown };
});
const tools = new Tools(events, {
    order: (order) => change({ order }),
    columns: (columns) => change({ columns }),
    mode: (mode) => change({ mode }),
    count: () => session?.count(true),
});
const order = new OrderDialog(api, {
    closed: () => change({ orderId: null }),
    showTime: (from, to) => change({ orderId: null, span: { from, to } }),
});
const theme = themeSwitch(() => {
    chart.recolour();
    strip.draw();
});

function failed(error: unknown): void {
    if (isAborted(error)) return;
    if (!(error instanceof Refused)) console.error(error);
    status.refused(error instanceof Error ? error.message : String(error));
}

/** Shows another view, as a step of the browser's history. */
function change(changes: Partial<View>): void {
    view = { ...view, ...changes };
    const address = toAddress(view);
    if (address !== location.hash) history.pushState(null, '', address);
    show();
}

function go(from: number, to: number): void {
    const spare = Math.max(0, Math.ceil((SHORTEST - (to - from)) / 2));
    change({ span: { from: Math.max(0, Math.round(from) - spare), to: Math.round(to) + spare } });
}

function zoomOut(): void {
    const { from, to } = ends(view.span);
    go(from - (to - from) / 2, Math.min(to + (to - from) / 2, Math.max(to, now())));
}

/** From the channel's first event to its last. */
async function all(): Promise<void> {
    const { channel } = view;
    if (channel === null) return;
    try {
        const { signal } = new AbortController();
        const asked = { channel, limit: 1, fields: 'nmicrotimestamp' };
        const [first, last] = await Promise.all([api.page('bitstamp', asked, signal), api.page('latest', asked, signal)]);
        const [from, to] = [first, last].map((page) => micros(page.rows[0] ?? new Map(), 'nmicrotimestamp')) as [number, number];
        if (from > 0 && to >= from && view.channel === channel) go(from, to);
    } catch (error) {
        failed(error);
    }
}

function show(): void {
    if (channels === null) return;
    const channel = channels.find(view.channel);
    picker.show(channels, view.channel);
    document.title = texts.title(view.channel ?? '');
    tools.show(view);
    if (channel === null) {
        session?.stop();
        status.refused(view.channel === null ? texts.noChannels : texts.unknownChannel(view.channel));
        return;
    }
    order.show(view.orderId, channels, view.zone);
    const wanted = JSON.stringify([view.channel, view.span, view.mode, view.order]);
    if (wanted === shown && session !== null) {
        const { from, to } = chart.range;
        ranges.show(view, from, to);
        session.present(view);
        events.present(view.columns, view.zone);
        return;
    }
    shown = wanted;
    restart();
}

/** Begins to show the view; what the old one waited for is no longer wanted. */
function restart(): void {
    const channel = channels?.find(view.channel) ?? null;
    session?.stop();
    status.clear();
    if (channels === null || channel === null) return;
    status.live(isLive(view));
    session = new Session({ api, channels, chart, strip, events, rates }, view, channel, {
        note: (said) => readout.note(said),
        way: (way) => status.way(way),
        newest: (time) => status.newest(time),
        failed,
        ends: (from, to) => ranges.show(view, from, to),
        busy: (isBusy) => readout.busy(isBusy),
    });
    session.start();
    tools.offerCount(session.mayCount);
}

/** Waits for the first frame. A hidden tab draws none, so there it waits for nothing. */
function drawn(): Promise<void> {
    if (document.hidden) return Promise.resolve();
    return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

async function start(): Promise<void> {
    // The first frame has the name; building the page would delay it.
    await drawn();
    document.querySelector('.loading')?.remove();
    document.body.append(...layOut({ picker, ranges, theme, daemon, status, readout, chart, strip, tools, download, events, order }));
    gestures(chart, { go, zoomOut });
    addEventListener('popstate', () => {
        view = fromAddress(location.hash);
        if (view.channel === null) view.channel = channels?.first()?.name ?? null;
        show();
    });
    // A page that nobody looks at reads nothing.
    document.addEventListener('visibilitychange', () => {
        if (!isLive(view)) return;
        if (document.hidden) {
            session?.stop();
            status.paused();
        } else restart();
    });
    try {
        channels = await Channels.load(api, new AbortController().signal);
    } catch (error) {
        return failed(error);
    }
    if (view.channel === null) {
        view.channel = channels.first()?.name ?? null;
        history.replaceState(null, '', toAddress(view));
    }
    show();
}

void start();
