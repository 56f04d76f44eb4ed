// A Chromium for the tests, and what every page in it must keep to.
import { chromium } from 'playwright-core';

const ARGS = [
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
];

export function launch() {
    return chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGS });
}

/**
 * Opens the page at `address` and hands it to `work`. Fails if the page logs an error; answers that are no success are logged by the
 * browser itself, so `refused` says which of them the test expects.
 */
export async function open(browser, address, work, { refused = () => false, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, timezoneId: 'Asia/Kolkata', ...options });
    const errors = [];
    try {
        const page = await context.newPage();
        page.setDefaultTimeout(60_000);
        page.on('pageerror', (error) => errors.push(error.stack));
        page.on('console', (message) => {
            const isExpected = message.text().startsWith('Failed to load resource') && refused(message.location().url);
            if (['error', 'warning'].includes(message.type()) && !isExpected) errors.push(`${message.text()} ${message.location().url}`);
        });
        await page.goto(address);
        try {
            await work(page, context);
        } catch (error) {
            const text = () => `${location.href}\n${(document.querySelector('dialog[open]') ?? document.body).innerText.slice(0, 1000)}`;
            // A page that is gone must not hide the error.
            const shown = await page.evaluate(text).catch(String);
            error.message += `\nthe page shows: ${shown}\nit logged: ${errors.join('\n')}`;
            throw error;
        }
    } finally {
        await context.close();
    }
    if (errors.length > 0) throw new Error(`the page logged: ${errors.join('\n')}`);
}

/** Waits until the view is read and drawn. */
export async function settled(page) {
    await page.waitForSelector('.readout[data-busy="false"]');
    await page.waitForFunction(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true)))));
}

/** What the chart draws, except the rates, for which nothing waits. */
export function chart(page) {
    return page.evaluate(() => {
        const { kind, count, from, to } = document.querySelector('.chart').dataset;
        return { kind, count, from, to };
    });
}

export function rows(page) {
    return page.evaluate(() => [...document.querySelectorAll('.events tbody tr:not(.pad)')].map((row) => row.innerText));
}
