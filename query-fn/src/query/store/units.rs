//! Adds up what the Querys of one request cost.

use rust_decimal::Decimal;
use std::sync::{Arc, Mutex, PoisonError};

/// The read units of the Querys of one request, as the store reported them; clones add to the same sum.
#[derive(Clone, Debug, Default)]
pub struct ReadUnits(Arc<Mutex<Sum>>);

#[derive(Debug, Default)]
enum Sum {
    /// No Query was answered.
    #[default]
    Unread,
    Units(Decimal),
    /// An answer did not say what it cost.
    Unknown,
}

impl ReadUnits {
    /// Adds what an answered Query cost; `None` if the store did not tell.
    pub(super) fn add(&self, units: Option<Decimal>) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let so_far = match &*sum {
            Sum::Unread => Some(Decimal::ZERO),
            Sum::Units(units) => Some(*units),
            Sum::Unknown => None,
        };
        let added = so_far.zip(units).and_then(|(sum, units)| sum.checked_add(units));
        *sum = added.map_or(Sum::Unknown, Sum::Units);
    }

    /// Returns the sum so far, without zeros at its end; `None` if no Query was answered, or if the store did not tell of each what it cost.
    /// A Query that failed or was given up is not in it.
    #[must_use]
    pub fn total(&self) -> Option<Decimal> {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Sum::Units(units) => Some(units.normalize()),
            Sum::Unread | Sum::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silent_answer_makes_the_sum_unknown() {
        let units = ReadUnits::default();
        assert_eq!(units.total(), None, "nothing was read");
        let added = [Some(Decimal::new(5, 1)), Some(Decimal::new(1280, 1)), Some(Decimal::new(150, 2)), None];
        let totals = added.map(|one| {
            units.clone().add(one);
            units.total().map(|total| total.to_string())
        });
        assert_eq!(totals.each_ref().map(Option::as_deref), [Some("0.5"), Some("128.5"), Some("130"), None]);
        units.add(Some(Decimal::ONE));
        assert_eq!(units.total(), None);
    }
}
