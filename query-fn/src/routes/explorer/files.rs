//! Written by `query-fn/explorer/build.sh`: the files of the page, compressed.

use super::File;

/// The page itself.
pub(super) const PAGE: File = File {
    name: "index.html",
    media_type: "text/html; charset=utf-8",
    tag: "6360c2c1db6307f3",
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
        name: "index-1xZtgDvi.js",
        media_type: "text/javascript; charset=utf-8",
        tag: "3c513d0a70bba83a",
        gzip: include_bytes!("../../../explorer/dist/index-1xZtgDvi.js.gz"),
    },
    File {
        name: "index-DInH4KrH.css",
        media_type: "text/css; charset=utf-8",
        tag: "b1b1368571ff845f",
        gzip: include_bytes!("../../../explorer/dist/index-DInH4KrH.css.gz"),
    },
];
