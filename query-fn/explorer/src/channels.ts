/** The captured channels, and which of them belong to one market. */

import type { Api } from './api.ts';
import { text } from './fields.ts';

export interface Channel {
    name: string;
    /** `live_trades`, `live_orders`, `order_book`, ...; empty for a name that the API does not know. */
    family: string;
    /** `btcusd`; empty where the channel has none. */
    market: string;
}

export class Channels {
    private constructor(readonly list: Channel[]) {}

    static async load(api: Api, signal: AbortSignal): Promise<Channels> {
        const { rows } = await api.all('channels', {}, signal);
        return new Channels(rows.map((row) => ({
            name: text(row, 'channel'), family: text(row, 'family'), market: text(row, 'market'),
        })));
    }

    find(name: string | null): Channel | null {
        return this.list.find((channel) => channel.name === name) ?? null;
    }

    /** The channel to begin with: trades, if there are any. */
    first(): Channel | null {
        return this.list.find((channel) => channel.family === 'live_trades') ?? this.list[0] ?? null;
    }

    /** The channel of a family in the market of `channel`. */
    beside(channel: Channel, family: string): Channel | null {
        if (channel.market === '') return null;
        return this.list.find((other) => other.family === family && other.market === channel.market) ?? null;
    }

    /** The channels of the market: the chosen one first. */
    ofMarket(channel: Channel): Channel[] {
        const others = this.list.filter((other) => other.market === channel.market && other.name !== channel.name);
        return channel.market === '' ? [channel] : [channel, ...others];
    }

    /** Those whose names have every word of `said`. */
    search(said: string): Channel[] {
        const words = said.toLowerCase().split(/\s+/).filter((word) => word !== '');
        return this.list.filter((channel) => words.every((word) => channel.name.includes(word)));
    }
}
