//! Tracks which components are in trouble, and logs one line for each change.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// Time after which a trouble that passed counts as ended; if it returns earlier it never ended.
const CALM: Duration = Duration::from_secs(10);
/// Shortest time between two log lines on one trouble; doubles with each.
const FIRST_QUIET: Duration = Duration::from_secs(10);
/// Longest time between two log lines on one trouble.
const LONGEST_QUIET: Duration = Duration::from_secs(600);

/// Largest number of past troubles that are remembered.
const REMEMBERED: usize = 20;

/// A component of the daemon that can be in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The disk is full.
    Disk,
    /// The exchange cannot be reached.
    Exchange,
    /// The list of markets cannot be read, or lacks the market of a configured channel.
    Markets,
    /// The exchange confirms no subscription.
    Subscriptions,
    /// The exchange answers no heartbeat.
    Heartbeats,
    /// The table does not accept requests.
    Table,
    /// The table is throttled, and the backlog does not shrink.
    Throttling,
    /// Records wait, and none of them reaches the table.
    Progress,
    /// The list of channels cannot be written.
    Channels,
    /// The exchange's history does not answer, so gaps stay for now.
    History,
    /// Fetched events cannot be written.
    Filling,
    /// The lease cannot be read or written.
    Lease,
    /// This machine's clock is far from the exchange's.
    Clock,
    /// It is unknown whether late trades are in the table twice.
    Twins,
    /// The quarantine grows.
    Quarantine,
}

impl Component {
    /// Returns its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Component::Disk => "disk",
            Component::Exchange => "exchange",
            Component::Markets => "markets",
            Component::Subscriptions => "subscriptions",
            Component::Heartbeats => "heartbeats",
            Component::Table => "table",
            Component::Throttling => "throttling",
            Component::Progress => "progress",
            Component::Channels => "channel list",
            Component::History => "history",
            Component::Filling => "filling",
            Component::Lease => "lease",
            Component::Clock => "clock",
            Component::Twins => "twins",
            Component::Quarantine => "quarantine",
        }
    }
}

/// The troubles of all components, and what the log was told of them.
///
/// The log gets one line when a trouble begins, one when its reason changes, and one when it ended. A component that fails and
/// works in turn would make thousands of them: an end counts once `CALM` has passed, and a change is told only after a time that
/// doubles with each line; what was left out is counted in `untold`.
#[derive(Debug, Default)]
pub struct Troubles {
    by_component: BTreeMap<Component, Trouble>,
    /// Troubles that ended, oldest first: component, last reason, begin and end.
    ended: VecDeque<(Component, String, Instant, Instant)>,
}

/// A trouble that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentTrouble {
    /// What is in trouble.
    pub component: Component,
    /// Why, in one sentence.
    pub reason: String,
    /// How long it has lasted.
    pub lasts: Duration,
}

/// A trouble that has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastTrouble {
    /// What was in trouble.
    pub component: Component,
    /// The last reason, in one sentence.
    pub reason: String,
    /// How long it lasted.
    pub lasted: Duration,
    /// How long ago it passed.
    pub ended: Duration,
}

#[derive(Debug)]
struct Trouble {
    /// `None` once the trouble has passed, at `passed`.
    reason: Option<String>,
    passed: Instant,
    /// The reason that it had when it passed.
    last: String,
    began: Instant,
    /// The reason in the last log line.
    told: String,
    told_at: Instant,
    quiet: Duration,
    /// Number of changes of reason and returns since the last log line.
    untold: u64,
}

impl Troubles {
    /// Sets or clears the trouble of a component, in one sentence.
    pub fn set(&mut self, component: Component, reason: Option<String>, now: Instant) {
        match (self.by_component.get_mut(&component), reason) {
            (None, None) => {}
            (None, Some(reason)) => {
                tracing::warn!(component = component.name(), reason, "trouble began");
                let told = reason.clone();
                let trouble = Trouble {
                    reason: Some(reason),
                    passed: now,
                    last: String::new(),
                    began: now,
                    told,
                    told_at: now,
                    quiet: FIRST_QUIET,
                    untold: 0,
                };
                self.by_component.insert(component, trouble);
            }
            (Some(trouble), None) => {
                if let Some(reason) = trouble.reason.take() {
                    (trouble.passed, trouble.last) = (now, reason);
                }
            }
            (Some(trouble), reason) => {
                if trouble.reason != reason {
                    trouble.untold += 1;
                    trouble.reason = reason;
                }
                trouble.tell(component, now);
            }
        }
    }

    /// Logs what is due.
    pub fn tick(&mut self, now: Instant) {
        let ended = &mut self.ended;
        self.by_component.retain(|component, trouble| {
            if trouble.reason.is_none() && trouble.passed + CALM <= now {
                let lasted_ms = u64::try_from((trouble.passed - trouble.began).as_millis()).unwrap_or(u64::MAX);
                let Trouble { told, untold, .. } = trouble;
                tracing::info!(component = component.name(), reason = told, lasted_ms, untold, "trouble ended");
                if ended.len() >= REMEMBERED {
                    ended.pop_front();
                }
                ended.push_back((*component, std::mem::take(&mut trouble.last), trouble.began, trouble.passed));
                return false;
            }
            trouble.tell(*component, now);
            true
        });
    }

    /// Returns the present trouble of each component, in one sentence.
    #[must_use]
    pub fn now(&self) -> BTreeMap<Component, String> {
        self.by_component
            .iter()
            .filter_map(|(component, trouble)| Some((*component, trouble.reason.clone()?)))
            .collect()
    }

    /// Returns the present troubles with their durations.
    #[must_use]
    pub fn present(&self, now: Instant) -> Vec<PresentTrouble> {
        let present = |(component, trouble): (&Component, &Trouble)| {
            let reason = trouble.reason.clone()?;
            Some(PresentTrouble { component: *component, reason, lasts: now - trouble.began })
        };
        self.by_component.iter().filter_map(present).collect()
    }

    /// Returns the last troubles that have passed, newest first; one that passed a moment ago may still return.
    #[must_use]
    pub fn past(&self, now: Instant) -> Vec<PastTrouble> {
        let calm = self.by_component.iter().filter(|(_, trouble)| trouble.reason.is_none());
        let calm = calm.map(|(component, trouble)| (*component, trouble.last.clone(), trouble.began, trouble.passed));
        let mut all: Vec<_> = self.ended.iter().cloned().chain(calm).collect();
        all.sort_by_key(|(_, _, _, passed)| std::cmp::Reverse(*passed));
        all.truncate(REMEMBERED);
        let past = |(component, reason, began, passed)| PastTrouble {
            component,
            reason,
            lasted: passed - began,
            ended: now - passed,
        };
        all.into_iter().map(past).collect()
    }
}

impl Trouble {
    fn tell(&mut self, component: Component, now: Instant) {
        let Some(reason) = self.reason.as_ref().filter(|reason| **reason != self.told) else { return };
        if self.told_at + self.quiet > now {
            return;
        }
        tracing::warn!(component = component.name(), reason, untold = self.untold - 1, "trouble changed");
        self.told.clone_from(reason);
        (self.told_at, self.untold) = (now, 0);
        self.quiet = (self.quiet * 2).min(LONGEST_QUIET);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that are logged, without time and place.
    fn lines(steps: impl FnOnce()) -> Vec<String> {
        let log = Log::default();
        let made = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || made.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, steps);
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.trim().to_owned()).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn begin_change_and_end_are_one_line_each() {
        let (start, mut troubles) = (Instant::now(), Troubles::default());
        let said = |reason: &str| Some(reason.to_owned());
        let logged = lines(|| {
            troubles.set(Component::Table, None, start);
            for second in 0..30 {
                troubles.set(Component::Table, said("expired"), start + seconds(second));
                troubles.tick(start + seconds(second));
            }
            troubles.set(Component::Table, said("denied"), start + seconds(30));
            troubles.set(Component::Table, None, start + seconds(40));
            assert!(troubles.now().is_empty(), "health does not wait for the log");
            let past = PastTrouble {
                component: Component::Table,
                reason: "denied".to_owned(),
                lasted: seconds(40),
                ended: seconds(1),
            };
            assert_eq!(troubles.past(start + seconds(41)), vec![past.clone()], "nor does the status");
            for second in 40..70 {
                troubles.set(Component::Table, None, start + seconds(second));
                troubles.tick(start + seconds(second));
            }
            assert_eq!(troubles.past(start + seconds(70)), [PastTrouble { ended: seconds(30), ..past }]);
        });
        let expected = [
            r#"WARN trouble began component="table" reason="expired""#,
            r#"WARN trouble changed component="table" reason="denied" untold=0"#,
            r#"INFO trouble ended component="table" reason="denied" lasted_ms=40000 untold=0"#,
        ];
        assert_eq!(logged, expected);
    }

    #[test]
    fn a_trouble_that_alternates_for_an_hour_is_a_few_lines() {
        let (start, mut troubles) = (Instant::now(), Troubles::default());
        let logged = lines(|| {
            for tenth in 0..36_000 {
                let now = start + Duration::from_millis(100 * tenth);
                let reason = [Some("one"), None, Some("other")][usize::try_from(tenth % 3).unwrap()];
                troubles.set(Component::Table, reason.map(str::to_owned), now);
                troubles.tick(now);
            }
        });
        assert!((2..=20).contains(&logged.len()), "{logged:#?}");
        assert!(logged.iter().all(|line| !line.contains("ended")), "{logged:#?}");
    }
}
