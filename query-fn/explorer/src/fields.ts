/**
 * Reads one JSON object as its fields' source text. `JSON.parse` would round ids past 2^53 and drop the zeros of a price; here every
 * value stays the characters that were sent.
 */

/** A field's name to the JSON text of its value. */
export type Fields = Map<string, string>;

const KEY = /\s*,?\s*("(?:[^"\\]|\\.)*")\s*:\s*/y;
const SCALAR = /"(?:[^"\\]|\\.)*"|[^,\s[\]{}"]+/y;
const STRUCTURE = /"(?:[^"\\]|\\.)*"|[[\]{}]/g;

/** Reads a line of NDJSON. Throws a `SyntaxError` if it is no object. */
export function fields(line: string): Fields {
    const found: Fields = new Map();
    let at = line.indexOf('{') + 1;
    if (at === 0) throw new SyntaxError('no object');
    for (;;) {
        KEY.lastIndex = at;
        const key = KEY.exec(line);
        if (key === null) break;
        at = KEY.lastIndex;
        const end = endOfValue(line, at);
        found.set(JSON.parse(key[1] as string) as string, line.slice(at, end));
        at = end;
    }
    if (!/^\s*}\s*$/.test(line.slice(at))) throw new SyntaxError('an object that does not end');
    return found;
}

function endOfValue(line: string, at: number): number {
    if (line[at] !== '[' && line[at] !== '{') {
        SCALAR.lastIndex = at;
        if (SCALAR.exec(line) === null) throw new SyntaxError('a field without a value');
        return SCALAR.lastIndex;
    }
    let depth = 0;
    STRUCTURE.lastIndex = at;
    for (let token = STRUCTURE.exec(line); token !== null; token = STRUCTURE.exec(line)) {
        if (token[0] === '[' || token[0] === '{') depth += 1;
        else if (token[0] === ']' || token[0] === '}') depth -= 1;
        if (depth === 0) return STRUCTURE.lastIndex;
    }
    throw new SyntaxError('a value that does not end');
}

/** The text of a field as people read it: a string without its quotes, everything else as sent; empty if it is missing or null. */
export function text(of: Fields, name: string): string {
    const source = of.get(name);
    if (source === undefined || source === 'null') return '';
    return source.startsWith('"') ? (JSON.parse(source) as string) : source;
}

/** A field that is a time in microseconds, which a double holds exactly until the year 2255. */
export function micros(of: Fields, name: string): number {
    return Number(text(of, name));
}
