/** Chooses a channel: a button, and a list that narrows while one types. */

import type { Channel, Channels } from './channels.ts';
import { button, element, opens } from './dom.ts';
import { texts } from './texts.ts';

const MOST_SHOWN = 200;

export class Picker {
    readonly button = button(texts.chooseChannel, { class: 'menu channel' });
    readonly popover = element('div', { class: 'popover picker', role: 'dialog', 'aria-label': texts.chooseChannel });
    private readonly input = element('input', {
        type: 'search', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'channels', 'aria-autocomplete': 'list',
        'aria-label': texts.chooseChannel, placeholder: texts.searchChannel, autocomplete: 'off', spellcheck: 'false',
    });
    private readonly list = element('ul', { id: 'channels', role: 'listbox', 'aria-label': texts.channel });
    private readonly count = element('p', { class: 'muted', role: 'status' });
    private channels: Channels | null = null;
    private found: Channel[] = [];
    private at = 0;
    private current: string | null = null;

    constructor(private readonly chosen: (channel: Channel) => void) {
        this.popover.append(this.input, this.list, this.count);
        opens(this.button, this.popover, () => {
            this.input.value = '';
            this.search();
            this.input.focus();
        });
        this.input.addEventListener('input', () => this.search());
        this.input.addEventListener('keydown', (event) => this.key(event));
    }

    show(channels: Channels, current: string | null): void {
        this.channels = channels;
        this.current = current;
        this.button.textContent = current ?? texts.chooseChannel;
        this.button.setAttribute('aria-label', `${texts.channel}: ${this.button.textContent}`);
    }

    private search(): void {
        this.found = this.channels?.search(this.input.value).slice(0, MOST_SHOWN) ?? [];
        this.at = Math.max(0, this.found.findIndex((channel) => channel.name === this.current));
        this.list.replaceChildren(...this.found.map((channel, at) => element('li', {
            role: 'option', id: `channel-${at}`, 'aria-selected': String(channel.name === this.current), onclick: () => this.take(at),
        }, element('span', {}, channel.name), element('small', {}, channel.market))));
        this.count.textContent = texts.channelsFound(this.found.length);
        this.mark();
    }

    private mark(): void {
        [...this.list.children].forEach((option, at) => option.classList.toggle('at', at === this.at));
        this.list.children[this.at]?.scrollIntoView({ block: 'nearest' });
        if (this.found.length > 0) this.input.setAttribute('aria-activedescendant', `channel-${this.at}`);
        else this.input.removeAttribute('aria-activedescendant');
    }

    private key(event: KeyboardEvent): void {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step !== undefined && this.found.length > 0) {
            event.preventDefault();
            this.at = (this.at + step + this.found.length) % this.found.length;
            this.mark();
        }
        if (event.key === 'Enter') this.take(this.at);
    }

    private take(at: number): void {
        const channel = this.found[at];
        if (channel === undefined) return;
        this.popover.hidePopover();
        this.button.focus();
        this.chosen(channel);
    }
}
