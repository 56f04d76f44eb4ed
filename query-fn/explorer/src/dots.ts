/** Draws single trades on the chart: triangles by side while they can be told apart, else each pixel's range of prices. */

import type {
    AutoscaleInfo, IChartApi, IPrimitivePaneView, ISeriesApi, ISeriesPrimitive, Logical, SeriesAttachedParameter, Time,
} from 'lightweight-charts';

import type { Grid } from './grid.ts';
import type { Palette } from './theme.ts';
import type { Trade, Trades } from './trades.ts';

/** More trades than this a pixel are drawn as a range. */
const CROWDED = 0.5;
const SIZE = 3.5;

export class Dots implements ISeriesPrimitive<Time> {
    private chart: IChartApi | null = null;
    private series: ISeriesApi<'Candlestick'> | null = null;
    private update: () => void = () => {};
    private trades: Trades | null = null;
    private grid: Grid | null = null;
    private readonly views: IPrimitivePaneView[] = [{
        zOrder: () => 'top',
        renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace(({ context, mediaSize }) => this.draw(context, mediaSize.width)) }),
    }];

    constructor(private palette: Palette) {}

    attached({ chart, series, requestUpdate }: SeriesAttachedParameter<Time>): void {
        this.chart = chart as IChartApi;
        this.series = series as ISeriesApi<'Candlestick'>;
        this.update = requestUpdate;
    }

    paneViews(): readonly IPrimitivePaneView[] {
        return this.views;
    }

    /** The series below has the same prices, so its own scale fits. */
    autoscaleInfo(): AutoscaleInfo | null {
        return null;
    }

    show(trades: Trades | null, grid: Grid, palette: Palette): void {
        this.trades = trades;
        this.grid = grid;
        this.palette = palette;
        this.update();
    }

    private draw(context: CanvasRenderingContext2D, width: number): void {
        const { trades, grid, chart, series } = this;
        if (trades === null || grid === null || chart === null || series === null || trades.list.length === 0) return;
        const base = trades.prices[0] as number;
        const [x0, x1] = [chart.timeScale().logicalToCoordinate(0 as Logical), chart.timeScale().logicalToCoordinate(1 as Logical)];
        const [y0, y1] = [series.priceToCoordinate(base), series.priceToCoordinate(base * 2)];
        if (x0 === null || x1 === null || y0 === null || y1 === null || base === 0) return;
        const perMicro = (x1 - x0) / grid.step;
        const origin = x0 - (x1 - x0) / 2;
        const perPrice = (y1 - y0) / base;
        const x = (time: number) => origin + (time - grid.start) * perMicro;
        const y = (price: number) => y0 + (price - base) * perPrice;
        const first = Math.max(0, trades.from(grid.start - origin / perMicro) - 1);
        const end = Math.min(trades.list.length, trades.from(grid.start + (width - origin) / perMicro) + 1);
        if (end - first > width * CROWDED) this.ranges(context, trades, first, end, x, y);
        else this.triangles(context, trades, first, end, x, y);
    }

    private triangles(
        context: CanvasRenderingContext2D, trades: Trades, first: number, end: number,
        x: (time: number) => number, y: (price: number) => number,
    ): void {
        context.strokeStyle = this.palette.muted;
        context.lineWidth = 1;
        context.beginPath();
        for (let at = first; at < end; at += 1) {
            const [left, top] = [x((trades.list[at] as Trade).time), y(trades.prices[at] as number)];
            // A price holds until the next trade.
            if (at > first) context.lineTo(left, y(trades.prices[at - 1] as number));
            context.lineTo(left, top);
        }
        context.stroke();
        for (const isBuy of [true, false]) {
            context.fillStyle = isBuy ? this.palette.buy : this.palette.sell;
            const up = isBuy ? -SIZE : SIZE;
            context.beginPath();
            for (let at = first; at < end; at += 1) {
                const trade = trades.list[at] as Trade;
                if (trade.isBuy !== isBuy) continue;
                const [left, top] = [x(trade.time), y(trades.prices[at] as number)];
                context.moveTo(left, top + up);
                context.lineTo(left + SIZE, top - up);
                context.lineTo(left - SIZE, top - up);
                context.closePath();
            }
            context.fill();
        }
    }

    private ranges(
        context: CanvasRenderingContext2D, trades: Trades, first: number, end: number,
        x: (time: number) => number, y: (price: number) => number,
    ): void {
        context.fillStyle = this.palette.line;
        let at = first;
        while (at < end) {
            const column = Math.floor(x((trades.list[at] as Trade).time));
            let [low, high] = [Infinity, -Infinity];
            for (; at < end && Math.floor(x((trades.list[at] as Trade).time)) === column; at += 1) {
                const price = trades.prices[at] as number;
                if (price < low) low = price;
                if (price > high) high = price;
            }
            const top = y(high);
            context.fillRect(column, top, 1, Math.max(1, y(low) - top));
        }
    }
}
