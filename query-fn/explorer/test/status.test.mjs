// The daemon's status page in a browser, against the local demo, which serves it beside the explorer.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';

import { launch, open } from './browser.mjs';
import { demoOnce, until } from './demo.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = process.env.EXPLORER_SHOTS ?? null;

let system;
let browser;

before(async () => {
    system = await demoOnce(process.env.BITSTAMP_LIVE, 1);
    browser = await launch();
});

after(async () => {
    await browser?.close();
    await system?.stop();
});

async function violations(page) {
    await page.evaluate(AXE);
    const found = await page.evaluate(() => globalThis.axe.run({ resultTypes: ['violations'] }));
    const grave = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
    return grave.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`);
}

const shown = (page) => page.waitForSelector('#main[aria-busy="false"]');
/** The value beside a name in one of the page's lists. */
const value = (page, name) => page.evaluate((name) => [...document.querySelectorAll('dt')].find((one) => one.textContent === name).nextSibling.textContent, name);
const document = async () => (await fetch(`${system.url}/status?format=json`)).json();

describe('status', () => {
    test('it shows what the document says and follows it', async () => {
        await open(browser, `${system.url}/status`, async (page) => {
            await shown(page);
            await page.waitForSelector('.badge[data-state="healthy"]');
            await page.waitForFunction(() => /^[1-9][\d.,]*\/s$/.test([...document.querySelectorAll('#events dd')][1]?.textContent));
            const first = await value(page, 'stored since the start');
            await page.waitForFunction((first) => [...document.querySelectorAll('#events dd')].at(-1).textContent !== first, first);
            const { channels, connections } = await document();
            assert.equal(await page.locator('#channels tbody tr').count(), channels.length);
            assert.equal(await page.locator('#connections tbody tr').count(), connections.list.length);
            assert.match(await value(page, 'a day, on demand'), /^\d+\.\d\d USD$/);
            assert.deepEqual(await violations(page), []);
            await page.click('#theme');
            assert.deepEqual(await violations(page), []);
        });
    });

    test('the explorer links to it, and it links back', async () => {
        await open(browser, `${system.url}/`, async (page) => {
            await page.click('.top a:text-is("Status")');
            await shown(page);
            await page.click('.top a:text-is("Explorer")');
            await page.waitForSelector('.readout');
        });
    });

    test('it fits a phone, in the dark, and answers the keyboard', async () => {
        await open(browser, `${system.url}/status`, async (page) => {
            await shown(page);
            assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it scrolls sideways');
            assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(13, 18, 24)');
            assert.deepEqual(await violations(page), []);
            await page.keyboard.press('Tab');
            assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
            await page.keyboard.press('Enter');
            assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
        }, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
    });

    test('with every place taken it asks for the document instead', async () => {
        const viewers = [];
        try {
            await until('every place is taken', async () => {
                const abort = new AbortController();
                const answer = await fetch(`${system.url}/status?format=events`, { signal: abort.signal });
                if (answer.status === 503) return true;
                viewers.push(abort);
                return false;
            });
            await open(browser, `${system.url}/status`, async (page) => {
                await shown(page);
                await page.waitForFunction(() => document.querySelector('#lost').textContent.includes('Too many viewers'));
                viewers.splice(0).forEach((viewer) => viewer.abort());
                await page.waitForSelector('#lost', { state: 'hidden' });
            }, { refused: (url) => url.endsWith('format=events') });
        } finally {
            viewers.forEach((viewer) => viewer.abort());
        }
    });

    test('pictures', { skip: SHOTS === null }, async () => {
        await open(browser, `${system.url}/status`, async (page) => {
            await shown(page);
            await until('a minute of rates', async () => (await document()).cost.over_us > 20e6);
            await page.waitForTimeout(1500);
            await page.screenshot({ path: `${SHOTS}/status.png` });
        }, { timezoneId: 'UTC' });
    });

    // The last one: it stops the daemon.
    test('a daemon that is gone is said so', async () => {
        await open(browser, `${system.url}/status`, async (page) => {
            await shown(page);
            await system.stop();
            await page.waitForFunction(() => document.querySelector('#lost').textContent.includes('The daemon does not answer. What is shown is of '));
            assert.equal(await page.textContent('#health'), 'no answer');
            assert.ok(await page.locator('#channels tbody tr').count() > 0, 'what was shown stays');
        }, { refused: () => true });
    });
});
