//! A model of the exchange and of the daemon's connections to it.

use std::collections::{BTreeMap, HashMap};

use ingestor::clock::Course;
use ingestor::ledger::LedgerInput;
use ingestor::spool::record::ConnectionEvent;
use proptest::prelude::*;

use super::{CHANNEL, MILLI, START};

/// One connection of a run, times in milliseconds after the start of the model.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// The exchange carries out the subscription; the confirmation arrives `way` later.
    pub(super) subscribed: u64,
    pub(super) way: u64,
    /// Nothing that is sent from here on arrives; noticed `notice` later.
    pub(super) dead: u64,
    pub(super) notice: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) connections: Vec<Connection>,
    /// When each event happens and how long it is on its way; whether the exchange sends it at all.
    pub(super) events: Vec<(u64, u64, bool)>,
    /// A restart of the daemon: what is connected then dies.
    pub(super) restart: Option<u64>,
    pub(super) chained: bool,
    /// When the machine's clock is set and by how many milliseconds; the first is its skew from the beginning.
    pub(super) steps: Vec<(u64, i64)>,
    /// While that connection lives, from so many milliseconds after two seconds of it, the exchange falls behind: from one event to
    /// the next by so many more, up to nine seconds. With the connection's end it has caught up, and what it owed is not sent there.
    pub(super) behind: Option<(usize, u64, u64)>,
    /// How many records the intake has in hand when it notices a step: they stand behind the step, with times from before it.
    pub(super) buffered: usize,
}

/// By how many milliseconds clocks are set, or wrong from the beginning.
pub(super) const STEPS: [i64; 7] = [0, -3_600_000, -3_000, 3_000, 3_600_000, 10_000, -10_000];

pub(super) fn model() -> impl Strategy<Value = Model> {
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
    pub(super) fn records(&self) -> (Vec<LedgerInput>, Vec<bool>) {
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
