/** Asks for the API's key. */

import { button, element } from './dom.ts';
import { texts } from './texts.ts';

/** Shows the prompt until a key is given; it cannot be passed over, because without a key there is nothing to see. */
export function askForKey(isRefused: boolean): Promise<string> {
    const input = element('input', { type: 'password', id: 'key', required: true, autocomplete: 'off', spellcheck: 'false', 'aria-describedby': 'key-hint' });
    const send = button(texts.keySend, { type: 'submit', class: 'main' });
    const form = element('form', { method: 'dialog', class: 'frame' },
        element('h2', { id: 'key-title' }, isRefused ? texts.keyRefused : texts.keyTitle),
        element('label', { for: 'key' }, texts.keyLabel), input,
        element('p', { class: 'muted', id: 'key-hint' }, texts.keyHint), send);
    const dialog = element('dialog', { class: 'key', 'aria-labelledby': 'key-title' }, form);
    document.body.append(dialog);
    dialog.addEventListener('cancel', (event) => event.preventDefault());
    dialog.showModal();
    return new Promise((resolve) => {
        form.addEventListener('submit', (event) => {
            event.preventDefault();
            const key = input.value.trim();
            if (key === '') return;
            dialog.remove();
            resolve(key);
        });
    });
}
