// Builds the page into dist/: one script, one style sheet, names by content. build.sh compresses and embeds them.
import { defineConfig } from 'vite';

export default defineConfig({
    base: './',
    build: {
        target: 'es2022',
        outDir: process.env.EXPLORER_OUT ?? 'dist',
        emptyOutDir: true,
        modulePreload: { polyfill: false },
        // Nothing inline: the page's policy allows none of it.
        assetsInlineLimit: 0,
        rolldownOptions: { output: { codeSplitting: false, comments: { legal: true } } },
    },
});
