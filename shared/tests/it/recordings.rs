//! Messages that other projects recorded.

use std::path::Path;

/// A recorded message.
pub(crate) struct Line {
    /// The message as the exchange sent it.
    pub(crate) frame: String,
    /// The seconds at which it was received, where the recording says so.
    #[allow(dead_code, reason = "only the example with figures of blocks reads it")]
    pub(crate) received: Option<String>,
}

/// Lines of all `.jsonl` files of a folder that hold frames: bare, or under `raw` beside the time of receipt.
pub(crate) fn lines(folder: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".jsonl") || name.contains("rest") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| value.get(name).and_then(|text| text.as_str());
            let (frame, received) = (text("raw").unwrap_or(line).to_owned(), text("recv_ts").map(str::to_owned));
            lines.push(Line { frame, received });
        }
    }
    lines
}
