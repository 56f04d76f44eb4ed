/** Makes elements without markup in strings: what the exchange sent is never read as HTML. */

type Attribute = string | number | boolean | null | ((event: never) => void);
export type Child = Node | string | null;

/**
 * Makes an element. `class`, `aria-*` and so on are attributes; `true` writes an empty one, `false` and `null` none; a name that begins
 * with `on` is a listener.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
    tag: K,
    attributes: Record<string, Attribute> = {},
    ...children: Child[]
): HTMLElementTagNameMap[K] {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === 'function') made.addEventListener(name.slice(2), value as EventListener);
        else if (value !== null && value !== false) made.setAttribute(name, value === true ? '' : String(value));
    }
    made.append(...children.filter((child) => child !== null));
    return made;
}

/** Makes a button that submits no form. */
export function button(label: Child, attributes: Record<string, Attribute> = {}): HTMLButtonElement {
    return element('button', { type: 'button', ...attributes }, label);
}

/** Puts a popover below its button, inside the window. */
export function place(popover: HTMLElement, anchor: HTMLElement): void {
    const at = anchor.getBoundingClientRect();
    const margin = 8;
    popover.style.left = `${Math.max(margin, Math.min(at.left, innerWidth - popover.offsetWidth - margin))}px`;
    popover.style.top = `${Math.max(margin, Math.min(at.bottom + 4, innerHeight - popover.offsetHeight - margin))}px`;
}

/**
 * Makes `anchor` open `popover`. `opening` is called before it is shown, so that nothing that is typed is overwritten; `opened` some time
 * after.
 */
export function opens(anchor: HTMLButtonElement, popover: HTMLElement, opened: () => void = () => {}, opening: () => void = () => {}): void {
    popover.setAttribute('popover', '');
    anchor.setAttribute('aria-expanded', 'false');
    anchor.setAttribute('aria-haspopup', 'dialog');
    anchor.popoverTargetElement = popover;
    popover.addEventListener('beforetoggle', (event) => {
        if ((event as ToggleEvent).newState === 'open') opening();
    });
    popover.addEventListener('toggle', (event) => {
        const isOpen = (event as ToggleEvent).newState === 'open';
        anchor.setAttribute('aria-expanded', String(isOpen));
        if (!isOpen) return;
        opened();
        place(popover, anchor);
    });
}
