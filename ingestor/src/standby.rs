use std::collections::BTreeMap;
use std::time::Duration;

use shared::channel::Channel;
use shared::coverage::{State, Stretch};
use shared::time::Micros;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::system_micros;
use crate::lease::Turn;
use crate::stored::Stored;

/// Between two looks at what the other daemons proved of a channel.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What nobody has proved after so long is written, in microseconds: the ledger is entered once a minute.
const PATIENCE: u64 = 300_000_000;

/// What a daemon does with its spool while another one writes: what the other has proved to be in the table need not be written,
/// what the other missed must be, and the rest waits.
#[derive(Debug)]
pub struct Standby {
    turn: watch::Receiver<Turn>,
    stored: Stored,
    daemon: String,
    known: BTreeMap<Channel, (Instant, Vec<Stretch>)>,
}

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Another daemon's is in the table.
    Skip,
    /// Nobody else has it.
    Write,
    /// Not known yet.
    Wait,
}

impl Standby {
    /// For a daemon of this name; `turn`: of its lease.
    #[must_use]
    pub fn new(turn: watch::Receiver<Turn>, stored: Stored, daemon: String) -> Standby {
        Standby { turn, stored, daemon, known: BTreeMap::new() }
    }

    /// Whether this daemon writes now.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.turn.borrow().is_some_and(|until| until > Instant::now())
    }

    /// Returns when the turn was changed, or a while later; never where there are no turns.
    pub async fn pause(standby: Option<&mut Standby>) {
        let Some(standby) = standby else { return std::future::pending().await };
        // An error: nobody changes it any more; the daemon is stopping.
        let _changed = tokio::time::timeout(LOOK_EVERY / 10, standby.turn.changed()).await;
    }

    /// What is to be done with an event of a channel at a time (the exchange's).
    pub async fn word(&mut self, channel: &Channel, time: Micros) -> Word {
        let known = self.known.get(channel);
        let word = known.map_or(Word::Wait, |(_, stretches)| word(stretches, time.0, system_micros()));
        if word != Word::Wait || known.is_some_and(|(at, _)| at.elapsed() < LOOK_EVERY) {
            return word;
        }
        match self.stored.ledger_of_others(channel.as_str(), time.0, &self.daemon).await {
            Ok(stretches) => {
                let word = word_of(&stretches, time.0);
                self.known.insert(channel.clone(), (Instant::now(), stretches));
                word
            }
            Err(error) => {
                tracing::debug!(%channel, error, "the ledger cannot be read");
                Word::Wait
            }
        }
    }
}

fn word(stretches: &[Stretch], time: u64, now: u64) -> Word {
    match word_of(stretches, time) {
        Word::Wait if time + PATIENCE < now => Word::Write,
        word => word,
    }
}

fn word_of(stretches: &[Stretch], time: u64) -> Word {
    let here = stretches.iter().filter(|stretch| (stretch.from..=stretch.through).contains(&time));
    match here.map(|stretch| stretch.state).max().unwrap_or(State::Unknown) {
        State::Captured | State::Filled => Word::Skip,
        State::Gap => Word::Write,
        State::Unknown => Word::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_proved_is_skipped_what_it_missed_is_written() {
        let stretch = |from, through, state| Stretch { from, through, state, reason: None };
        let known = [stretch(10, 20, State::Captured), stretch(21, 30, State::Gap), stretch(25, 40, State::Captured)];
        let words: Vec<_> = [9, 10, 20, 21, 25, 40, 41].map(|time| word(&known, time, 50)).into();
        use Word::{Skip, Wait, Write};
        assert_eq!(words, [Wait, Skip, Skip, Write, Skip, Skip, Wait]);
        assert_eq!(word(&known, 41, 41 + PATIENCE), Wait);
        assert_eq!(word(&known, 41, 42 + PATIENCE), Write);
    }
}
