//! What a change does to an item, attribute by attribute.

use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Returns a line with - for each attribute that goes and one with + for each that comes, by name; none where the two are equal.
pub(crate) fn lines(before: Option<&Map<String, Value>>, after: Option<&Map<String, Value>>) -> Vec<String> {
    let names: BTreeSet<&String> = before.into_iter().chain(after).flat_map(Map::keys).collect();
    let mut lines = Vec::new();
    for name in names {
        let (old, new) = (before.and_then(|item| item.get(name)), after.and_then(|item| item.get(name)));
        if old != new {
            lines.extend(old.map(|value| format!("- {name}: {value}")));
            lines.extend(new.map(|value| format!("+ {name}: {value}")));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_goes_and_what_comes() {
        let before = json!({ "a": 1, "b": "x", "c": null });
        let after = json!({ "b": "y", "c": null, "d": [1] });
        let (before, after) = (before.as_object(), after.as_object());
        assert_eq!(lines(before, after), ["- a: 1", "- b: \"x\"", "+ b: \"y\"", "+ d: [1]"]);
        assert_eq!(lines(None, after).len(), 3);
        assert!(lines(before, before).is_empty() && lines(None, None).is_empty());
    }
}
