// Stands between the page and the API: demands a key, fails, or answers instead of it, as a test says.
import { createServer, request } from 'node:http';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const TYPES = { css: 'text/css', html: 'text/html', js: 'text/javascript', svg: 'image/svg+xml' };

/**
 * Starts a proxy before `target`. The returned object's fields may be changed at any time:
 * `key`: the key that is demanded; `fault`: `(request, response) => boolean`, true if it has answered; `seen`: all requests so far.
 * With `built`, the page's files come from that folder, uncompressed.
 */
export async function proxy(target, { built = null } = {}) {
    const state = { key: null, fault: null, seen: [], url: '', close: null };
    const server = createServer((incoming, response) => {
        const { method, url, headers } = incoming;
        state.seen.push({ url, key: headers['x-api-key'], at: Date.now() });
        const path = url.split('?')[0];
        const isPage = path === '/' || path.startsWith('/assets/');
        if (built !== null && isPage) {
            const file = path === '/' ? '/index.html' : path;
            response.setHeader('content-type', TYPES[file.split('.').at(-1)]);
            return response.end(readFileSync(join(built, file)));
        }
        if (!isPage && state.key !== null && headers['x-api-key'] !== state.key) {
            const problem = { type: 'no-valid-key', title: 'No valid API key in x-api-key', status: 403, detail: 'Forbidden', request_id: '1' };
            response.writeHead(403, { 'content-type': 'application/problem+json' });
            return response.end(JSON.stringify(problem));
        }
        if (!isPage && state.fault?.(incoming, response)) return undefined;
        const passed = request(`${target}${url}`, { method, headers: { ...headers, host: new URL(target).host } }, (answer) => {
            response.writeHead(answer.statusCode, answer.headers);
            answer.pipe(response);
        });
        passed.on('error', () => response.destroy());
        response.on('close', () => passed.destroy());
        return passed.end();
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    state.url = `http://127.0.0.1:${server.address().port}`;
    state.close = () => {
        server.closeAllConnections();
        server.close();
    };
    return state;
}
