//! The parameters that only `/tail` takes.

use super::Parameters;
use crate::http::request::times::Edge;
use crate::range::InvalidProgress;

/// The most names in `event`: more than the exchange has.
const MAX_EVENTS: usize = 20;

impl Parameters {
    /// Takes `from`, the first exchange time, microseconds since the Unix epoch.
    pub fn first_time(&mut self) -> Option<u64> {
        self.time("from", Edge::First)
    }

    /// Takes `event`, names of events separated by commas; empty for all events.
    pub fn events(&mut self) -> Vec<String> {
        let Some(text) = self.take("event") else { return Vec::new() };
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte))
        };
        if names.len() > MAX_EVENTS {
            self.fault("event", format!("more than {MAX_EVENTS} names"));
        } else if !names.iter().all(is_name) {
            self.fault("event", format!("`{text}` is not a list of events' names such as trade,order_created"));
        }
        names
    }

    /// Takes `after`, or what the header `Last-Event-ID` has in its place, and reads it with `read`. The header counts: a browser repeats the
    /// address as it was, and says in the header how far it got. An invalid id beside other faults follows from them and is not reported.
    pub fn last_event<T>(
        &mut self,
        header: Option<String>,
        read: impl FnOnce(&str) -> Result<T, InvalidProgress>,
    ) -> Option<T> {
        let parameter = self.take("after").map(|id| ("after", id));
        let (name, id) = header.map(|id| ("Last-Event-ID", id)).or(parameter)?;
        let place = read(&id).ok();
        if place.is_none() && self.faults.is_empty() {
            let reason = "not the id of a message of /tail on these channels; leave it out to start from now";
            self.fault(name, reason.to_owned());
        }
        place
    }
}
