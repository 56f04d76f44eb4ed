//! Written by `query-fn/explorer/build.sh`: the files of the page, compressed.

use super::File;

/// The page itself.
pub(super) const PAGE: File = File {
    name: "index.html",
    media_type: "text/html; charset=utf-8",
    tag: "af50f050456f232c",
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
        name: "index-B6x6vmnB.js",
        media_type: "text/javascript; charset=utf-8",
        tag: "dd00b2f2911a6d82",
        gzip: include_bytes!("../../../explorer/dist/index-B6x6vmnB.js.gz"),
    },
    File {
        name: "index-D7Fck8mT.css",
        media_type: "text/css; charset=utf-8",
        tag: "a62c14ff0864a64d",
        gzip: include_bytes!("../../../explorer/dist/index-D7Fck8mT.css.gz"),
    },
];
