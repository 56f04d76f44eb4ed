//! The ledger against a model of the exchange: an interval called captured contains every event that was sent in it.

use std::collections::{BTreeMap, HashMap};

use ingestor::clock::Course;
use ingestor::ledger::{Ledger, LedgerEntry, LedgerInput};
use ingestor::spool::record::ConnectionEvent;
use proptest::prelude::*;
use shared::coverage::{Interval, Record, State, merge};

const START: u64 = 1_789_459_694_000_000;
const MILLI: u64 = 1_000;
const CHANNEL: &str = "live_orders_btcusd";

/// One connection of a run, times in milliseconds after the start of the model.
#[derive(Clone, Debug)]
struct Connection {
    /// The exchange carries out the subscription; the confirmation arrives `way` later.
    subscribed: u64,
    way: u64,
    /// Nothing that is sent from here on arrives; noticed `notice` later.
    dead: u64,
    notice: u64,
}

#[derive(Clone, Debug)]
struct Model {
    connections: Vec<Connection>,
    /// When each event happens and how long it is on its way; whether the exchange sends it at all.
    events: Vec<(u64, u64, bool)>,
    /// A restart of the daemon: what is connected then dies.
    restart: Option<u64>,
    chained: bool,
    /// When the machine's clock is set and by how many milliseconds; the first is its skew from the beginning.
    steps: Vec<(u64, i64)>,
    /// While that connection lives, from so many milliseconds after two seconds of it, the exchange falls behind: from one event to
    /// the next by so many more, up to nine seconds. With the connection's end it has caught up, and what it owed is not sent there.
    behind: Option<(usize, u64, u64)>,
    /// How many records the intake has in hand when it notices a step: they stand behind the step, with times from before it.
    buffered: usize,
}

/// By how many milliseconds clocks are set, or wrong from the beginning.
const STEPS: [i64; 7] = [0, -3_600_000, -3_000, 3_000, 3_600_000, 10_000, -10_000];

fn model() -> impl Strategy<Value = Model> {
    let connection = (0_u64..300_000, 0_u64..400, 500_u64..200_000, 0_u64..3_000)
        .prop_map(|(subscribed, way, lasts, notice)| Connection { subscribed, way, dead: subscribed + lasts, notice });
    let events = prop::collection::vec((0_u64..400_000, 0_u64..1_500, prop::bool::weighted(0.995)), 1..400);
    let step = (0_u64..400_000, prop::sample::select(&STEPS));
    (
        prop::collection::vec(connection, 1..6),
        events,
        prop::option::of(50_000_u64..250_000),
        any::<bool>(),
        prop::sample::select(&STEPS),
        prop::collection::vec(step, 0..3),
        (0_usize..40, prop::option::of((0_usize..6, 0_u64..60_000, 0_u64..400))),
    )
        .prop_map(|(connections, mut events, restart, chained, skew, mut steps, (buffered, behind))| {
            events.sort_unstable();
            // Without a chain nobody can know what the exchange left out.
            events.iter_mut().for_each(|event| event.2 |= !chained);
            steps.insert(0, (0, skew));
            Model { connections, events, restart, chained, steps, behind, buffered }
        })
}

/// What stands in the spool, before the daemon's clock gives it its time.
enum Draft {
    Started,
    ConnectionEvent(u32, ConnectionEvent),
    /// A heartbeat leaves, or is answered: of a connection, the how manieth.
    Asked(u32, u64),
    Proved(u32, u64),
    Event(usize),
}

impl Model {
    /// When nothing more arrives over a connection.
    fn dead(&self, connection: &Connection) -> u64 {
        let killed = self.restart.filter(|restart| (connection.subscribed..connection.dead).contains(restart));
        killed.unwrap_or(connection.dead)
    }

    /// When the exchange sends each event.
    fn leaves(&self) -> Vec<u64> {
        let behind = self.behind.map(|(place, after, step)| {
            let connection = &self.connections[place % self.connections.len()];
            (connection.subscribed + connection.way + 2_000 + after..self.dead(connection), step)
        });
        let mut delay = 0;
        let late = |(at, way, _): &(u64, u64, bool)| match &behind {
            Some((times, step)) if times.contains(at) => {
                delay = (delay + step).min(9_000);
                (at + way + delay).min(times.end)
            }
            _ => at + way,
        };
        self.events.iter().map(late).collect()
    }

    /// What happens, in its order, in milliseconds of true time; and which events arrive.
    fn drafts(&self) -> (Vec<(u64, Draft)>, Vec<bool>) {
        let mut drafts: BTreeMap<(u64, u64), Draft> = BTreeMap::new();
        let mut number = 0;
        let mut put = |at: u64, draft: Draft| {
            number += 1;
            drafts.insert((at, number), draft);
        };
        put(0, Draft::Started);
        if let Some(restart) = self.restart {
            put(restart, Draft::Started);
        }
        let mut received = vec![None; self.events.len()];
        for (place, connection) in self.connections.iter().enumerate() {
            let line = u32::try_from(place).unwrap() + 1;
            let confirmed = connection.subscribed + connection.way;
            let dead = self.dead(connection);
            let killed = dead < connection.dead;
            if confirmed < dead {
                put(connection.subscribed, Draft::ConnectionEvent(line, ConnectionEvent::Connected));
                put(
                    confirmed,
                    Draft::ConnectionEvent(line, ConnectionEvent::Subscribed { channel: CHANNEL.to_owned() }),
                );
            }
            for asked in (confirmed + 5_000..).step_by(5_000).take_while(|asked| asked + 100 < dead) {
                put(asked, Draft::Asked(line, asked));
                put(asked + 100, Draft::Proved(line, asked));
            }
            if !killed && confirmed < dead {
                put(
                    dead + connection.notice,
                    Draft::ConnectionEvent(line, ConnectionEvent::Lost { reason: "cut".to_owned() }),
                );
            }
            for ((leaves, (_, _, sent)), received) in self.leaves().into_iter().zip(&self.events).zip(&mut received) {
                if *sent && leaves >= connection.subscribed && leaves < dead {
                    let arrives: u64 = leaves.max(connection.subscribed) + 1;
                    *received = Some(received.map_or(arrives, |earlier: u64| earlier.min(arrives)));
                }
            }
        }
        for (place, arrives) in received.iter().enumerate() {
            arrives.iter().for_each(|arrives| put(*arrives, Draft::Event(place)));
        }
        let drafts = drafts.into_iter().map(|((at, _), draft)| (at, draft)).collect();
        (drafts, received.iter().map(Option::is_some).collect())
    }

    /// The machine's clock at a moment.
    fn wall(&self, at: u64) -> u64 {
        let set: i64 = self.steps.iter().filter(|(when, _)| *when <= at).map(|(_, by)| by).sum();
        (START + at * MILLI).saturating_add_signed(set * 1_000)
    }

    /// The records of the spool in their order, and which events are in it.
    fn records(&self) -> (Vec<LedgerInput>, Vec<bool>) {
        let (drafts, received) = self.drafts();
        let mut records = Vec::new();
        let (mut course, mut started, mut steps) = (Course::after(0), 0, 0);
        let (mut last, mut process) = (0, 0);
        let mut asked: HashMap<(u32, u64), u64> = HashMap::new();
        for (at, draft) in drafts {
            if matches!(draft, Draft::Started) {
                (course, started, steps, process) = (Course::after(last), at, 0, records.len() + 1);
            }
            last = course.now(self.wall(at), (at - started) * MILLI);
            if course.steps().count > steps {
                steps = course.steps().count;
                let set = LedgerInput::ConnectionEvent(0, last, ConnectionEvent::ClockSet { by: course.steps().by });
                let place = records.len().saturating_sub(self.buffered).max(process).min(records.len());
                records.insert(place, set);
                process = place + 1;
                last = course.now(self.wall(at), (at - started) * MILLI);
            }
            records.push(match draft {
                Draft::Started => LedgerInput::ConnectionEvent(0, last, ConnectionEvent::Started),
                Draft::ConnectionEvent(line, story) => LedgerInput::ConnectionEvent(line, last, story),
                Draft::Asked(line, number) => {
                    asked.insert((line, number), last);
                    continue;
                }
                Draft::Proved(line, number) => LedgerInput::ConnectionEvent(
                    line,
                    last,
                    ConnectionEvent::Proved { through: asked[&(line, number)] },
                ),
                Draft::Event(place) => {
                    let time = START + self.events[place].0 * MILLI;
                    // As the shipper does with times that cannot be.
                    if time > last + 300_000_000 || time + 86_400_000_000 < last {
                        continue;
                    }
                    let ids = self.chained.then_some((place as u64 + 1, place as u64));
                    LedgerInput::Event(CHANNEL.to_owned(), time, ids, Some(last))
                }
            });
        }
        (records, received)
    }
}

fn story(connection: u32, at: u64, story: ConnectionEvent) -> LedgerInput {
    LedgerInput::ConnectionEvent(connection, START + at * MILLI, story)
}

/// Runs the ledger, saved and loaded before each record that `crashes` says. Returns what it entered.
fn enter(records: Vec<LedgerInput>, crashes: &[usize]) -> Vec<Interval> {
    enter_from(open("a", None), records, crashes).0
}

fn open(table: &str, saved: Option<&[u8]>) -> Ledger {
    Ledger::new("vm-1".to_owned(), table, [CHANNEL], saved).unwrap()
}

/// The same with a ledger that has begun; returns also what is saved at the end.
fn enter_from(mut ledger: Ledger, records: Vec<LedgerInput>, crashes: &[usize]) -> (Vec<Interval>, Option<Vec<u8>>) {
    let mut entered = Vec::new();
    let mut saved = None;
    for (place, record) in records.into_iter().enumerate() {
        if crashes.contains(&place) && saved.is_some() {
            saved = ledger.save().or(saved);
            // Events alone do not make the ledger saved, so a crash may forget them.
            ledger = open("a", saved.as_deref());
        }
        ledger.apply(record);
        saved = ledger.save().or(saved);
        for entry in ledger.outbox().to_vec() {
            if let LedgerEntry::Interval(record) = &entry {
                entered.push(record.interval.clone());
            }
            ledger.settle(&entry);
        }
    }
    (entered, ledger.save().or(saved))
}

/// `PROPTEST_CASES` asks for more.
fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().map_or(usual, |cases| cases.parse().unwrap());
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn captured_contains_every_event(model in model(), crashes in prop::collection::vec(0_usize..600, 0..4)) {
        let (records, received) = model.records();
        let entered = enter(records, &crashes);
        let mut chain_is_known = false;
        for (event, received) in model.events.iter().zip(received) {
            chain_is_known |= received;
            // Before the first event of a chain nobody can know what the exchange left out.
            if !event.2 && !chain_is_known {
                continue;
            }
            let time = START + event.0 * MILLI;
            let claimed = entered.iter().find(|interval| interval.state == State::Captured && interval.from <= time && time <= interval.through);
            prop_assert!(received || claimed.is_none(), "event at {} ms was missed, but {:?}", event.0, claimed);
        }
        let mut ends: Vec<_> = entered.iter().map(|interval| (interval.from, interval.through)).collect();
        ends.sort_unstable();
        for pair in ends.windows(2) {
            prop_assert_eq!(pair[0].1 + 1, pair[1].0, "a daemon says one thing of each moment: {:?}", pair);
        }
        for interval in &entered {
            prop_assert!(interval.from <= interval.through);
            prop_assert!(interval.state == State::Gap || interval.through - interval.from < 60_000_000);
        }
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    /// Events that went to the last table are missing in the next one.
    #[test]
    fn another_table_is_promised_nothing_that_the_last_one_has(model in model(), at in any::<prop::sample::Index>()) {
        let (mut records, _) = model.records();
        let later = records.split_off(at.index(records.len()));
        let in_the_last: Vec<u64> = records.iter().filter_map(|record| match record {
            LedgerInput::Event(_, time, ..) => Some(*time),
            LedgerInput::ConnectionEvent(..) => None,
        }).collect();
        let subscribes = later.iter().any(|record| matches!(record, LedgerInput::ConnectionEvent(_, _, ConnectionEvent::Subscribed { .. })));
        let (_, saved) = enter_from(open("a", None), records, &[]);
        let mut ledger = open("b", saved.as_deref());
        let mut listed = false;
        for record in later {
            ledger.apply(record);
            for entry in ledger.outbox().to_vec() {
                match &entry {
                    LedgerEntry::Channel(..) => listed = true,
                    LedgerEntry::Interval(Record { interval, .. }) if interval.state == State::Captured => {
                        let missing = in_the_last.iter().find(|time| (interval.from..=interval.through).contains(*time));
                        prop_assert_eq!(missing, None, "{:?}", interval);
                    }
                    LedgerEntry::Interval(_) => {}
                }
                ledger.settle(&entry);
            }
        }
        prop_assert_eq!(listed, subscribes, "the channel list of the next table");
    }
}

/// What a wrong clock costs: as much as nothing where it is only wrong, the seconds around it where it is set.
#[test]
fn a_wrong_clock_makes_coverage_poorer_by_seconds() {
    for by in STEPS {
        for (at, most) in [(0, 0), (100_000, 20_000)] {
            let events = (0..4_000).map(|number| (number * 100, 50, true)).collect();
            let steps = vec![(at, by)];
            let (records, _) = Model {
                connections: vec![connection(0, 390_000)],
                events,
                restart: None,
                chained: false,
                steps,
                behind: None,
                buffered: 0,
            }
            .records();
            let entered = enter(records, &[]);
            let (from, to) = (START + 2_200 * MILLI, START + 300_000 * MILLI);
            let merged = merge(&entered, from, to);
            let missing: u64 = merged
                .iter()
                .filter(|interval| interval.state != State::Captured)
                .map(|interval| (interval.through - interval.from + 1) / MILLI)
                .sum();
            // An hour behind, the exchange's times are those of the future: nothing is believed.
            if by == -3_600_000 && at == 0 {
                assert!(entered.iter().all(|interval| interval.state == State::Gap), "{entered:?}");
            } else {
                assert!(missing <= most, "{by} at {at}: {missing} ms of {merged:?}");
            }
        }
    }
}

/// The other side of caution: what was complete is called so, but for two seconds at either end.
fn captured(connections: Vec<Connection>, chained: bool) -> Vec<(u64, u64, State)> {
    let events = (0..4_000).map(|number| (number * 100, 50, true)).collect();
    let (records, _) =
        Model { connections, events, restart: None, chained, steps: Vec::new(), behind: None, buffered: 0 }.records();
    let entered = enter(records, &[]);
    let end = entered.iter().map(|interval| interval.through).max().unwrap();
    merge(&entered, START, end)
        .iter()
        .map(|interval| ((interval.from - START) / MILLI, (interval.through - START) / MILLI, interval.state))
        .collect()
}

fn connection(subscribed: u64, dead: u64) -> Connection {
    Connection { subscribed, way: 100, dead, notice: 1_000 }
}

#[test]
fn one_of_two_connections_may_fail_at_any_time() {
    let connections = vec![connection(0, 150_000), connection(500, 100_000), connection(102_000, 300_000)];
    for chained in [false, true] {
        let found = captured(connections.clone(), chained);
        let gaps: Vec<_> = found.iter().filter(|(from, _, state)| *state == State::Gap && *from < 280_000).collect();
        assert!(gaps.is_empty(), "{found:?}");
        let whole: Vec<_> = found.iter().filter(|(_, _, state)| *state == State::Captured).collect();
        assert!(matches!(whole[..], [(from, through, _)] if *from <= 2_101 && *through >= 280_000), "{found:?}");
    }
}

#[test]
fn a_gap_is_as_long_as_the_loss_and_its_margins() {
    let connections = vec![connection(0, 100_000), connection(110_000, 300_000)];
    let gap = |chained| {
        let found = captured(connections.clone(), chained);
        let gap = found.iter().find(|(from, _, state)| *state == State::Gap && *from > 50_000).copied();
        gap.unwrap_or_else(|| panic!("{found:?}"))
    };
    let (from, through, _) = gap(false);
    assert!((93_000..=100_000).contains(&from) && (112_000..=112_200).contains(&through), "{from} {through}");
    let (from, through, _) = gap(true);
    assert!((99_800..=100_000).contains(&from) && (109_800..=110_100).contains(&through), "{from} {through}");
}

/// Nothing was sent while nobody listened: the chain goes on, and that proves it.
#[test]
fn a_chain_that_goes_on_over_a_loss_is_no_gap() {
    let mut events: Vec<_> = (0..1_000).map(|number| (number * 100, 50, true)).collect();
    events.extend((1_120..2_500).map(|number| (number * 100, 50, true)));
    let connections = vec![connection(0, 101_000), connection(105_000, 300_000)];
    let (records, received) =
        Model { connections, events, restart: None, chained: true, steps: Vec::new(), behind: None, buffered: 0 }
            .records();
    assert!(received[1..].iter().all(|received| *received));
    let entered = enter(records, &[]);
    assert!(
        entered.iter().all(|interval| interval.state == State::Captured || interval.from > START + 240_000_000),
        "{entered:?}"
    );
}

/// A gap of a chain is decided some seconds after it; by then the channel may be lost again.
#[test]
fn a_gap_keeps_its_reason_when_the_channel_is_lost_again() {
    let events = (0..1_400).map(|number| (number * 100, 50, true)).collect();
    let connections = vec![connection(0, 100_000), connection(102_000, 117_000)];
    let model =
        Model { connections, events, restart: None, chained: true, steps: Vec::new(), behind: None, buffered: 0 };
    let mut records = model.records().0;
    for record in &mut records {
        if let LedgerInput::ConnectionEvent(2, _, ConnectionEvent::Lost { reason }) = record {
            *reason = "again".to_owned();
        }
    }
    let gap = enter(records, &[]).into_iter().find(|interval| interval.state == State::Gap).unwrap();
    assert!((START + 99_000 * MILLI..START + 101_000 * MILLI).contains(&gap.from), "{gap:?}");
    assert_eq!(gap.reason.as_deref(), Some("cut"));
}

#[test]
fn what_the_exchange_left_out_is_a_gap_between_its_neighbours() {
    let events = (0..2_000).map(|number| (number * 100, 50, number != 700)).collect();
    let (records, _) = Model {
        connections: vec![connection(0, 300_000)],
        events,
        restart: None,
        chained: true,
        steps: Vec::new(),
        behind: None,
        buffered: 0,
    }
    .records();
    let entered = enter(records, &[]);
    let gap = entered.iter().find(|interval| interval.state == State::Gap).unwrap();
    assert_eq!((gap.from, gap.through), (START + 69_900 * MILLI, START + 70_100 * MILLI));
    assert!(gap.reason.as_deref().unwrap().contains("pre_event_id"), "{gap:?}");
}

#[test]
fn an_entry_stays_in_the_outbox_until_it_is_in_the_table() {
    let mut ledger = open("a", None);
    ledger.apply(story(1, 0, ConnectionEvent::Connected));
    ledger.apply(story(1, 1, ConnectionEvent::Subscribed { channel: CHANNEL.to_owned() }));
    let entry = ledger.outbox()[0].clone();
    assert_eq!(entry, LedgerEntry::Channel(CHANNEL.to_owned(), START + MILLI));
    let saved = ledger.save().unwrap();
    let mut loaded = open("a", Some(&saved));
    assert_eq!(loaded.outbox(), std::slice::from_ref(&entry));
    loaded.settle(&entry);
    assert!(loaded.outbox().is_empty());
    assert!(loaded.save().is_some() && loaded.save().is_none());
}

/// The table may have been deleted and created again under its name, which nothing tells the daemon.
#[test]
fn the_channel_list_is_entered_again_after_a_day_and_after_a_start() {
    const DAY: u64 = 86_400_000;
    let mut ledger = open("a", None);
    let subscribe = |at| story(1, at, ConnectionEvent::Subscribed { channel: CHANNEL.to_owned() });
    let mut entries_at = |record: LedgerInput| {
        ledger.apply(record);
        let entries: Vec<_> = ledger.outbox().to_vec();
        entries.iter().for_each(|entry| ledger.settle(entry));
        entries.iter().filter(|entry| matches!(entry, LedgerEntry::Channel(..))).count()
    };
    assert_eq!(entries_at(story(1, 0, ConnectionEvent::Connected)), 0);
    assert_eq!(entries_at(subscribe(1)), 1);
    assert_eq!(entries_at(subscribe(DAY)), 0);
    assert_eq!(entries_at(subscribe(DAY + 1)), 1);
    assert_eq!(entries_at(story(0, DAY + 2, ConnectionEvent::Started)), 0);
    assert_eq!(entries_at(story(2, DAY + 3, ConnectionEvent::Connected)), 0);
    assert_eq!(entries_at(subscribe(DAY + 4)), 1);
}
