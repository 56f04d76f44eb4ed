//! Notices what should happen again and again and does not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Config;
use crate::observe::status::{Component, Status};
use crate::spool::Spool;

/// Interval between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time after which a backlog without a settled record is trouble ...
const PROGRESS_WITHIN: Duration = Duration::from_secs(60);
/// ... and on a standby, which waits for what another daemon proves.
const STANDBY_PROGRESS_WITHIN: Duration = Duration::from_secs(600);
/// Duration of throttling without a smaller backlog from which it is trouble.
const THROTTLED_FOR: Duration = Duration::from_secs(60);
/// Time without throttling after which it has ended.
const NOT_THROTTLED_FOR: Duration = Duration::from_secs(10);
/// Number of records that makes the quarantine grow ...
const GROWN_BY: u64 = 10;
/// ... if they arrive within this time.
const GROWN_WITHIN: Duration = Duration::from_secs(600);

/// Notices what no single room can: something that should happen again and again and does not.
#[derive(Debug)]
pub struct Watch {
    status: Arc<Status>,
    confirm_within: Duration,
    prove_within: Duration,
    confirmed: LastChange,
    proofs: LastChange,
    position: LastChange,
    throttled: LastChange,
    /// When throttling began, and the backlog at that time.
    throttled_since: Option<(Instant, u64)>,
    /// Number of records quarantined in this run, with the time of each change.
    quarantined: VecDeque<(Instant, u64)>,
}

/// State of the daemon at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    /// No connection is open, which is a trouble of its own.
    unreachable: bool,
    /// The table cannot be used, which is a trouble of its own.
    refused: bool,
    subscriptions: u64,
    proofs: u64,
    position: u64,
    backlog: u64,
    writes: bool,
    throttled: u64,
    quarantined: u64,
}

impl Observation {
    fn of(status: &Status, spool: &Spool) -> Observation {
        let trouble = status.trouble();
        Observation {
            unreachable: status.connections.get() == 0 && trouble.contains_key(&Component::Exchange),
            refused: trouble.contains_key(&Component::Table),
            subscriptions: status.subscriptions.get(),
            proofs: status.proofs.get(),
            position: spool.position(),
            backlog: spool.depth(),
            writes: status.writes.get() > 0,
            throttled: status.throttled_table.get() + status.throttled_index.get(),
            quarantined: status.quarantined.get(),
        }
    }
}

/// A number and when it last changed.
#[derive(Debug, Default)]
struct LastChange(Option<(u64, Instant)>);

impl LastChange {
    /// Returns how long the number has been the same.
    fn lasts(&mut self, number: u64, now: Instant) -> Duration {
        match self.0 {
            Some((same, since)) if same == number => now - since,
            _ => {
                self.0 = Some((number, now));
                Duration::ZERO
            }
        }
    }
}

impl Watch {
    /// Creates a watch over a daemon with these settings.
    #[must_use]
    pub fn new(config: &Config, status: Arc<Status>) -> Watch {
        let limits = config.liveness;
        Watch {
            status,
            confirm_within: config.confirm_within,
            // A connection that leaves a heartbeat unanswered is renewed after one interval and the answer's limit.
            prove_within: (limits.heartbeat_every + limits.answer_within) * 3,
            confirmed: LastChange::default(),
            proofs: LastChange::default(),
            position: LastChange::default(),
            throttled: LastChange::default(),
            throttled_since: None,
            quarantined: VecDeque::new(),
        }
    }

    /// Looks once a second; never ends.
    pub async fn run(mut self, spool: Arc<Spool>) -> std::convert::Infallible {
        loop {
            let seen = Observation::of(&self.status, &spool);
            for (component, reason) in self.look(seen, Instant::now()) {
                self.status.set_trouble(component, reason);
            }
            self.status.tick();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns the trouble of each watched component, in one constant sentence.
    fn look(&mut self, seen: Observation, now: Instant) -> [(Component, Option<String>); 5] {
        // One cause, one line: without a connection nothing is confirmed, without a subscription nothing proved, without a table
        // nothing settled.
        if seen.unreachable {
            self.confirmed = LastChange::default();
        }
        if seen.subscriptions == 0 {
            self.proofs = LastChange::default();
        }
        if seen.refused {
            self.position = LastChange::default();
        }
        let unconfirmed = self.confirmed.lasts(u64::from(seen.subscriptions > 0), now) > self.confirm_within;
        let unconfirmed = unconfirmed && seen.subscriptions == 0;
        let unproved = self.proofs.lasts(seen.proofs, now) > self.prove_within;
        // An empty spool is progress, whatever the position.
        let position = if seen.backlog == 0 { u64::MAX } else { seen.position };
        let progress_within = if seen.writes { PROGRESS_WITHIN } else { STANDBY_PROGRESS_WITHIN };
        let stuck = self.position.lasts(position, now) > progress_within && seen.backlog > 0;
        let throttled = self.throttled(seen, now);
        let grows = self.grows(seen.quarantined, now);
        [
            (Component::Subscriptions, unconfirmed.then(|| NO_SUBSCRIPTION.to_owned())),
            (Component::Heartbeats, unproved.then(|| self.unproved())),
            (
                Component::Progress,
                stuck.then(|| format!("records wait, and none of them was settled for {progress_within:?}")),
            ),
            (
                Component::Throttling,
                throttled.then(|| "the table is throttled, and the backlog does not shrink".to_owned()),
            ),
            (
                Component::Quarantine,
                grows.then(|| format!("the quarantine grows: {GROWN_BY} records or more within {GROWN_WITHIN:?}")),
            ),
        ]
    }

    fn unproved(&self) -> String {
        format!("the exchange has answered no heartbeat for {:?}: nothing received since is proved", self.prove_within)
    }

    fn throttled(&mut self, seen: Observation, now: Instant) -> bool {
        let first = self.throttled.0.is_none();
        match self.throttled.lasts(seen.throttled, now) {
            _ if first => {}
            Duration::ZERO => {
                self.throttled_since.get_or_insert((now, seen.backlog));
            }
            lasts if lasts >= NOT_THROTTLED_FOR => self.throttled_since = None,
            _ => {}
        }
        self.throttled_since
            .is_some_and(|(since, backlog)| now - since >= THROTTLED_FOR && seen.backlog > 0 && seen.backlog >= backlog)
    }

    fn grows(&mut self, quarantined: u64, now: Instant) -> bool {
        if self.quarantined.back().is_none_or(|(_, before)| *before != quarantined) {
            self.quarantined.push_back((now, quarantined));
        }
        // The count at the beginning of the time stays.
        while self.quarantined.get(1).is_some_and(|(at, _)| now - *at > GROWN_WITHIN) {
            self.quarantined.pop_front();
        }
        self.quarantined.front().is_some_and(|(_, before)| quarantined - before >= GROWN_BY)
    }
}

/// Trouble while the exchange has confirmed no subscription.
pub const NO_SUBSCRIPTION: &str = "no subscription is confirmed";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A component, its limit in seconds, and what makes it stand still.
    type Case = (Component, u64, fn(Observation) -> Observation);

    /// The two reads of the position in one observation once deadlocked with an acknowledgement between them.
    #[test]
    fn looking_stops_no_acknowledgement() {
        let folder = tempfile::TempDir::new().unwrap();
        let spool = Arc::new(Spool::open(folder.path(), 1 << 30).unwrap());
        let (done, ended) = std::sync::mpsc::channel();
        let (acknowledged, looked) = (done.clone(), done);
        let (settled, seen) = (spool.clone(), spool);
        std::thread::spawn(move || {
            (1..20_000).for_each(|position| settled.acknowledge(position, None).unwrap());
            acknowledged.send("acknowledged").unwrap();
        });
        std::thread::spawn(move || {
            let status = Status::default();
            (1..200_000).for_each(|_| {
                std::hint::black_box(Observation::of(&status, &seen));
            });
            looked.send("looked").unwrap();
        });
        for _ in 0..2 {
            ended.recv_timeout(Duration::from_secs(60)).expect("no deadlock");
        }
    }

    fn watch() -> Watch {
        let config = Config::read(&BTreeMap::new(), &BTreeMap::new(), None).unwrap();
        Watch::new(&config, Arc::default())
    }

    /// What is seen in second `n` of a daemon that works.
    fn works(n: u64) -> Observation {
        Observation { subscriptions: 4, proofs: n, position: n, backlog: 9, writes: true, ..Observation::default() }
    }

    /// Looks every second for `seconds`; what was in trouble at the end.
    fn after(
        watch: &mut Watch,
        start: Instant,
        seconds: std::ops::Range<u64>,
        seen: impl Fn(u64) -> Observation,
    ) -> Vec<Component> {
        let mut last = Vec::new();
        for second in seconds {
            let found = watch.look(seen(second), start + Duration::from_secs(second));
            last = found.into_iter().filter_map(|(component, reason)| reason.map(|_| component)).collect();
        }
        last
    }

    #[test]
    fn a_daemon_that_works_is_in_no_trouble() {
        assert_eq!(after(&mut watch(), Instant::now(), 0..2_000, works), []);
    }

    #[test]
    fn what_stands_still_beyond_its_limit_is_said_until_it_goes_on() {
        let cases: [Case; 5] = [
            (Component::Subscriptions, 10, |seen| Observation { subscriptions: 0, ..seen }),
            (Component::Heartbeats, 21, |seen| Observation { proofs: 1 << 40, ..seen }),
            (Component::Progress, 60, |seen| Observation { position: 1 << 40, ..seen }),
            (Component::Progress, 600, |seen| Observation { position: 1 << 40, writes: false, ..seen }),
            (Component::Throttling, 59, |seen| Observation { throttled: seen.position, ..seen }),
        ];
        for (component, limit, fault) in cases {
            let (start, mut watch) = (Instant::now(), watch());
            assert_eq!(after(&mut watch, start, 0..100, works), []);
            let faulty = |n| fault(works(n));
            assert_eq!(after(&mut watch, start, 100..101 + limit, faulty), [], "{component:?}");
            assert_eq!(after(&mut watch, start, 101 + limit..103 + limit, faulty), [component]);
            let again = |n| Observation { throttled: 103 + limit - 1, ..works(n) };
            assert_eq!(after(&mut watch, start, 103 + limit..203 + limit, again), [], "{component:?}");
        }
    }

    #[test]
    fn a_table_that_cannot_be_used_is_one_trouble_not_two() {
        let refused = |n| Observation {
            refused: n < 600,
            subscriptions: 4,
            proofs: n,
            backlog: 9,
            writes: true,
            ..Observation::default()
        };
        let (start, mut watch) = (Instant::now(), watch());
        assert_eq!(after(&mut watch, start, 0..650, refused), []);
        assert_eq!(after(&mut watch, start, 650..662, refused), [Component::Progress]);
    }

    #[test]
    fn an_exchange_that_cannot_be_reached_is_one_trouble_not_three() {
        let (start, mut watch) = (Instant::now(), watch());
        let away = |_| Observation { unreachable: true, writes: true, ..Observation::default() };
        assert_eq!(after(&mut watch, start, 0..600, away), []);
        let back = |_| Observation { subscriptions: 4, writes: true, ..Observation::default() };
        assert_eq!(after(&mut watch, start, 600..615, back), [], "it has had no time to prove anything");
    }

    #[test]
    fn an_empty_spool_is_progress_and_a_shrinking_backlog_no_throttling() {
        let idle = |n| Observation { subscriptions: 4, proofs: n, writes: true, ..Observation::default() };
        assert_eq!(after(&mut watch(), Instant::now(), 0..2_000, idle), []);
        let drains = |n| Observation { position: n, backlog: 5_000 - n, throttled: n, ..idle(n) };
        assert_eq!(after(&mut watch(), Instant::now(), 0..2_000, drains), []);
    }

    #[test]
    fn a_quarantine_grows_by_many_records_not_by_one() {
        let (start, mut watch) = (Instant::now(), watch());
        let seen = |n, quarantined| Observation {
            subscriptions: 4,
            proofs: n,
            writes: true,
            quarantined,
            ..Observation::default()
        };
        assert_eq!(after(&mut watch, start, 0..10, |n| seen(n, 0)), []);
        assert_eq!(after(&mut watch, start, 10..20, |n| seen(n, 9)), []);
        assert_eq!(after(&mut watch, start, 20..30, |n| seen(n, 10)), [Component::Quarantine]);
        assert_eq!(after(&mut watch, start, 30..700, |n| seen(n, 10)), []);
    }
}
