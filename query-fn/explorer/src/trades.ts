/** Single trades in order of time, each once, with their digits as sent. */

export interface Trade {
    time: number;
    id: string;
    price: string;
    amount: string;
    isBuy: boolean;
}

/** The columns that `Trades` are read from, as CSV. */
export const TRADE_FIELDS = 'nmicrotimestamp,id_str,price_str,amount_str,type';

export class Trades {
    readonly list: Trade[] = [];
    /** Prices as doubles, to draw them. */
    readonly prices: number[] = [];
    private readonly ids = new Set<string>();

    /** Adds a page of CSV with the columns of `TRADE_FIELDS`. */
    addCsv(body: string): void {
        const lines = body.split('\r\n');
        for (let at = 1; at < lines.length; at += 1) {
            const [time, id, price, amount, type] = (lines[at] as string).split(',');
            if (type === undefined) continue;
            this.add({ time: Number(time), id: id as string, price: price as string, amount: amount as string, isBuy: type === '0' });
        }
    }

    add(trade: Trade): boolean {
        const price = Number(trade.price);
        if (this.ids.has(trade.id) || trade.price === '' || !Number.isFinite(price)) return false;
        this.ids.add(trade.id);
        let at = this.list.length;
        while (at > 0 && (this.list[at - 1] as Trade).time > trade.time) at -= 1;
        if (at === this.list.length) {
            this.list.push(trade);
            this.prices.push(price);
            return true;
        }
        this.list.splice(at, 0, trade);
        this.prices.splice(at, 0, price);
        return true;
    }

    /** Forgets those before `time`. */
    dropBefore(time: number): void {
        const kept = this.from(time);
        for (const trade of this.list.splice(0, kept)) this.ids.delete(trade.id);
        this.prices.splice(0, kept);
    }

    /** The place of the first trade at `time` or later. */
    from(time: number): number {
        let [low, high] = [0, this.list.length];
        while (low < high) {
            const middle = (low + high) >> 1;
            if ((this.list[middle] as Trade).time < time) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
