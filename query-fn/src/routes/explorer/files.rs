//! Written by `query-fn/explorer/build.sh`: the files of the page, compressed.

use super::File;

/// The page itself.
pub(super) const PAGE: File = File {
    name: "index.html",
    media_type: "text/html; charset=utf-8",
    tag: "c87f729d45dee4d9",
    gzip: include_bytes!("../../../explorer/dist/index.html.gz"),
};

/// What it loads; each name changes with the content.
pub(super) const ASSETS: [File; 3] = [
    File {
        name: "icon-Yq4JOvxe.svg",
        media_type: "image/svg+xml",
        tag: "f6680b590541cf98",
        gzip: include_bytes!("../../../explorer/dist/icon-Yq4JOvxe.svg.gz"),
    },
    File {
        name: "index-CIYzN4CM.css",
        media_type: "text/css; charset=utf-8",
        tag: "1222a28c7c3ecd7c",
        gzip: include_bytes!("../../../explorer/dist/index-CIYzN4CM.css.gz"),
    },
    File {
        name: "index-EE5G7mU5.js",
        media_type: "text/javascript; charset=utf-8",
        tag: "14e4474e5097256e",
        gzip: include_bytes!("../../../explorer/dist/index-EE5G7mU5.js.gz"),
    },
];
