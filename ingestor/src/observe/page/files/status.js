/** Shows the document of /status, which the daemon sends every second. No text is read as HTML. */

const THEME = 'bitstamp-live theme';
const SYSTEM = matchMedia('(prefers-color-scheme: dark)');
/** Interval between two attempts, and between two documents where there is no place for another viewer, in milliseconds. */
const AGAIN = 5000;

const texts = {
    healthy: 'healthy', unhealthy: 'not healthy', stopping: 'stopping', unknown: '–', none: 'none', nothing: 'Nothing has passed in this run.',
    lost: (at) => `The daemon does not answer. What is shown is of ${at} UTC. The page asks again by itself.`,
    never: 'The daemon does not answer. The page asks again by itself.',
    crowded: 'Too many viewers look at this daemon, so this page is brought up to date every 5 seconds only.',
    toDark: 'Dark theme', toLight: 'Light theme',
};

const at = (id) => document.getElementById(id);

// Numbers for people.

const whole = (number) => (number === null ? texts.unknown : number.toLocaleString('en-US'));
const rate = (number) => (number === null ? texts.unknown : `${number.toLocaleString('en-US', { minimumFractionDigits: 1 })}/s`);

function duration(micros) {
    if (micros === null) return texts.unknown;
    const size = Math.abs(micros);
    if (size < 1000) return `${micros} µs`;
    if (size < 1e6) return `${(micros / 1e3).toFixed(size < 1e5 ? 1 : 0)} ms`;
    if (size < 60e6) return `${(micros / 1e6).toFixed(1)} s`;
    const minutes = Math.floor(size / 60e6);
    if (minutes < 60) return `${minutes} min ${Math.floor((size / 1e6) % 60)} s`;
    const hours = Math.floor(minutes / 60);
    return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function bytes(number) {
    for (const [unit, factor] of [['GiB', 2 ** 30], ['MiB', 2 ** 20], ['KiB', 2 ** 10]]) {
        if (number >= factor) return `${(number / factor).toFixed(1)} ${unit}`;
    }
    return `${number} B`;
}

/** A time in microseconds since the Unix epoch, with all its digits. */
function time(micros) {
    const date = new Date(Math.floor(micros / 1000));
    return `${date.toISOString().slice(0, -1).replace('T', ' ')}${String(micros % 1000).padStart(3, '0')}`;
}

// Elements.

function element(tag, className, ...children) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...children);
    return made;
}

/** Puts pairs of name and value into a list; a third member is the value's class. Changes only what differs. */
function pairs(id, rows) {
    const wanted = rows.flatMap(([name, value, kind = '']) => [element('dt', '', name), element('dd', kind, value)]);
    put(at(id), wanted);
}

/** Puts a table. Columns of numbers are named in `numbers`. */
function table(id, heads, rows, numbers) {
    const kind = (place) => (numbers.includes(place) ? 'number' : '');
    const head = element('tr', '', ...heads.map((name, place) => {
        const cell = element('th', kind(place), name);
        cell.scope = 'col';
        return cell;
    }));
    const body = rows.map((row) => element('tr', '', ...row.map((cell, place) => (
        cell instanceof Node ? element('td', kind(place), cell) : element('td', kind(place), String(cell))
    ))));
    put(at(id), [element('thead', '', head), element('tbody', '', ...body)]);
}

/** Replaces what differs, so that a selection or a reader's place in what is the same stays. */
function put(host, wanted) {
    const present = [...host.children];
    wanted.forEach((node, place) => {
        const old = present[place];
        if (old === undefined) host.append(node);
        else if (!old.isEqualNode(node)) {
            if (old.tagName === 'TBODY' && node.tagName === 'TBODY') put(old, [...node.children]);
            else old.replaceWith(node);
        }
    });
    present.slice(wanted.length).forEach((node) => node.remove());
}

// The document.

function show(status) {
    const badge = at('health');
    const state = status.healthy ? 'healthy' : 'unhealthy';
    const said = status.stopping ? texts.stopping : texts[state];
    if (badge.textContent !== said) badge.textContent = said;
    badge.dataset.state = state;
    at('about').textContent = `version ${status.version}, up ${duration(status.uptime_us)}`;
    at('daemon').textContent = `${status.daemon}, ${time(status.now).slice(0, 19)}`;
    at('main').setAttribute('aria-busy', 'false');
    showTrouble(status);
    showNumbers(status);
    showTables(status);
}

function showTrouble({ trouble, last_troubles: past }) {
    const row = (component, reason, times, kind) => element('li', kind, element('b', '', component), element('span', '', reason), element('span', 'muted', times));
    put(at('trouble'), trouble.length === 0
        ? [element('li', 'good', texts.none)]
        : trouble.map((one) => row(one.component, one.reason, one.lasts_us === null ? '' : `for ${duration(one.lasts_us)}`, 'bad')));
    put(at('past'), past.length === 0
        ? [element('li', '', texts.nothing)]
        : past.map((one) => row(one.component, one.reason, `for ${duration(one.lasted_us)}, ended ${duration(one.ended_us)} ago`, '')));
}

function showNumbers({ received, stored, spool, writes, cost, clock, quarantine, audit, lease }) {
    const bad = (isBad) => (isBad ? 'bad' : '');
    pairs('events', [
        ['received, all connections', rate(received.per_second)], ['stored', rate(stored.per_second)],
        ['newest stored event', stored.newest_age_us === null ? texts.unknown : `${duration(stored.newest_age_us)} old`],
        ['received since the start', whole(received.total)], ['copies among them', whole(received.duplicates)],
        ['bytes received', bytes(received.bytes)], ['stored since the start', whole(stored.total)],
    ]);
    at('fill').value = spool.max_bytes === 0 ? 0 : spool.bytes / spool.max_bytes;
    pairs('spool', [
        ['size', `${bytes(spool.bytes)} of ${bytes(spool.max_bytes)}`, bad(spool.intake_stopped)],
        ['records waiting', whole(spool.records)], ['the oldest waits', duration(spool.oldest_age_us)],
        ['intake', spool.intake_stopped ? 'stopped: events are missed' : 'open', bad(spool.intake_stopped)],
        ['durable within', duration(spool.sync_us)],
    ]);
    pairs('writes', [
        ['requests at once allowed', whole(writes.limit)], ['duration of a request', duration(writes.duration_us)],
        ['batches', whole(writes.batches)], ['requests', whole(writes.requests)],
        ['throttled by the table', whole(writes.throttled_table), bad(writes.throttled_table > 0)],
        ['throttled by the index', whole(writes.throttled_index), bad(writes.throttled_index > 0)],
        ['failed', whole(writes.failed), bad(writes.failed > 0)], ['items unprocessed', whole(writes.unprocessed)],
    ]);
    const money = (text) => (text === null ? texts.unknown : `${text} ${cost.currency}`);
    pairs('cost', [
        ['write units a second', cost.units_per_second ?? texts.unknown], ['a day, on demand', money(cost.on_demand_a_day)],
        ['a day, provisioned', money(cost.provisioned_a_day)], ['counted over', duration(cost.over_us)],
        ['units since the start', whole(cost.units)], ['a million units', money(cost.price_per_million)],
        ['a provisioned unit, an hour', money(cost.price_per_unit_hour)],
    ]);
    pairs('clock', [
        ['ahead of the exchange by', duration(clock.skew_us)], ['steps', whole(clock.steps), bad(clock.steps > 0)],
        ['implausible times', whole(clock.implausible), bad(clock.implausible > 0)],
    ]);
    const roles = { none: 'this daemon, no lease', holder: 'this daemon, by the lease', standby: 'another daemon' };
    pairs('kept', [
        ['quarantine', `${whole(quarantine.records)} records, ${bytes(quarantine.bytes)}`, bad(quarantine.records > 0)],
        ['added since the start', whole(quarantine.added)], ['key conflicts', whole(quarantine.key_conflicts)],
        ['trades compared until', audit.through === null ? texts.unknown : time(audit.through).slice(0, 19)],
        ['trades found missing', whole(audit.missing), bad(audit.missing > 0)],
        ['who writes', roles[lease.role] ?? lease.role], ['events left to another', whole(lease.skipped)],
    ]);
}

function showTables({ connections, channels, gaps }) {
    const loss = connections.last_loss;
    at('connections-about').textContent = `${whole(connections.open)} open, ${whole(connections.subscriptions)} subscriptions confirmed, `
        + `${whole(connections.lost)} lost in this run${loss === null ? '.' : `; the last (${loss.connection}) ${duration(loss.age_us)} ago: ${loss.reason}.`}`;
    table('connections', ['connection', 'state', 'age', 'last message', 'proved until', 'confirmed'], connections.list.map((one) => [
        one.number, one.state, duration(one.age_us), ago(one.last_message_age_us), ago(one.proved_age_us), `${one.confirmed} of ${one.channels}`,
    ]), [2, 3, 4, 5]);
    // By what each has had so far: by the rate, rows would change places every second.
    const sorted = channels.toSorted((a, b) => b.events - a.events || (a.channel < b.channel ? -1 : 1));
    table('channels', ['channel', 'events', 'last event', 'stored'], sorted.map((one) => [
        one.channel, rate(one.events_per_second), ago(one.newest_age_us), whole(one.stored),
    ]), [1, 2, 3]);
    at('gaps-about').textContent = `${whole(gaps.open)} open, ${whole(gaps.filling)} being filled, ${whole(gaps.filled)} filled with `
        + `${whole(gaps.filled_events)} events, ${whole(gaps.unfillable)} refused; ${duration(gaps.length_us)} in all, over all channels, in this run.`;
    table('gaps', ['channel', 'state', 'length', 'from', 'through', 'reason'], gaps.last.map((one) => [
        one.channel, one.state === 'filled' ? one.state : element('span', 'bad', one.state), duration(one.through - one.from + 1),
        time(one.from), time(one.through), one.reason ?? texts.unknown,
    ]), [2]);
}

const ago = (micros) => (micros === null ? texts.unknown : `${duration(micros)} ago`);

// The connection to the daemon.

let source = null;
let timer = 0;
let last = null;

function receive(text) {
    last = JSON.parse(text);
    show(last);
}

function say(text) {
    const host = at('lost');
    if (host.textContent !== text) host.textContent = text;
    host.hidden = text === '';
}

function failed() {
    const badge = at('health');
    badge.dataset.state = 'unknown';
    badge.textContent = 'no answer';
    say(last === null ? texts.never : texts.lost(time(last.now).slice(11, 19)));
}

function follow() {
    clearTimeout(timer);
    source?.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource('status?format=events');
    source.onmessage = (event) => {
        say('');
        receive(event.data);
    };
    source.onerror = () => {
        // The browser connects again by itself, unless the answer was no stream.
        if (source.readyState === EventSource.CLOSED) void poll();
        else failed();
    };
}

async function poll() {
    clearTimeout(timer);
    try {
        const answer = await fetch('status?format=json');
        if (!answer.ok) throw new Error(String(answer.status));
        receive(await answer.text());
        say(texts.crowded);
    } catch {
        failed();
    }
    timer = setTimeout(follow, AGAIN);
}

// Light or dark: the system's choice until somebody makes another.

function theme() {
    const isDark = () => (localStorage.getItem(THEME) ?? (SYSTEM.matches ? 'dark' : 'light')) === 'dark';
    const apply = () => {
        document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
        at('theme').textContent = isDark() ? '☀' : '☾';
        at('theme').title = isDark() ? texts.toLight : texts.toDark;
        at('theme').setAttribute('aria-label', at('theme').title);
    };
    at('theme').addEventListener('click', () => {
        const chosen = isDark() ? 'light' : 'dark';
        if (chosen === (SYSTEM.matches ? 'dark' : 'light')) localStorage.removeItem(THEME);
        else localStorage.setItem(THEME, chosen);
        apply();
    });
    SYSTEM.addEventListener('change', apply);
    apply();
}

theme();
// A page that nobody looks at asks for nothing.
document.addEventListener('visibilitychange', follow);
follow();
