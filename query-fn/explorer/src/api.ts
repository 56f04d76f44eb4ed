/** Requests to the API that this page came from. */

import { type Fields, fields } from './fields.ts';
import { texts } from './texts.ts';

export type Parameters = Record<string, string | number | null>;

export interface Page {
    rows: Fields[];
    /** The lines as sent, one a row. */
    lines: string[];
    /** The token of the next page. */
    next: string | null;
}

/** What stands in the way of an answer, and when the next attempt is. */
export interface Trouble {
    said: string;
    /** Milliseconds since the epoch. */
    retryAt: number;
    retryNow: () => void;
}

/** An answer that repeating will not change. */
export class Refused extends Error {
    constructor(readonly status: number, readonly type: string, detail: string) {
        super(detail);
    }
}

export interface Watcher {
    /** Called when an attempt failed, and with null when an answer came. */
    trouble: (trouble: Trouble | null) => void;
    /** Called with the address of the daemon's status page, where the server names one: only a local server does. */
    status: (address: string) => void;
    /** Asks for the key; `refused` is true if the last one was wrong. */
    key: (refused: boolean) => Promise<string>;
}

const KEY = 'bitstamp-live key';
/** The status page in a `Link` (RFC 8631). */
const STATUS = /<([^>]*)>; rel="status"/;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;

export class Api {
    private asked: Promise<void> | null = null;

    constructor(private readonly watcher: Watcher) {}

    /** The absolute address of a path and its parameters. Paths are relative: a stage may precede them. */
    address(path: string, parameters: Parameters = {}): string {
        const url = new URL(path, new URL('.', document.baseURI));
        for (const [name, value] of Object.entries(parameters)) {
            if (value !== null) url.searchParams.set(name, String(value));
        }
        return url.href.replaceAll('%3A', ':').replaceAll('%2C', ',');
    }

    get key(): string | null {
        return sessionStorage.getItem(KEY);
    }

    /** Reads one page of a list. */
    async page(path: string, parameters: Parameters, signal: AbortSignal): Promise<Page> {
        const response = await this.get(this.address(path, { ...parameters, format: 'ndjson' }), {}, signal);
        const lines = (await response.text()).split('\n').filter((line) => line !== '');
        return { rows: lines.map(fields), lines, next: response.headers.get('last-evaluated-key') };
    }

    /** Reads a list to its end, or until it has `most` rows. */
    async all(path: string, parameters: Parameters, signal: AbortSignal, most = Infinity): Promise<{ rows: Fields[]; isCut: boolean }> {
        const rows: Fields[] = [];
        let token: string | null = null;
        do {
            const page: Page = await this.page(path, { ...parameters, ExclusiveStartKey: token }, signal);
            rows.push(...page.rows);
            token = page.next;
        } while (token !== null && rows.length < most);
        return { rows, isCut: token !== null };
    }

    /**
     * Sends a request until it is answered: a failed connection, 429 and 5xx are repeated at growing pauses, never before `Retry-After`; a
     * refused key is asked for. Throws `Refused` for every other answer that is no success.
     */
    async get(address: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
        let pause = FIRST_PAUSE;
        for (;;) {
            const key = this.key;
            const sent = key === null ? headers : { ...headers, 'x-api-key': key };
            const response = await fetch(address, { headers: sent, signal }).catch((error: unknown) => {
                if (signal.aborted) throw error;
                return null;
            });
            if (response?.ok) {
                this.watcher.trouble(null);
                const [, status] = STATUS.exec(response.headers.get('link') ?? '') ?? [];
                if (status !== undefined) this.watcher.status(status);
                return response;
            }
            if (response?.status === 401 || response?.status === 403) {
                await this.askForKey(key);
                signal.throwIfAborted();
                continue;
            }
            if (response !== null && response.status !== 429 && response.status < 500) throw await refusal(response);
            await this.wait(response, pause, signal);
            pause = Math.min(pause * 2, LONGEST_PAUSE);
        }
    }

    private async wait(response: Response | null, pause: number, signal: AbortSignal): Promise<void> {
        const said = response === null ? texts.down : texts.busy(response.status, (await refusal(response)).message);
        const named = Number(response?.headers.get('retry-after') ?? 0) * 1000;
        const length = Math.max(pause * (0.8 + 0.4 * Math.random()), Number.isFinite(named) ? named : 0);
        await new Promise<void>((resolve, reject) => {
            const timer = setTimeout(resolve, length);
            signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
            this.watcher.trouble({ said, retryAt: Date.now() + length, retryNow: resolve });
        });
    }

    /** Asks once for all requests that wait. `used` is the key that was refused. */
    private async askForKey(used: string | null): Promise<void> {
        if (this.key !== used) return;
        this.asked ??= this.watcher.key(used !== null).then((key) => {
            sessionStorage.setItem(KEY, key);
            this.asked = null;
        });
        await this.asked;
    }
}

async function refusal(response: Response): Promise<Refused> {
    const body = await response.text().catch(() => '');
    try {
        const problem = JSON.parse(body) as { type?: string; title?: string; detail?: string; errors?: { parameter: string; reason: string }[] };
        const faults = problem.errors?.map((fault) => `${fault.parameter}: ${fault.reason}`).join('; ');
        return new Refused(response.status, problem.type ?? '', faults ?? problem.detail ?? problem.title ?? response.statusText);
    } catch {
        return new Refused(response.status, '', response.statusText || String(response.status));
    }
}

/** True if the error says that a request is no longer wanted. */
export function isAborted(error: unknown): boolean {
    return error instanceof DOMException && error.name === 'AbortError';
}
