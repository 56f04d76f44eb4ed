/** Light or dark: the system's choice until somebody makes another. */

import { button } from './dom.ts';
import { texts } from './texts.ts';

/** The colours that are drawn on canvas; their values are in style.css. */
export interface Palette {
    text: string; muted: string; rule: string; surface: string; buy: string; sell: string; line: string; bid: string; ask: string;
    captured: string; filled: string; gap: string; unknown: string;
}

const NAMES = [
    'text', 'muted', 'rule', 'surface', 'buy', 'sell', 'line', 'bid', 'ask', 'captured', 'filled', 'gap', 'unknown',
] as const;
const KEY = 'bitstamp-live theme';
const SYSTEM = matchMedia('(prefers-color-scheme: dark)');

export function palette(): Palette {
    const style = getComputedStyle(document.documentElement);
    return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as unknown as Palette;
}

/** Makes the switch; `changed` is called with each change of colours. */
export function themeSwitch(changed: () => void): HTMLButtonElement {
    const made = button('', { class: 'icon', onclick: () => choose(isDark() ? 'light' : 'dark') });
    const isDark = () => (localStorage.getItem(KEY) ?? (SYSTEM.matches ? 'dark' : 'light')) === 'dark';
    const apply = () => {
        document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
        made.textContent = isDark() ? '☀' : '☾';
        made.title = isDark() ? texts.toLight : texts.toDark;
        made.setAttribute('aria-label', made.title);
        changed();
    };
    const choose = (theme: string) => {
        // The system's own choice is not kept, so that the page follows it again.
        if (theme === (SYSTEM.matches ? 'dark' : 'light')) localStorage.removeItem(KEY);
        else localStorage.setItem(KEY, theme);
        apply();
    };
    SYSTEM.addEventListener('change', apply);
    apply();
    return made;
}
