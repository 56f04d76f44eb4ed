//! The place of a tail in the order of events: everything before it was released.

use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

use crate::range::{InvalidProgress, Position};

/// A place in the order of time, between two microseconds or between two events of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The first exchange time that is not released as a whole, microseconds since the Unix epoch.
    pub from: u64,
    /// The events of this time that are released all the same, as hashes of their primary keys.
    passed: Vec<u64>,
    /// The oldest sighting that is not released.
    pub sighting: Option<Sighting>,
}

/// An event that was seen and is held back, with everything before it, until the window has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The exchange time of the event, microseconds since the Unix epoch.
    pub newest: u64,
    /// The time at which it was seen, by this machine's clock, microseconds since the Unix epoch.
    pub seen: u64,
}

impl Place {
    /// Returns the place before the first event of a time, microseconds since the Unix epoch.
    #[must_use]
    pub fn at(from: u64) -> Place {
        Place { from, ..Place::default() }
    }

    /// Moves behind an event, the next one in order.
    pub(super) fn pass(&mut self, position: &Position) {
        if position.time != self.from {
            *self = Place { from: position.time, sighting: self.sighting, passed: Vec::new() };
        }
        self.passed.push(hash(position));
    }

    /// Returns true for an event that is released already.
    pub(super) fn is_passed(&self, position: &Position) -> bool {
        position.time < self.from || (position.time == self.from && self.passed.contains(&hash(position)))
    }

    /// Parses what [`Place`]'s `Display` wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidProgress`] for anything else.
    pub fn parse(text: &str) -> Result<Place, InvalidProgress> {
        let mut parts = text.split('|');
        let (Some(from), Some(newest), Some(seen), Some(passed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidProgress);
        };
        let time = |text: &str| text.parse().map_err(|_| InvalidProgress);
        let sighting = match (newest, seen) {
            ("", "") => None,
            (newest, seen) => Some(Sighting { newest: time(newest)?, seen: time(seen)? }),
        };
        let hashes = passed.split(',').filter(|text| !text.is_empty());
        let passed = hashes.map(|text| u64::from_str_radix(text, 16)).collect::<Result<_, _>>();
        Ok(Place { from: time(from)?, passed: passed.map_err(|_| InvalidProgress)?, sighting })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { from, passed, sighting } = self;
        match sighting {
            Some(Sighting { newest, seen }) => write!(f, "{from}|{newest}|{seen}|")?,
            None => write!(f, "{from}|||")?,
        }
        let hashes: Vec<_> = passed.iter().map(|hash| format!("{hash:x}")).collect();
        f.write_str(&hashes.join(","))
    }
}

/// Returns the hash of an event's primary key, which stays the same whoever writes the event again.
fn hash(position: &Position) -> u64 {
    xxh3_64(format!("{}|{}", position.id, position.sort).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sighting() -> impl Strategy<Value = Option<Sighting>> {
        prop::option::of((any::<u64>(), any::<u64>()).prop_map(|(newest, seen)| Sighting { newest, seen }))
    }

    proptest! {
        #[test]
        fn a_place_is_read_as_it_was_written(
            from: u64,
            passed in prop::collection::vec(any::<u64>(), 0..4),
            sighting in sighting(),
        ) {
            let place = Place { from, passed, sighting };
            prop_assert_eq!(Place::parse(&place.to_string()), Ok(place));
        }

        #[test]
        fn whatever_else_is_read_is_refused(text in "[0-9a-f|,x-]{0,20}") {
            if let Ok(place) = Place::parse(&text) {
                prop_assert_eq!(Place::parse(&place.to_string()), Ok(place));
            }
        }
    }

    #[test]
    fn an_event_written_again_is_still_passed() {
        let event = |received_at, id: &str| Position { time: 7, received_at, id: id.into(), sort: "7#a".into() };
        let mut place = Place::at(5);
        place.pass(&event(1, "1"));
        assert_eq!(place.from, 7);
        assert!(place.is_passed(&event(9, "1")) && !place.is_passed(&event(0, "2")));
        assert!(place.is_passed(&Position { time: 6, ..event(1, "2") }));
    }
}
