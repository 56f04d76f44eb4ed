// Compresses what Vite built and writes the list of it that the query API compiles in.
//
//   node embed.mjs BUILT EMBEDDED LIST      BUILT: Vite's folder; EMBEDDED: the folder of compressed files; LIST: the Rust file
//   node embed.mjs --compare A B            exit code 1 unless both embedded folders have the same names and contents; how they are
//                                           compressed may differ between versions of Node
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const TYPES = { css: 'text/css; charset=utf-8', html: 'text/html; charset=utf-8', js: 'text/javascript; charset=utf-8', svg: 'image/svg+xml' };

function embed(built, embedded, list) {
    rmSync(embedded, { recursive: true, force: true });
    mkdirSync(embedded, { recursive: true });
    const entry = (name, body) => {
        writeFileSync(join(embedded, `${name}.gz`), gzipSync(body, { level: 9 }));
        const tag = createHash('sha256').update(body).digest('hex').slice(0, 16);
        const media = TYPES[name.split('.').at(-1)];
        const bytes = `include_bytes!("../../../explorer/dist/${name}.gz")`;
        return `File {\n    name: "${name}",\n    media_type: "${media}",\n    tag: "${tag}",\n    gzip: ${bytes},\n}`;
    };
    const page = entry('index.html', readFileSync(join(built, 'index.html')));
    const names = readdirSync(join(built, 'assets')).sort();
    const assets = names.map((name) => entry(name, readFileSync(join(built, 'assets', name))));
    const indented = assets.map((asset) => `    ${asset.replaceAll('\n', '\n    ')},\n`).join('');
    writeFileSync(list, `//! Written by \`query-fn/explorer/build.sh\`: the files of the page, compressed.

use super::File;

/// The page itself.
pub(super) const PAGE: File = ${page};

/// What it loads; each name changes with the content.
pub(super) const ASSETS: [File; ${assets.length}] = [
${indented}];
`);
}

function contents(folder) {
    return readdirSync(folder).sort().map((name) => [name, gunzipSync(readFileSync(join(folder, name))).toString('base64')]);
}

if (process.argv[2] === '--compare') {
    const [a, b] = process.argv.slice(3).map(contents);
    if (JSON.stringify(a) !== JSON.stringify(b)) process.exit(1);
} else {
    embed(...process.argv.slice(2));
}
