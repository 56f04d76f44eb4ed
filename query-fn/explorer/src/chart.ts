/** The chart: prices, volume, rate of order events, one axis of time for all and for the coverage strip below. */

import {
    type AutoscaleInfo, CandlestickSeries, createChart, HistogramSeries, type IChartApi, type ISeriesApi, LineSeries, LineType, type Time,
} from 'lightweight-charts';

import type { Candle } from './candles.ts';
import { element } from './dom.ts';
import { Dots } from './dots.ts';
import { slot } from './grid.ts';
import { type Scene, series } from './scene.ts';
import { type Palette, palette } from './theme.ts';
import { texts } from './texts.ts';
import { SECOND, written } from './time.ts';
import type { Trade } from './trades.ts';

const CLEAR = 'rgba(0, 0, 0, 0)';
const LINE = { priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false } as const;

export class Chart {
    readonly host = element('div', { class: 'chart', tabindex: 0, role: 'group', 'aria-label': texts.chart, 'aria-describedby': 'chart-about' });
    private readonly api: IChartApi;
    private readonly prices: ISeriesApi<'Candlestick'>;
    private readonly volumes: ISeriesApi<'Histogram'>;
    private readonly rates: ISeriesApi<'Line'>;
    private readonly quotes: [ISeriesApi<'Line'>, ISeriesApi<'Line'>];
    private readonly dots: Dots;
    private colours: Palette = palette();
    private scene: Scene | null = null;
    private visible = { from: 0, to: 1 };
    private hasRates = true;
    private readonly captions = [texts.bookAxis, texts.volumeAxis, texts.rateAxis].map((said) => element('span', { class: 'caption', hidden: true }, said));

    /** `moved` is called when the axis of time moves or changes its width, `hovered` with the time under the pointer. */
    constructor(private readonly moved: () => void, hovered: (time: number | null) => void) {
        this.api = createChart(this.host, {
            autoSize: true,
            // From the start: the logo would write a style element, which the page's policy forbids. The notice is in the last line.
            layout: { attributionLogo: false },
            handleScroll: false,
            handleScale: false,
            crosshair: { mode: 0 },
            rightPriceScale: { borderVisible: false, minimumWidth: 84 },
            timeScale: {
                borderVisible: false, minBarSpacing: 0.01, timeVisible: true, secondsVisible: true, shiftVisibleRangeOnNewBar: false,
                tickMarkFormatter: (time: Time, type: number) => this.tick(Number(time), type),
            },
            localization: { timeFormatter: (time: Time) => written(Number(time) * SECOND, 'utc', this.decimalsOfTime()) },
        });
        this.prices = this.api.addSeries(CandlestickSeries, { priceLineVisible: false, lastValueVisible: true }, 0);
        this.quotes = [
            this.api.addSeries(LineSeries, { ...LINE, lineWidth: 1, lineType: LineType.WithSteps }, 0),
            this.api.addSeries(LineSeries, { ...LINE, lineWidth: 1, lineType: LineType.WithSteps }, 0),
        ];
        this.volumes = this.api.addSeries(HistogramSeries, { ...LINE, priceFormat: { type: 'volume' } }, 1);
        this.rates = this.api.addSeries(LineSeries, {
            ...LINE, lineWidth: 1, lineType: LineType.WithSteps, priceFormat: { type: 'price', precision: 0, minMove: 1 },
            autoscaleInfoProvider: fromZero,
        }, 2);
        this.dots = new Dots(this.colours);
        this.prices.attachPrimitive(this.dots);
        this.host.append(...this.captions);
        this.stretch();
        this.recolour();
        this.api.timeScale().subscribeSizeChange(() => {
            this.view(this.visible.from, this.visible.to);
            this.caption();
        });
        this.api.subscribeCrosshairMove((move) => hovered(move.point === undefined ? null : this.timeAt(move.point.x)));
    }

    /** Draws a scene and shows all of its range. */
    show(scene: Scene): void {
        this.scene = scene;
        const drawn = series(scene, this.colours);
        const isTrades = scene.trades !== null;
        const hidden = { upColor: CLEAR, downColor: CLEAR, wickUpColor: CLEAR, wickDownColor: CLEAR, borderVisible: false };
        const { buy, sell } = this.colours;
        const shown = { upColor: buy, downColor: sell, wickUpColor: buy, wickDownColor: sell, borderVisible: false };
        const priceFormat = { type: 'price' as const, precision: drawn.decimals, minMove: 10 ** -drawn.decimals };
        this.prices.applyOptions({ ...(isTrades ? hidden : shown), priceFormat, lastValueVisible: !isTrades });
        this.prices.setData(drawn.bars);
        this.volumes.setData(drawn.volumes);
        this.rates.setData(drawn.rates);
        this.quotes[0].setData(drawn.bids);
        this.quotes[1].setData(drawn.asks);
        this.dots.show(scene.trades, scene.grid, this.colours);
        this.describe(scene);
        this.stretch(scene.buckets.length > 0);
        this.view(scene.from, scene.to);
        this.caption();
    }

    /** Shows a part of the range or more than it, until the next scene. */
    view(from: number, to: number): void {
        this.visible = { from, to };
        if (this.scene === null) return;
        const { start, step } = this.scene.grid;
        // The chart shows its first and last slot in full: half a slot beyond these numbers on either side.
        const [first, last] = [(from - start) / step, (to + 1 - start) / step - 1];
        // It cannot show a part of one slot: until the next scene the last one stays.
        if (first < last) this.api.timeScale().setVisibleLogicalRange({ from: first, to: last });
        this.moved();
    }

    get range(): { from: number; to: number } {
        return this.visible;
    }

    /** The width of the part that shows time. */
    get width(): number {
        return this.api.timeScale().width();
    }

    x(time: number): number {
        const { from, to } = this.visible;
        return ((time - from) / (to + 1 - from)) * this.width;
    }

    timeAt(x: number): number {
        const { from, to } = this.visible;
        return Math.round(from + (x / Math.max(1, this.width)) * (to + 1 - from));
    }

    /** The trade or candle nearest to a time, within a few pixels. */
    nearest(time: number): { trade: Trade } | { candle: Candle } | null {
        if (this.scene === null) return null;
        const { trades, candles, grid } = this.scene;
        if (trades === null) {
            const index = slot(grid, time);
            const candle = candles.find((one) => slot(grid, one.time) === index);
            return candle === undefined ? null : { candle };
        }
        const at = trades.from(time);
        const near = [trades.list[at - 1], trades.list[at]].filter((trade) => trade !== undefined);
        const [first] = near.sort((a, b) => Math.abs(a.time - time) - Math.abs(b.time - time));
        return first !== undefined && Math.abs(this.x(first.time) - this.x(time)) < 12 ? { trade: first } : null;
    }

    /** Takes the colours of the theme again. */
    recolour(): void {
        this.colours = palette();
        const { text, rule, surface, bid, ask, line, muted } = this.colours;
        const label = { color: muted, labelBackgroundColor: text };
        const font = getComputedStyle(document.body).fontFamily;
        this.api.applyOptions({
            layout: {
                background: { color: surface }, textColor: text, fontSize: 11, fontFamily: font, attributionLogo: false,
                panes: { separatorColor: rule, separatorHoverColor: rule, enableResize: false },
            },
            grid: { vertLines: { color: rule }, horzLines: { color: rule } },
            crosshair: { vertLine: label, horzLine: label },
        });
        this.quotes[0].applyOptions({ color: bid });
        this.quotes[1].applyOptions({ color: ask });
        this.rates.applyOptions({ color: line });
        if (this.scene !== null) this.show(this.scene);
    }

    private stretch(hasRates = false): void {
        if (hasRates === this.hasRates) return;
        this.hasRates = hasRates;
        [5, 1.1, hasRates ? 1.1 : 0.01].forEach((factor, pane) => this.api.panes()[pane]?.setStretchFactor(factor));
    }

    /** Names the panes that have something to show; the first one's prices need no name, but its quotes do. */
    private caption(): void {
        const { scene } = this;
        const isShown = [scene !== null && scene.quotes.length > 0, scene !== null && this.volumes.data().length > 0, this.hasRates];
        let top = 0;
        this.captions.forEach((caption, pane) => {
            caption.hidden = !isShown[pane];
            caption.style.top = `${top + 3}px`;
            top += (this.api.panes()[pane]?.getHeight() ?? 0) + 1;
        });
    }

    private describe(scene: Scene): void {
        const { zone, trades, candles, interval } = scene;
        const count = trades === null ? candles.length : trades.list.length;
        const what = interval === null ? texts.trades : texts.candlesOf(interval);
        this.host.setAttribute('aria-label', texts.chartSummary(what, count, written(scene.from, zone, 0), written(scene.to, zone, 0)));
        Object.assign(this.host.dataset, { kind: interval ?? 'trades', count, rates: scene.buckets.length, from: scene.from, to: scene.to });
    }

    /** Decimals of a second that tell two pixels apart. */
    private decimalsOfTime(): number {
        const perPixel = (this.visible.to - this.visible.from) / Math.max(1, this.width);
        return perPixel > SECOND / 2 ? 0 : perPixel > 500 ? 3 : 6;
    }

    private tick(seconds: number, type: number): string {
        const said = written(Math.round(seconds * SECOND), 'utc', 6);
        const [year, monthAndDay, time] = [said.slice(0, 4), said.slice(5, 10), said.slice(11)];
        if (type === 0) return year;
        if (type <= 2) return monthAndDay;
        if (type === 3) return time.slice(0, 5);
        // The first slot is always offered, and too long a label would cover the next.
        if (!time.endsWith('.000000') && this.visible.to - this.visible.from > 10 * SECOND) return '';
        return time.replace(/\.0+$|(?<=\.\d*[1-9])0+$/, '');
    }
}

/** The scale of what is counted begins at nothing. */
function fromZero(found: () => AutoscaleInfo | null): AutoscaleInfo | null {
    const info = found();
    if (info?.priceRange) info.priceRange.minValue = 0;
    return info;
}
