//! One run of the campaign: what its seed decides is done to daemon, exchange, store and disk, and then the table is judged.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use exchange_sim::faults::Fault;
use fault_proxy::config::Outage;
use fault_proxy::mix::FaultProbabilities;
use ingestor::clock::system_micros;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use shared::coverage::{Interval, State, merge};

use super::{Plan, SCENARIOS, Scenario, Sum};
use crate::support::{Bench, CHANNELS, DEADLINE, Daemon, Shim, is_in, until, until_async};

/// Time after a gap's end at which the runs that fill begin to.
const FILL_AFTER: Duration = Duration::from_secs(3);

/// Answers of the exchange's history.
const HISTORY: [&str; 6] = ["page:3", "503:3", "403:2", "429=1:2", "limited:2", "cut:2"];

/// Answers of a store that takes nothing.
const DOWN: [Outage; 4] = [Outage::Denied, Outage::Unavailable, Outage::WrongIndex, Outage::Mute];

/// The parts of one run.
struct Run {
    plan: Plan,
    bench: Bench,
    dice: ChaCha8Rng,
    /// Of each daemon.
    connections: usize,
    settings: BTreeMap<String, String>,
    /// The daemon's disk or clock, where it goes wrong.
    shim: Option<Shim>,
    /// The daemon to which nothing is done.
    other: Option<Daemon>,
    result: Sum,
}

pub(super) async fn run(seed: u64, change: fn(&mut BTreeMap<String, String>)) -> (u64, Sum) {
    let plan = Plan::of(seed);
    let mut run = Run::new(seed, plan).await;
    change(&mut run.settings);
    let mut daemon = Daemon::start_on(&run.settings, run.shim.as_ref()).await;
    if plan.shares {
        daemon.until_metric("bitstamp_writes", |writes| writes == 1.0).await;
        let mut settings = run.settings.clone();
        settings.insert("spool_dir".to_owned(), run.bench.folder.path().join("other").display().to_string());
        run.other = Some(Daemon::start(&settings).await);
    }
    let subscriptions = 4 * run.connections * if plan.shares { 2 } else { 1 };
    until("subscribed", || run.bench.simulator.subscriptions() == subscriptions).await;
    // Nothing is known of the time before a connection is proved: that takes two seconds.
    tokio::time::sleep(Duration::from_secs(4)).await;
    run.bench.simulator.resume();
    daemon.until_metric("bitstamp_stored_total", |stored| stored > 200.0).await;
    if matches!(plan.scenario, Scenario::TheStore | Scenario::Everything) {
        run.bench.proxy.set_mix(FaultProbabilities::rough());
    }
    for step in 0..3 {
        tokio::time::sleep(Duration::from_millis(run.dice.random_range(200..1_500))).await; // the seeded moment
        daemon = run.step(step, daemon).await;
    }
    run.finish(daemon).await;
    judge(&run.bench, &mut run.result).await;
    (seed, run.result)
}

impl Run {
    async fn new(seed: u64, plan: Plan) -> Self {
        let bench = Bench::new(seed, 0.25).await;
        let alone =
            matches!(plan.scenario, Scenario::TheOnlyOne | Scenario::History | Scenario::TheStore | Scenario::Refused);
        let connections = if alone { 1 } else { 2 };
        let mut settings = bench.settings();
        for (key, value) in [
            ("ping_every", "500ms"),
            ("heartbeat_every", "500ms"),
            ("answer_within", "5s"),
            ("markets_every", "1s"),
            // A busy machine must not look like a store that does not answer.
            ("request_timeout", "2s"),
        ] {
            settings.insert(key.to_owned(), value.to_owned());
        }
        settings.insert("connections".to_owned(), connections.to_string());
        if plan.fills {
            settings.insert("fill_after".to_owned(), format!("{}s", FILL_AFTER.as_secs()));
        }
        if plan.shares {
            settings.insert("lease".to_owned(), "3s".to_owned());
        }
        let shim = match plan.scenario {
            Scenario::Disk => Some(Shim::disk(bench.folder.path())),
            Scenario::Clock => Some(Shim::clock(bench.folder.path())),
            _ => None,
        };
        let dice = ChaCha8Rng::seed_from_u64(seed);
        Self { plan, bench, dice, connections, settings, shim, other: None, result: Sum::default() }
    }

    /// Lets everything go well for a while, stops the flow, and ends the daemons one after another, each once what it has to
    /// write is stored: first the one that writes.
    async fn finish(&mut self, daemon: Daemon) {
        let mut daemons: Vec<Daemon> = [Some(daemon), self.other.take()].into_iter().flatten().collect();
        settle(&self.bench, &daemons, self.connections).await;
        self.result.peak_kib = self.result.peak_kib.max(daemons[0].memory().0);
        while !daemons.is_empty() {
            let position = drained(&self.bench, &daemons).await;
            if self.plan.fills && daemons.len() == 1 {
                filled(&self.bench).await;
            }
            let code = daemons.remove(position).terminate(Duration::from_secs(60)).await;
            self.result.crashes += usize::from(code != 0);
        }
    }

    /// Does the scenario's next fault to the daemon and its surroundings; returns the daemon that runs then.
    async fn step(&mut self, step: usize, daemon: Daemon) -> Daemon {
        let Self { plan: Plan { scenario, .. }, bench, dice, settings, shim, result, .. } = self;
        let daemons: Vec<&Daemon> = [Some(&daemon), self.other.as_ref()].into_iter().flatten().collect();
        match *scenario {
            Scenario::OneOfTwo => one_at_a_time(bench, &daemons, dice, connection_fault).await,
            Scenario::Application => {
                bench.simulator.inject(Fault::OddTimes { count: dice.random_range(1..6) });
                one_at_a_time(bench, &daemons, dice, application_fault).await;
            }
            Scenario::History => cut_before_a_poor_history(bench, &daemons, dice).await,
            Scenario::TheOnlyOne => {
                let down = Fault::Down { lasting: Duration::from_millis(dice.random_range(200..2_000)) };
                bench.simulator.inject(if step == 1 { down } else { connection_fault(dice, *scenario) });
            }
            Scenario::TheStore => bench.proxy.set_down((step == 1).then_some(Outage::Refuse)),
            Scenario::Refused => {
                let shift = usize::try_from(bench.seed).unwrap() / SCENARIOS.len();
                bench.proxy.set_down(Some(DOWN[(step + shift) % DOWN.len()]));
                tokio::time::sleep(Duration::from_millis(dice.random_range(200..3_000))).await; // the outage
                bench.proxy.set_down(None);
            }
            Scenario::Stopped => {
                signal(&daemon, "-STOP");
                tokio::time::sleep(Duration::from_millis(dice.random_range(3_000..6_000))).await; // the pause
                signal(&daemon, "-CONT");
            }
            Scenario::Disk => {
                result.peak_kib = result.peak_kib.max(daemon.memory().0);
                let (ended, next) = fail(daemon, shim.as_ref().expect("it has one"), dice.random(), settings).await;
                result.crashes += usize::from(ended != 74);
                return next;
            }
            Scenario::Clock => {
                let shim = shim.as_ref().expect("it has one");
                set_clock(shim, dice);
                if dice.random() {
                    result.peak_kib = result.peak_kib.max(daemon.memory().0);
                    daemon.kill();
                    return Daemon::start_on(settings, Some(shim)).await;
                }
                one_at_a_time(bench, &daemons, dice, |_, _| Fault::Cut).await;
            }
            Scenario::Markets => {
                leave_and_join(bench, dice).await;
                one_at_a_time(bench, &daemons, dice, |_, _| Fault::Cut).await;
            }
            Scenario::Kill | Scenario::Everything => {
                if *scenario == Scenario::Everything {
                    bench.simulator.inject(connection_fault(dice, *scenario));
                    tokio::time::sleep(Duration::from_millis(dice.random_range(0..800))).await; // the seeded moment
                }
                result.peak_kib = result.peak_kib.max(daemon.memory().0);
                daemon.kill();
                return Daemon::start(settings).await;
            }
        }
        daemon
    }
}

/// The connection is cut, and the exchange's history answers badly.
async fn cut_before_a_poor_history(bench: &Bench, daemons: &[&Daemon], dice: &mut ChaCha8Rng) {
    let answer = HISTORY[dice.random_range(0..HISTORY.len())];
    bench.simulator.inject(format!("rest:{answer}").parse::<Fault>().unwrap());
    until("connected", || bench.simulator.subscriptions() == 4 * daemons.len()).await;
    let losses = sum(daemons, "bitstamp_losses_total").await;
    bench.simulator.inject(Fault::Cut);
    until_async("lost", async || sum(daemons, "bitstamp_losses_total").await > losses).await;
}

/// A market leaves the exchange's list, the daemon its channels; then both come back.
async fn leave_and_join(bench: &Bench, dice: &mut ChaCha8Rng) {
    let market = ["btcusd", "ethusd"][dice.random_range(0..2)].to_owned();
    let all = bench.simulator.subscriptions();
    bench.simulator.inject(Fault::Delist { market: market.clone() });
    until("two of four channels left", || bench.simulator.subscriptions() == all / 2).await;
    bench.simulator.inject(Fault::List { market });
    until("they joined again", || bench.simulator.subscriptions() == all).await;
}

/// Sets the machine's clock by 1 s to 68 min, as often by little as by much, ahead or behind.
fn set_clock(shim: &Shim, dice: &mut ChaCha8Rng) {
    let micros = 1_000_000_i64 << dice.random_range(0..13);
    shim.set(Some(&format!("{};", if dice.random() { micros } else { -micros })));
}

fn signal(daemon: &Daemon, name: &str) {
    assert!(Command::new("kill").args([name, &daemon.id().to_string()]).status().unwrap().success());
}

/// A fault of one of all connections, and its end.
async fn one_at_a_time(
    bench: &Bench,
    daemons: &[&Daemon],
    dice: &mut ChaCha8Rng,
    draw: fn(&mut ChaCha8Rng, Scenario) -> Fault,
) {
    let fault = draw(dice, Scenario::OneOfTwo);
    // Also a heartbeat without an answer ends its connection.
    let ends_it =
        matches!(fault, Fault::Cut | Fault::Mute { .. } | Fault::AppMute { .. } | Fault::LoseHeartbeats { .. });
    let lasting = if matches!(fault, Fault::Slow { .. }) { 3 } else { 1 };
    let all = 8 * daemons.len();
    // A daemon that has just been started again has no second connection yet.
    until("all are there", || bench.simulator.subscriptions() == all).await;
    let losses = sum(daemons, "bitstamp_losses_total").await;
    let met = bench.simulator.inject(fault.on(dice.random_range(1..=2 * daemons.len())));
    assert_eq!(met, 1, "a fault that meets no connection");
    tokio::time::sleep(Duration::from_secs(lasting)).await; // the fault takes its course
    if ends_it {
        until_async("lost", async || sum(daemons, "bitstamp_losses_total").await > losses).await;
    }
    until_async("confirmed", async || sum(daemons, "bitstamp_subscriptions").await == all as f64).await;
    until("the simulator noticed", || bench.simulator.subscriptions() == all).await;
    until("everything sent", || bench.simulator.queued() == 0).await;
}

async fn sum(daemons: &[&Daemon], metric: &str) -> f64 {
    let mut sum = 0.0;
    for daemon in daemons {
        sum += daemon.metric(metric).await;
    }
    sum
}

/// The disk fails until the daemon has ended; then it is well and the daemon starts again.
async fn fail(mut daemon: Daemon, disk: &Shim, full: bool, settings: &BTreeMap<String, String>) -> (i32, Daemon) {
    disk.set(Some(if full { "full" } else { "sync" }));
    let code = daemon.ended(DEADLINE).await;
    disk.set(None);
    (code, Daemon::start_on(settings, Some(disk)).await)
}

/// Everything goes well for a while; then nothing more is sent.
async fn settle(bench: &Bench, daemons: &[Daemon], connections: usize) {
    let (all, daemons) = ((4 * connections * daemons.len()) as f64, daemons.iter().collect::<Vec<_>>());
    until_async("subscribed again", async || sum(&daemons, "bitstamp_subscriptions").await >= all).await;
    let (stored, now) = (sum(&daemons, "bitstamp_stored_total").await, system_micros());
    until_async("stored", async || sum(&daemons, "bitstamp_stored_total").await > stored + 150.0).await;
    bench.proxy.set_mix(FaultProbabilities::default());
    bench.proxy.set_down(None);
    // Of the time of the faults everything is decided once something later is captured. On a busy machine events are late by seconds, and so
    // is that.
    for channel in CHANNELS {
        let is_later = |interval: &Interval| interval.state == State::Captured && interval.through > now;
        until_async("captured again", async || bench.ledger(channel).await.iter().any(is_later)).await;
    }
    bench.simulator.pause();
}

/// Waits until no gap is left, or as long as a few attempts take: what is not filled by then stays a gap.
async fn filled(bench: &Bench) {
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_secs(2)).await; // attempts are made
        let mut gaps = 0;
        for channel in CHANNELS {
            gaps += inner_gaps(&bench.ledger(channel).await).len();
        }
        if gaps == 0 {
            return;
        }
    }
}

/// Gaps before the last captured moment that nothing fills.
fn inner_gaps(ledger: &[Interval]) -> Vec<Interval> {
    let captured = ledger.iter().filter(|interval| interval.state == State::Captured);
    let bounds = (ledger.iter().map(|interval| interval.from).min(), captured.map(|interval| interval.through).max());
    let (Some(first), Some(last)) = bounds else { return Vec::new() };
    merge(ledger, first, last).into_iter().filter(|interval| interval.state == State::Gap).collect()
}

/// Waits until the daemon that writes has received what was sent and its spool is empty; returns its position. Which one writes
/// may change meanwhile: after an outage of the store the lease may go to the other.
async fn drained(bench: &Bench, daemons: &[Daemon]) -> usize {
    let mut position = 0;
    until_async("drained", async || {
        for (number, daemon) in daemons.iter().enumerate() {
            let before = daemon.metrics().await.unwrap();
            if daemons.len() > 1 && before["bitstamp_writes"] != 1.0 {
                continue;
            }
            tokio::time::sleep(Duration::from_secs(1)).await; // what is on its way arrives
            let now = daemon.metrics().await.unwrap();
            let is_quiet = now["bitstamp_received_total"] == before["bitstamp_received_total"];
            if bench.simulator.queued() == 0 && is_quiet && now["bitstamp_spool_records"] < 20.0 {
                position = number;
                return true;
            }
        }
        false
    })
    .await;
    position
}

/// What happens to a connection.
fn connection_fault(dice: &mut ChaCha8Rng, scenario: Scenario) -> Fault {
    let count = dice.random_range(1..60);
    match dice.random_range(0..7) {
        // What the exchange sends to nobody cannot be missed, and of trades nobody can know.
        3 if scenario != Scenario::OneOfTwo => Fault::Cut,
        0 => Fault::Cut,
        1 => Fault::Mute { lasting: Some(Duration::from_secs(7)) },
        2 => Fault::Reconnect { grace: Duration::from_secs(dice.random_range(1..5)) },
        3 => Fault::Drop { count },
        4 => Fault::Duplicate { count },
        5 => Fault::Reorder { count },
        _ => Fault::Slow { delay: Duration::from_millis(20), lasting: Duration::from_secs(2) },
    }
}

/// What happens to the application behind a connection.
fn application_fault(dice: &mut ChaCha8Rng, _: Scenario) -> Fault {
    match dice.random_range(0..3) {
        0 => Fault::AppMute { lasting: None },
        1 => Fault::LoseHeartbeats { count: dice.random_range(1..4) },
        _ => Fault::OddControl { count: dice.random_range(1..8) },
    }
}

async fn judge(bench: &Bench, result: &mut Sum) {
    let mut ledgers = BTreeMap::new();
    for channel in CHANNELS {
        ledgers.insert(channel.to_owned(), bench.ledger(channel).await);
    }
    let comparison = bench.compare().await;
    let undeclared: Vec<_> =
        comparison.missing.iter().filter(|(channel, time)| !is_in(&ledgers[channel], State::Gap, *time)).collect();
    if let Some((channel, time)) = undeclared.first() {
        eprintln!("seed {}: {channel} {time} is missing and not declared: {:#?}", bench.seed, ledgers[channel]);
    }
    let wrong = comparison.missing.iter().filter(|(channel, time)| {
        is_in(&ledgers[channel], State::Captured, *time) || is_in(&ledgers[channel], State::Filled, *time)
    });
    result.undeclared = undeclared.len();
    result.false_captured = wrong.count();
    result.generated = comparison.generated.len();
    result.filled = comparison.filled;
    result.missing = comparison.missing.len();
    result.extra = comparison.extra;
    for ledger in ledgers.values() {
        let last =
            ledger.iter().filter(|interval| interval.state == State::Captured).map(|interval| interval.through).max();
        let gaps = ledger.iter().filter(|s| s.state == State::Gap && last.is_some_and(|last| s.from < last));
        for gap in gaps {
            result.gaps += 1;
            result.longest_gap = result.longest_gap.max(gap.through - gap.from + 1);
        }
    }
}
