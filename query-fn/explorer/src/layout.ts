/** Where everything stands. */

import type { Chart } from './chart.ts';
import type { Strip } from './coverage.ts';
import { element } from './dom.ts';
import type { Download } from './download.ts';
import type { Events } from './events.ts';
import type { OrderDialog } from './order.ts';
import type { Picker } from './picker.ts';
import type { RangeBar } from './ranges.ts';
import type { Readout } from './readout.ts';
import type { Status } from './status.ts';
import { texts } from './texts.ts';
import type { Tools } from './tools.ts';

export interface Pieces {
    picker: Picker; ranges: RangeBar; theme: HTMLElement; daemon: HTMLElement; status: Status; readout: Readout; chart: Chart; strip: Strip; tools: Tools;
    download: Download; events: Events; order: OrderDialog;
}

export function layOut(of: Pieces): HTMLElement[] {
    const { picker, ranges, theme, daemon, status, readout, chart, strip, tools, download, events, order } = of;
    events.host.id = 'events';
    const header = element('header', { class: 'top' },
        element('h1', {}, texts.name), picker.button, ranges.presets, ranges.typed, ranges.steps, ranges.follow,
        element('div', { class: 'right' }, daemon, ranges.zones, theme));
    const main = element('main', {},
        element('section', { class: 'card', 'aria-label': texts.chart },
            element('div', { class: 'bar' }, status.badge, readout.host, tools.counting, tools.modes),
            chart.host, element('p', { class: 'unseen', id: 'chart-about' }, texts.chartKeys), strip.host),
        element('section', { class: 'card list', 'aria-label': texts.events },
            element('div', { class: 'bar' }, element('h2', {}, texts.events), tools.counted,
                element('div', { class: 'right' }, tools.sequence, tools.columns, download.button)),
            events.host));
    const footer = element('footer', {},
        element('span', {}, element('a', { href: 'https://www.tradingview.com/', rel: 'noopener' }, texts.notice), ' ',
            element('a', { href: 'https://www.apache.org/licenses/LICENSE-2.0', rel: 'noopener' }, texts.noticeLicence)),
        element('a', { href: 'openapi.json' }, texts.contract));
    return [
        element('a', { class: 'skip', href: '#events', onclick: (event: Event) => {
            // The address behind # is the view's.
            event.preventDefault();
            events.host.focus();
        } }, texts.skip),
        header, status.banner, main, footer, picker.popover, ranges.popover, tools.popover, download.popover, order.host,
    ];
}
