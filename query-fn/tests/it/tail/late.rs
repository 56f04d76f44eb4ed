//! Events that become readable late and out of order, and a viewer that is cut off meanwhile.

use proptest::prelude::*;
use shared::coverage::channel_item;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

use crate::{
    support::{Service, stored},
    viewer::{Viewer, Written, in_time},
};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Events that had to be shown, and those that this machine wrote later than the window, which need not.
static CHECKED: AtomicUsize = AtomicUsize::new(0);

static LATER: AtomicUsize = AtomicUsize::new(0);

const WINDOW: Duration = Duration::from_secs(2);

/// Events become readable in steps of this length.
const STEP: Duration = Duration::from_millis(25);

/// The most steps by which an event is later than a newer one.
const LATE: u64 = 8;

/// The microseconds of a step: within two seconds of exchange time anything may come in any order.
const MICROS: u64 = 2_000_000 / LATE;

/// When an event happened and how it gets into the table.
#[derive(Clone, Debug)]
struct Event {
    /// Exchange time in ticks; a few of them make a step, so that many events share one.
    tick: u64,
    /// Steps by which the first daemon's write is late.
    late: u64,
    /// Steps after which another daemon writes it again, with its own received time.
    again: Option<u64>,
    channel: usize,
}

/// What one viewer sees and where it is cut.
#[derive(Clone, Debug)]
pub(super) struct Case {
    channels: usize,
    events: Vec<Event>,
    /// Messages until each cut; afterwards the connection holds.
    cuts: Vec<usize>,
    only_trades: bool,
}

const TICKS: u64 = 3;

/// How old the events of a case are, microseconds.
const AGE: u64 = 600_000_000;

pub(super) fn case() -> impl Strategy<Value = Case> {
    (1..4_usize, 1..20_u64).prop_flat_map(|(channels, steps)| {
        // Later than the window too: an event that was shown is not shown again.
        let again = prop::option::of(prop_oneof![0..LATE, 0..60_u64]);
        let event = (0..steps * TICKS, 0..=LATE, again, 0..channels);
        let event = event.prop_map(|(tick, late, again, channel)| Event { tick, late, again, channel });
        let cuts = prop::collection::vec(0..6_usize, 0..8);
        (prop::collection::vec(event, 0..80), cuts, any::<bool>()).prop_map(move |(events, cuts, only_trades)| Case {
            channels,
            events,
            cuts,
            only_trades,
        })
    })
}

/// A write: the step that it is due at, the event's time and id, the message, the received time.
#[derive(Clone, Debug)]
struct Write {
    due: u64,
    time: u64,
    id: u64,
    message: String,
    received_at: u64,
}

/// The writes of a case in their order, and the ids of the events that its viewer selects.
fn plan(case: &Case, group: u64, base: u64) -> (Vec<Write>, BTreeSet<u64>) {
    let (mut writes, mut selected) = (Vec::new(), BTreeSet::new());
    for event in &case.events {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let time = base + event.tick * MICROS / TICKS;
        let name = if id.is_multiple_of(3) { "order_created" } else { "trade" };
        let channel = event.channel;
        let message = format!(
            r#"{{"channel":"live_trades_t{group}-{channel}","event":"{name}","data":{{"id":{id},"microtimestamp":"{time}"}}}}"#
        );
        let due = event.tick / TICKS + event.late;
        let write = Write { due, time, id, message, received_at: time + id % 7 };
        if let Some(again) = event.again {
            writes.push(Write { due: due + again, received_at: time + (id * 5) % 11, ..write.clone() });
        }
        writes.push(write);
        if !case.only_trades || name == "trade" {
            selected.insert(id);
        }
    }
    writes.sort_by_key(|write| write.due);
    (writes, selected)
}

/// Writes at each step what is due; returns when each event was written for the first time.
async fn write(service: &Service, writes: Vec<Write>, started: Instant) -> Vec<Written> {
    let (mut written, mut known) = (Vec::new(), BTreeSet::new());
    for due in writes.chunk_by(|left, right| left.due == right.due) {
        sleep_until(started + STEP * u32::try_from(due[0].due).unwrap()).await;
        // A batch takes a key once, and what is in one batch is not in two.
        for batch in due.chunks(20) {
            let began = Instant::now();
            let mut keys = BTreeSet::new();
            let once = batch.iter().rev().filter(|write| keys.insert(write.id));
            service.put(once.map(|write| stored(&write.message, write.received_at)).collect()).await;
            let ended = Instant::now();
            let new = batch.iter().filter(|write| known.insert(write.id));
            written.extend(new.map(|write| Written { time: write.time, id: write.id, began, ended }));
        }
    }
    written
}

/// Follows until the last event, cut off as often as the case says.
async fn follow(mut viewer: Viewer, cuts: Vec<usize>, last: u64) -> Vec<(u64, u64)> {
    let mut seen = Vec::new();
    let mut cuts = cuts.into_iter();
    let mut left = cuts.next();
    loop {
        if left == Some(0) {
            viewer.connect().await;
            left = cuts.next();
        }
        let message = viewer.next().await.expect("a message");
        assert_eq!(message.event, "message");
        let number = |name: &str| message.data[name].as_u64().unwrap();
        if number("id") == last {
            return seen;
        }
        seen.push((number("nmicrotimestamp"), number("id")));
        left = left.map(|left| left.saturating_sub(1));
    }
}

async fn check(service: &Service, case: Case) {
    let group = NEXT.fetch_add(1, Ordering::Relaxed);
    let url = service.router_with(|config| config.tail_window = WINDOW).await;
    let names: Vec<_> = (0..case.channels).map(|channel| format!("live_trades_t{group}-{channel}")).collect();
    // A tail holds back what is far ahead of this machine's clock.
    let base = query_fn::range::now() - AGE;
    let (mut writes, selected) = plan(&case, group, base);
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    let time = base + AGE;
    let message =
        format!(r#"{{"channel":"{}","event":"trade","data":{{"id":{last},"microtimestamp":"{time}"}}}}"#, names[0]);
    let due = writes.last().map_or(0, |write| write.due) + 1;
    writes.push(Write { due, time, id: last, message, received_at: base });
    service.put(names.iter().map(|name| channel_item(name, base)).collect()).await;
    let filter = if case.only_trades { "&event=trade" } else { "" };
    let url = format!("{url}/tail?channel={}{filter}&from={base}", names.join(","));
    let mut viewer = Viewer::new(&service.http, url);
    viewer.connect().await;
    let following = follow(viewer, case.cuts.clone(), last);
    let (written, seen) = tokio::join!(write(service, writes, Instant::now()), following);
    let must = in_time(&written, WINDOW);
    assert!(seen.is_sorted_by_key(|(time, _)| *time), "{case:?}: {seen:?}");
    let union: BTreeSet<_> = seen.iter().map(|(_, id)| *id).collect();
    assert_eq!(seen.len(), union.len(), "twice: {case:?} {seen:?}");
    let missing: Vec<_> = selected.intersection(&must).filter(|id| !union.contains(id)).collect();
    assert!(missing.is_empty() && union.is_subset(&selected), "{missing:?} {case:?} {written:?} {seen:?}");
    CHECKED.fetch_add(must.len(), Ordering::Relaxed);
    LATER.fetch_add(written.len() - must.len(), Ordering::Relaxed);
}

/// Cases side by side: most of their time is waiting.
pub(super) async fn check_all(service: &Service, cases: Vec<Case>) {
    futures_util::future::join_all(cases.into_iter().map(|case| check(service, case))).await;
    let (checked, later) = (CHECKED.load(Ordering::Relaxed), LATER.load(Ordering::Relaxed));
    eprintln!("{checked} events in time so far, {later} later than the window");
}
