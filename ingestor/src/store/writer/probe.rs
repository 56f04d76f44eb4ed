//! Tells a table that refuses everything from an item that is refused.

use std::sync::{Arc, Mutex, PoisonError};

use crate::backoff::Backoff;
use crate::observe::status::Component;
use crate::store::answer::Answer;
use crate::store::batch::BatchEntry;
use crate::store::writer::{Outcome, Writer};

/// An item that the table accepted, to be written once more when it accepts no other. A table (or its index) that
/// refuses everything is no fault of the items, and they must not all go to the quarantine.
#[derive(Clone, Debug, Default)]
pub(super) struct Probe(Arc<Mutex<Option<BatchEntry>>>);

impl Probe {
    /// Keeps one of the items that were stored.
    pub(super) fn keep(&self, outcome: &Outcome) {
        if let Some(entry) = outcome.stored.last() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry.clone());
        }
    }

    fn get(&self) -> Option<BatchEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Writer {
    /// Takes refused entries back out of a batch that is done, to be written again: all of them while the table refuses
    /// what it accepted before too, and each once more after that, because the table may have changed its mind between
    /// two refusals.
    pub(super) async fn take_back_refused(
        &self,
        outcome: &mut Outcome,
        confirmed: &mut bool,
        backoff: &mut Backoff,
    ) -> Vec<Vec<BatchEntry>> {
        let Some((_, reason)) = outcome.refused.first() else { return Vec::new() };
        let reason = reason.clone();
        self.probe.keep(outcome);
        let sound = match self.probe.get() {
            Some(probe) => self.attempt(&[probe], self.patience).await == Answer::Done,
            None => false,
        };
        if sound && *confirmed {
            return Vec::new();
        }
        *confirmed = sound;
        if !sound {
            self.status.set_trouble(Component::Table, Some(format!("the table takes no item: {reason}")));
            tokio::time::sleep(backoff.wait()).await;
        }
        std::mem::take(&mut outcome.refused).into_iter().map(|(entry, _)| vec![entry]).collect()
    }
}
