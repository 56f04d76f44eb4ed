/** Download of what the table shows, and the `curl` line for it. */

import type { Api, Parameters } from './api.ts';
import { button, element, opens } from './dom.ts';
import { texts } from './texts.ts';
import { rfc3339 } from './time.ts';

export interface Shown { channel: string; from: number; to: number; order: 'asc' | 'desc'; columns: string[] }

export class Download {
    readonly button = button(texts.download, { class: 'menu' });
    readonly popover = element('div', { class: 'popover download', role: 'dialog', 'aria-label': texts.download });
    private readonly everyColumn = element('input', { type: 'radio', name: 'which', id: 'every-column' });
    private readonly shownColumns = element('input', { type: 'radio', name: 'which', id: 'shown-columns', checked: true });
    private readonly links = { csv: element('a', { class: 'button', download: true }, 'CSV'), ndjson: element('a', { class: 'button', download: true }, 'NDJSON') };
    private readonly command = element('code', { tabindex: 0 });
    private readonly said = element('p', { role: 'status', class: 'muted' });

    constructor(private readonly api: Api, private readonly shown: () => Shown | null) {
        const copy = button(texts.copy, { onclick: () => void this.copy() });
        this.popover.append(
            element('p', {}, texts.downloadWhat),
            element('div', { class: 'choice' }, this.shownColumns, element('label', { for: 'shown-columns' }, texts.shownColumns),
                this.everyColumn, element('label', { for: 'every-column' }, texts.everyColumn)),
            element('div', { class: 'choice' }, this.links.csv, this.links.ndjson),
            element('h3', {}, texts.curl), this.command, copy, this.said);
        opens(this.button, this.popover, () => this.refresh());
        this.popover.addEventListener('change', () => this.refresh());
        for (const format of ['csv', 'ndjson'] as const) {
            this.links[format].addEventListener('click', (event) => {
                if (this.api.key === null) return;
                // A link cannot carry the key.
                event.preventDefault();
                void this.fetched(format);
            });
        }
    }

    private asked(format: string): Parameters | null {
        const shown = this.shown();
        if (shown === null) return null;
        const { channel, from, to, order, columns } = shown;
        const fields = this.everyColumn.checked ? null : columns.join(',');
        return { channel, from: rfc3339(from), to: rfc3339(to), order, format, fields };
    }

    private name(format: string): string {
        const shown = this.shown();
        return `${shown?.channel}_${rfc3339(shown?.from ?? 0).replaceAll(':', '')}.${format}`;
    }

    private refresh(): void {
        for (const format of ['csv', 'ndjson'] as const) {
            const asked = this.asked(format);
            if (asked === null) return;
            this.links[format].href = this.api.address('export', asked);
            this.links[format].download = this.name(format);
        }
        const key = this.api.key === null ? '' : ' -H "x-api-key: $API_KEY"';
        this.command.textContent = `curl -fsS${key} '${this.links.csv.href}'`;
        this.said.textContent = '';
    }

    private async copy(): Promise<void> {
        try {
            await navigator.clipboard.writeText(this.command.textContent ?? '');
            this.said.textContent = texts.copied;
        } catch {
            // Without permission, or without HTTPS: marked, so that a key copies it.
            getSelection()?.selectAllChildren(this.command);
        }
    }

    private async fetched(format: string): Promise<void> {
        this.said.textContent = texts.loading;
        try {
            const asked = this.asked(format) as Parameters;
            const response = await this.api.get(this.api.address('export', asked), {}, new AbortController().signal);
            const url = URL.createObjectURL(await response.blob());
            element('a', { href: url, download: this.name(format) }).click();
            setTimeout(() => URL.revokeObjectURL(url), 60_000);
            this.said.textContent = '';
        } catch (error) {
            this.said.textContent = texts.downloadFailed(error instanceof Error ? error.message : String(error));
        }
    }
}
