//! The ledger against a model of the exchange: an interval called captured contains every event that was sent in it.

use ingestor::ledger::{Ledger, LedgerEntry, LedgerInput};
use ingestor::spool::record::ConnectionEvent;
use proptest::prelude::*;
use shared::coverage::{Interval, Record, State, merge};

mod model;

use model::{Connection, Model, STEPS, model};

const START: u64 = 1_789_459_694_000_000;
const MILLI: u64 = 1_000;
const CHANNEL: &str = "live_orders_btcusd";

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
