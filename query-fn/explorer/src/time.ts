/** Times are microseconds since the Unix epoch, as in the API: whole numbers that a double holds exactly. */

export const SECOND = 1_000_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Whose clock times are written in. */
export type Zone = 'utc' | 'local';

export function now(): number {
    return Date.now() * 1000;
}

/** The offset of the zone from UTC at this time, microseconds. */
export function offset(time: number, zone: Zone): number {
    return zone === 'utc' ? 0 : -new Date(time / 1000).getTimezoneOffset() * MINUTE;
}

/** `2026-11-28 22:15:00.123456`, with so many decimals of a second. */
export function written(time: number, zone: Zone, decimals: number): string {
    const shifted = time + offset(time, zone);
    const whole = Math.floor(shifted / SECOND);
    const seconds = new Date(whole * 1000).toISOString().slice(0, 19).replace('T', ' ');
    if (decimals === 0) return seconds;
    return `${seconds}.${String(shifted - whole * SECOND).padStart(6, '0').slice(0, decimals)}`;
}

/** RFC 3339 in UTC without needless zeros: what addresses and requests carry. */
export function rfc3339(time: number): string {
    return `${written(time, 'utc', 6).replace(' ', 'T').replace(/\.?0+$/, '')}Z`;
}

const UNITS: Record<string, number> = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY };
const WRITTEN = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?\s*(Z|UTC|[+-]\d\d:\d\d)?$/i;

/** A length such as `15m`, in microseconds; null if it is none. */
export function length(said: string): number | null {
    const parts = /^([1-9]\d{0,2})([smhdw])$/.exec(said);
    return parts === null ? null : Number(parts[1]) * (UNITS[parts[2] as string] as number);
}

/**
 * Reads a time as people type it: a date, with or without time of day and offset; microseconds; `now`; `-15m`. Without an offset it is in
 * `zone`. A day alone is its first microsecond, or, as the end of a range, its last. Null if it is none of these.
 */
export function read(typed: string, zone: Zone, isEnd: boolean): number | null {
    const said = typed.trim();
    if (said === 'now') return now();
    if (/^\d{15,17}$/.test(said)) return Number(said);
    const ago = said.startsWith('-') ? length(said.slice(1)) : null;
    if (ago !== null) return now() - ago;
    const parts = WRITTEN.exec(said);
    if (parts === null) return null;
    const [, year, month, day, hours = '0', minutes = '0', seconds = '0', fraction = '', given] = parts;
    const numbers = [year, month, day, hours, minutes, seconds].map(Number) as [number, number, number, number, number, number];
    const utc = Date.UTC(numbers[0], numbers[1] - 1, ...(numbers.slice(2) as [number, number, number, number]));
    const isReal = new Date(utc).toISOString().startsWith(`${year}-${month}-${day}`) && numbers[3] < 24 && numbers[4] < 60 && numbers[5] < 60;
    if (!isReal) return null;
    const rest = Number(fraction.padEnd(6, '0')) + (isEnd && parts[4] === undefined ? DAY - 1 : 0);
    return fromWall(numbers, utc, zone, given) * 1000 + rest;
}

function fromWall(numbers: [number, number, number, number, number, number], utc: number, zone: Zone, given?: string): number {
    if (given !== undefined && /\d/.test(given)) {
        const sign = given.startsWith('-') ? -1 : 1;
        return utc - sign * (Number(given.slice(1, 3)) * 60 + Number(given.slice(4, 6))) * 60_000;
    }
    if (given !== undefined || zone === 'utc') return utc;
    return new Date(numbers[0], numbers[1] - 1, numbers[2], numbers[3], numbers[4], numbers[5]).getTime();
}

/** A duration in its two largest units: `1 h 5 min`, `12.3 s`, `850 ms`, `17 µs`. */
export function duration(micros: number): string {
    if (micros < 1000) return `${micros} µs`;
    if (micros < SECOND) return `${trimmed(micros / 1000)} ms`;
    if (micros < MINUTE) return `${trimmed(micros / SECOND)} s`;
    const seconds = Math.round(micros / SECOND);
    const steps: [number, string][] = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
    const first = steps.findIndex(([step]) => seconds >= step);
    let rest = seconds;
    const parts = steps.slice(first, first + 2).map(([step, unit]) => {
        const count = Math.floor(rest / step);
        rest -= count * step;
        return count > 0 ? `${count} ${unit}` : '';
    });
    return parts.filter((part) => part !== '').join(' ');
}

function trimmed(value: number): string {
    return String(Number(value.toPrecision(3)));
}
