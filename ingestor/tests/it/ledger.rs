//! The ledger against a model of the exchange: an interval called captured contains every event that was sent in it.

use std::collections::BTreeMap;

use ingestor::ledger::{Entry, Ledger, Mark};
use ingestor::spool::record::Story;
use proptest::prelude::*;
use shared::coverage::{State, Stretch, merge};

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
}

fn model() -> impl Strategy<Value = Model> {
    let connection = (0_u64..300_000, 0_u64..400, 500_u64..200_000, 0_u64..3_000)
        .prop_map(|(subscribed, way, lasts, notice)| Connection { subscribed, way, dead: subscribed + lasts, notice });
    let events = prop::collection::vec((0_u64..400_000, 0_u64..1_500, prop::bool::weighted(0.995)), 1..400);
    (prop::collection::vec(connection, 1..6), events, prop::option::of(50_000_u64..250_000), any::<bool>()).prop_map(
        |(connections, mut events, restart, chained)| {
            events.sort_unstable();
            // Without a chain nobody can know what the exchange left out.
            events.iter_mut().for_each(|event| event.2 |= !chained);
            Model { connections, events, restart, chained }
        },
    )
}

impl Model {
    /// The records of the spool in their order, and which events are in it.
    fn records(&self) -> (Vec<Mark>, Vec<bool>) {
        let mut records: BTreeMap<(u64, u64), Mark> = BTreeMap::new();
        let mut number = 0;
        let mut put = |at: u64, mark: Mark| {
            number += 1;
            records.insert((at, number), mark);
        };
        put(0, story(0, 0, Story::Started));
        if let Some(restart) = self.restart {
            put(restart, story(0, restart, Story::Started));
        }
        let mut received = vec![None; self.events.len()];
        for (place, connection) in self.connections.iter().enumerate() {
            let line = u32::try_from(place).unwrap() + 1;
            let confirmed = connection.subscribed + connection.way;
            let killed = self.restart.filter(|restart| (connection.subscribed..connection.dead).contains(restart));
            let dead = killed.unwrap_or(connection.dead);
            if confirmed < dead {
                put(connection.subscribed, story(line, connection.subscribed, Story::Connected));
                put(confirmed, story(line, confirmed, Story::Subscribed { channel: CHANNEL.to_owned() }));
            }
            for asked in (confirmed + 5_000..).step_by(5_000).take_while(|asked| asked + 100 < dead) {
                let through = START + asked * MILLI;
                put(asked + 100, story(line, asked + 100, Story::Proved { through }));
            }
            if killed.is_none() && confirmed < dead {
                let lost = dead + connection.notice;
                put(lost, story(line, lost, Story::Lost { reason: "cut".to_owned() }));
            }
            for ((at, way, sent), received) in self.events.iter().zip(&mut received) {
                let leaves = at + way;
                if *sent && leaves >= connection.subscribed && leaves < dead {
                    let arrives: u64 = leaves.max(connection.subscribed) + 1;
                    *received = Some(received.map_or(arrives, |earlier: u64| earlier.min(arrives)));
                }
            }
        }
        for (place, arrives) in received.iter().enumerate() {
            let time = START + self.events[place].0 * MILLI;
            let ids = self.chained.then_some((place as u64 + 1, place as u64));
            if let Some(arrives) = arrives {
                put(*arrives, Mark::Event(CHANNEL.to_owned(), time, ids));
            }
        }
        (records.into_values().collect(), received.iter().map(Option::is_some).collect())
    }
}

fn story(connection: u32, at: u64, story: Story) -> Mark {
    Mark::Story(connection, START + at * MILLI, story)
}

/// Runs the ledger, saved and loaded before each record that `crashes` says. Returns what it entered.
fn enter(records: Vec<Mark>, crashes: &[usize]) -> Vec<Stretch> {
    let new = |saved: Option<&[u8]>| Ledger::new("vm-1".to_owned(), [CHANNEL], saved).unwrap();
    let mut ledger = new(None);
    let mut entered = Vec::new();
    let mut saved = None;
    for (place, record) in records.into_iter().enumerate() {
        if crashes.contains(&place) && saved.is_some() {
            saved = ledger.save().or(saved);
            // Events alone do not make the ledger saved, so a crash may forget them.
            ledger = new(saved.as_deref());
        }
        ledger.apply(record);
        saved = ledger.save().or(saved);
        for entry in ledger.outbox().to_vec() {
            if let Entry::Stretch(record) = &entry {
                entered.push(record.stretch.clone());
            }
            ledger.settle(&entry);
        }
    }
    entered
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

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
            let claimed = entered.iter().find(|stretch| stretch.state == State::Captured && stretch.from <= time && time <= stretch.through);
            prop_assert!(received || claimed.is_none(), "event at {} ms was missed, but {:?}", event.0, claimed);
        }
        let mut ends: Vec<_> = entered.iter().map(|stretch| (stretch.from, stretch.through)).collect();
        ends.sort_unstable();
        for pair in ends.windows(2) {
            prop_assert!(pair[0].1 < pair[1].0, "a daemon says one thing of a moment: {pair:?}");
        }
        for stretch in &entered {
            prop_assert!(stretch.from <= stretch.through);
            prop_assert!(stretch.state == State::Gap || stretch.through - stretch.from < 60_000_000);
        }
    }
}

/// The other side of caution: what was complete is called so, but for two seconds at either end.
fn captured(connections: Vec<Connection>, chained: bool) -> Vec<(u64, u64, State)> {
    let events = (0..4_000).map(|number| (number * 100, 50, true)).collect();
    let (records, _) = Model { connections, events, restart: None, chained }.records();
    let entered = enter(records, &[]);
    let end = entered.iter().map(|stretch| stretch.through).max().unwrap();
    merge(&entered, START, end)
        .iter()
        .map(|stretch| ((stretch.from - START) / MILLI, (stretch.through - START) / MILLI, stretch.state))
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
    let (records, received) = Model { connections, events, restart: None, chained: true }.records();
    assert!(received[1..].iter().all(|received| *received));
    let entered = enter(records, &[]);
    assert!(
        entered.iter().all(|stretch| stretch.state == State::Captured || stretch.from > START + 240_000_000),
        "{entered:?}"
    );
}

#[test]
fn what_the_exchange_left_out_is_a_gap_between_its_neighbours() {
    let events = (0..2_000).map(|number| (number * 100, 50, number != 700)).collect();
    let (records, _) =
        Model { connections: vec![connection(0, 300_000)], events, restart: None, chained: true }.records();
    let entered = enter(records, &[]);
    let gap = entered.iter().find(|stretch| stretch.state == State::Gap).unwrap();
    assert_eq!((gap.from, gap.through), (START + 69_900 * MILLI, START + 70_100 * MILLI));
    assert!(gap.reason.as_deref().unwrap().contains("pre_event_id"), "{gap:?}");
}

#[test]
fn an_entry_stays_in_the_outbox_until_it_is_in_the_table() {
    let mut ledger = Ledger::new("vm-1".to_owned(), [CHANNEL], None).unwrap();
    ledger.apply(story(1, 0, Story::Connected));
    ledger.apply(story(1, 1, Story::Subscribed { channel: CHANNEL.to_owned() }));
    let entry = ledger.outbox()[0].clone();
    assert_eq!(entry, Entry::Channel(CHANNEL.to_owned(), START + MILLI));
    let saved = ledger.save().unwrap();
    let mut loaded = Ledger::new("vm-1".to_owned(), [CHANNEL], Some(&saved)).unwrap();
    assert_eq!(loaded.outbox(), std::slice::from_ref(&entry));
    loaded.settle(&entry);
    assert!(loaded.outbox().is_empty());
    assert!(loaded.save().is_some() && loaded.save().is_none());
}
