//! Every frame that other projects recorded, where the folder is present.

use std::collections::HashMap;

use shared::frame::Frame;
use shared::item;
use shared::key::Keyed;
use shared::time::Micros;

use crate::recordings;
use crate::same::{canonical_event, stored};

/// Frames of all `.jsonl` files of `FRAMES_DIR` that hold frames: bare, or under `raw`.
pub(crate) fn frames() -> Option<Vec<String>> {
    let Some(folder) = std::env::var_os("FRAMES_DIR") else {
        eprintln!("SKIPPED: FRAMES_DIR is not set, recorded frames are not checked");
        return None;
    };
    Some(recordings::lines(folder.as_ref()).into_iter().map(|line| line.frame).collect())
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
