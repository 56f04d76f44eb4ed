//! Every frame that other projects recorded, where the folder is present.

use std::collections::HashMap;
use std::path::PathBuf;

use shared::frame::Frame;
use shared::item;
use shared::key::Keyed;
use shared::time::Micros;

use crate::same::{canonical_event, stored};

/// Frames of all `.jsonl` files of `FRAMES_DIR` that hold frames: bare, or under `raw`.
pub(crate) fn frames() -> Option<Vec<String>> {
    let Some(folder) = std::env::var_os("FRAMES_DIR").map(PathBuf::from) else {
        eprintln!("SKIPPED: FRAMES_DIR is not set, recorded frames are not checked");
        return None;
    };
    let mut frames = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".jsonl") || name.contains("rest") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            frames.push(value.get("raw").and_then(|raw| raw.as_str()).unwrap_or(line).to_owned());
        }
    }
    Some(frames)
}

#[test]
fn every_recorded_frame_comes_back_and_has_its_own_key() {
    let Some(frames) = frames() else { return };
    let mut events = 0;
    let mut keys = HashMap::new();
    for text in &frames {
        let Frame::Event(event) = Frame::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
        else {
            continue;
        };
        events += 1;
        let content = canonical_event(&event);
        let keyed = Keyed::of(&event).unwrap_or_else(|error| panic!("{error}: {text}"));
        let item = item::from_event(event, Micros(1)).unwrap();
        assert_eq!(canonical_event(&item::to_event(&stored(item)).unwrap()), content, "{text}");
        if let Some(other) = keys.insert(keyed.key, content.clone()) {
            assert_eq!(other, content);
        }
    }
    assert!(events > 700, "only {events} events in {} frames", frames.len());
}
