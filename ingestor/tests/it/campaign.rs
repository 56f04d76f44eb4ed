//! Seeded runs with everything that goes wrong, several things at a time; `scripts/faults.sh` runs the long form.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use futures_util::StreamExt as _;

use crate::support::in_blocks;

mod run;

use run::run;

/// Runs at a time, unless `FAULTS_AT_ONCE` says otherwise; each is mostly waiting.
const AT_ONCE: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scenario {
    /// Two connections; faults of one at a time.
    OneOfTwo,
    /// One connection and its faults.
    TheOnlyOne,
    /// Connections that live while the application behind them does not, control messages of odd forms, times that cannot be.
    Application,
    /// One connection that is cut; the exchange's history is in maintenance, limited, or cut off.
    History,
    /// The store answers with everything it can, and is away for a while.
    TheStore,
    /// The store refuses: no permission, no index for a while.
    Refused,
    /// SIGSTOP, SIGCONT.
    Stopped,
    /// `kill -9` and start again.
    Kill,
    /// A full disk, a failing fsync: the daemon ends, and starts again when the disk is well.
    Disk,
    /// The machine's clock is set, while connections are cut and the daemon starts again.
    Clock,
    /// A market leaves the exchange and comes back.
    Markets,
    /// All of it.
    Everything,
}

const SCENARIOS: [(Scenario, &str); 12] = [
    (
        Scenario::OneOfTwo,
        "two connections, one at a time cut, mute, slow, asked to reconnect, leaving out, repeating, reordering",
    ),
    (Scenario::TheOnlyOne, "one connection: the same but leaving out, and an exchange that is down"),
    (
        Scenario::Application,
        "two connections, one at a time: a dead application behind a live proxy, lost heartbeat answers, odd control messages; trades with times that cannot be",
    ),
    (
        Scenario::History,
        "one connection, cut; the exchange's history a maintenance page, 503, limited, cut off; gaps are always filled",
    ),
    (
        Scenario::TheStore,
        "the store: throttling, unprocessed items, 5xx, timeouts, half, empty and foreign answers, closed connections, away",
    ),
    (Scenario::Refused, "the store: no permission, no index, 503, no answer, three of them, each for a while"),
    (Scenario::Stopped, "SIGSTOP for 3 to 6 s, three times, two connections"),
    (Scenario::Kill, "`kill -9`, two connections"),
    (Scenario::Disk, "the disk full or its fsync failing, three times, two connections"),
    (
        Scenario::Clock,
        "the machine's clock set by 1 s to 68 min ahead or behind, three times, at a cut of one of two connections or before a start",
    ),
    (
        Scenario::Markets,
        "a market delisted, left by the daemon, listed again and joined, then one of two connections cut, three times",
    ),
    (Scenario::Everything, "`kill -9`, connections and store at once, two connections"),
];

/// Scenarios in which nothing may be missing at all, whatever the ledger says.
const WHOLE: [Scenario; 5] =
    [Scenario::OneOfTwo, Scenario::Application, Scenario::TheStore, Scenario::Refused, Scenario::Stopped];

#[derive(Debug, Default)]
struct Sum {
    runs: usize,
    generated: usize,
    /// Fetched from the exchange's history; they count as being in the table.
    filled: usize,
    missing: usize,
    /// Missing, and the ledger does not call their time a gap.
    undeclared: usize,
    /// Missing, and the ledger calls their time captured or filled.
    false_captured: usize,
    extra: usize,
    /// Microseconds.
    longest_gap: u64,
    gaps: usize,
    crashes: usize,
    peak_kib: u64,
}

impl Sum {
    fn add(&mut self, run: &Sum) {
        self.runs += 1;
        self.generated += run.generated;
        self.filled += run.filled;
        self.missing += run.missing;
        self.undeclared += run.undeclared;
        self.false_captured += run.false_captured;
        self.extra += run.extra;
        self.gaps += run.gaps;
        self.crashes += run.crashes;
        self.longest_gap = self.longest_gap.max(run.longest_gap);
        self.peak_kib = self.peak_kib.max(run.peak_kib);
    }
}

/// What a seed decides.
#[derive(Clone, Copy, Debug)]
struct Plan {
    scenario: Scenario,
    /// Gaps are filled from the exchange's history.
    fills: bool,
    /// Two daemons share the table by a lease; what happens to a process happens to the first.
    shares: bool,
}

impl Plan {
    /// Scenarios take turns; of four rounds two fill and two share.
    fn of(seed: u64) -> Self {
        let seed = usize::try_from(seed).unwrap();
        let (round, scenario) = (seed / SCENARIOS.len() % 4, SCENARIOS[seed % SCENARIOS.len()].0);
        Self { scenario, fills: round % 2 == 1 || scenario == Scenario::History, shares: round >= 2 }
    }
}

/// `FAULTS_RUNS`: how many runs; `FAULTS_SEED`: the first seed; `FAULTS_REPORT`: a file for the table of figures.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_outside_of_declared_gaps() {
    campaign(1_000, |_| {}).await;
}

/// The same where order events are stored in blocks.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missing_outside_of_declared_gaps_in_blocks() {
    campaign(2_000, in_blocks).await;
}

async fn campaign(first: u64, change: fn(&mut BTreeMap<String, String>)) {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (runs, first) = (number("FAULTS_RUNS", 14), number("FAULTS_SEED", first));
    let at_once = usize::try_from(number("FAULTS_AT_ONCE", AT_ONCE as u64)).unwrap();
    let mut sums: BTreeMap<Scenario, Sum> = BTreeMap::new();
    let mut results =
        futures_util::stream::iter(first..first + runs).map(|seed| run(seed, change)).buffer_unordered(at_once);
    while let Some((seed, result)) = results.next().await {
        let plan = Plan::of(seed);
        eprintln!("{seed} {plan:?} {result:?}");
        sums.entry(plan.scenario).or_default().add(&result);
    }
    let table = table(&sums);
    eprintln!("{table}");
    if let Some(file) = std::env::var_os("FAULTS_REPORT") {
        std::fs::write(file, table).unwrap();
    }
    for (scenario, sum) in &sums {
        let wrong = (sum.undeclared, sum.false_captured, sum.extra, sum.crashes);
        assert_eq!(wrong, (0, 0, 0, 0), "{scenario:?} {sum:?}");
        assert!(sum.missing == 0 || !WHOLE.contains(scenario), "{scenario:?} {sum:?}");
    }
}

fn table(sums: &BTreeMap<Scenario, Sum>) -> String {
    let mut table = String::from(
        "| scenario | runs | events sent | in the table | of them filled | missing outside declared gaps | missing but called captured | twice or altered | missing in all | gaps declared | longest | crashes | peak memory |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (scenario, name) in SCENARIOS {
        let Some(sum) = sums.get(&scenario) else { continue };
        writeln!(
            table,
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {}.{:03} s | {} | {} KiB |",
            sum.runs,
            sum.generated,
            sum.generated - sum.missing,
            sum.filled,
            sum.undeclared,
            sum.false_captured,
            sum.extra,
            sum.missing,
            sum.gaps,
            sum.longest_gap / 1_000_000,
            sum.longest_gap / 1_000 % 1_000,
            sum.crashes,
            sum.peak_kib,
        )
        .unwrap();
    }
    table
}
