/**
 * Follows channels: the API's stream of events where it has one, else a page every two seconds. Read with `fetch`, because `EventSource`
 * cannot send the key as a header.
 */

import { type Api, isAborted, Refused } from './api.ts';
import { type Fields, fields } from './fields.ts';
import { now, SECOND } from './time.ts';

const POLL = 2000;
/** How late an event may become readable: so much is read again. */
const LATE = 3 * SECOND;
/** A stream that says nothing for so long, not even a comment, is broken. */
const SILENCE = 60_000;
const PAGE = 5000;

export type Way = 'connecting' | 'stream' | 'poll';

export interface Listener {
    /** Called with new events, oldest first; the same event may come again. */
    events: (rows: Fields[], lines: string[]) => void;
    way: (way: Way) => void;
}

/** Follows until `signal` aborts. `since` is the time from which events are wanted. */
export async function follow(api: Api, channels: string[], since: number, listener: Listener, signal: AbortSignal): Promise<void> {
    const channel = channels.join(',');
    const reader = new Catcher(api, channel, since, listener, signal);
    listener.way('connecting');
    let token: string | null = null;
    try {
        for (;;) {
            const response = await open(api, channel, token, signal);
            if (response === null) break;
            listener.way('stream');
            // The stream begins now: what came since the page before is read beside it.
            if (token === null) await reader.catchUp();
            token = await messages(response, listener, signal) ?? token;
        }
        listener.way('poll');
        for (;;) {
            await reader.catchUp();
            await pause(POLL, signal);
        }
    } catch (error) {
        if (!isAborted(error) && !signal.aborted) throw error;
    }
}

/** Opens the stream; null where there is none, or where what stands before it gathers whole answers. */
async function open(api: Api, channel: string, token: string | null, signal: AbortSignal): Promise<Response | null> {
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (token !== null) headers['last-event-id'] = token;
    try {
        const response = await api.get(api.address('tail', { channel }), headers, signal);
        if (response.headers.get('content-type')?.startsWith('text/event-stream')) return response;
        await response.body?.cancel();
    } catch (error) {
        if (!(error instanceof Refused)) throw error;
    }
    return null;
}

/** Reads a stream to its end; returns the last token. */
async function messages(response: Response, listener: Listener, signal: AbortSignal): Promise<string | null> {
    const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader() as ReadableStreamDefaultReader<string>;
    let token: string | null = null;
    let rest = '';
    for (;;) {
        const read = await Promise.race([reader.read(), silence(signal)]).catch((error: unknown) => {
            if (signal.aborted) throw error;
            return null;
        });
        if (read === null || read.done) {
            void reader.cancel().catch(() => {});
            return token;
        }
        const blocks = (rest + read.value).replaceAll('\r\n', '\n').split('\n\n');
        rest = blocks.pop() as string;
        const lines: string[] = [];
        let isOver = false;
        for (const block of blocks) {
            const said = new Map(block.split('\n').filter((line) => !line.startsWith(':')).map((line) => {
                const [name, ...value] = line.split(':');
                return [name as string, value.join(':').replace(/^ /, '')];
            }));
            token = said.get('id') ?? token;
            if (said.get('event') === 'end') isOver = true;
            else if (said.has('data')) lines.push(said.get('data') as string);
        }
        if (lines.length > 0) listener.events(lines.map(fields), lines);
        if (isOver) {
            void reader.cancel().catch(() => {});
            return token;
        }
    }
}

function silence(signal: AbortSignal): Promise<null> {
    return pause(SILENCE, signal).then(() => null);
}

/** Reads pages from where it last ended, a little earlier because of late events. */
class Catcher {
    private last: number;

    constructor(private readonly api: Api, private readonly channel: string, since: number, private readonly listener: Listener, private readonly signal: AbortSignal) {
        this.last = since;
    }

    async catchUp(): Promise<void> {
        const from = Math.max(0, this.last - LATE);
        let token: string | null = null;
        do {
            const asked = { channel: this.channel, from, limit: PAGE, ExclusiveStartKey: token };
            const page = await this.api.page('bitstamp', asked, this.signal);
            if (page.rows.length > 0) this.listener.events(page.rows, page.lines);
            const newest = page.rows.at(-1)?.get('nmicrotimestamp');
            if (newest !== undefined) this.last = Math.min(now(), Math.max(this.last, Number(newest)));
            token = page.next;
        } while (token !== null);
    }
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, milliseconds);
        signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
    });
}
