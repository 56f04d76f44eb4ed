//! The commands beside the daemon, as a person runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use exchange_sim::faults::Fault;
use fault_proxy::config::Outage;
use fault_proxy::proxy::Proxy;
use ingestor::observe::report::Report;
use ingestor::spool::record::{Payload, Record};
use serde_json::Value;
use shared::time::Micros;

use crate::support::{Bench, command, engine, until};

mod quarantine;
mod spool;

type Settings = BTreeMap<String, String>;

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    err: String,
}

/// Settings before the command, its own arguments after it.
pub(crate) fn run(settings: &Settings, arguments: &[&str]) -> Ran {
    let output = tokio::task::block_in_place(|| {
        command(settings).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    eprintln!("{arguments:?} -> {:?}\n{}{}", ran.code, ran.out, ran.err);
    ran
}

fn with(settings: &Settings, changes: &[(&str, &str)]) -> Settings {
    let mut settings = settings.clone();
    settings.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    settings
}

/// A proxy in front of the bench's own that lets only these actions through.
pub(crate) async fn role(bench: &Bench, actions: &[&str]) -> Proxy {
    let allow: BTreeSet<String> = actions.iter().map(|action| (*action).to_owned()).collect();
    let config =
        fault_proxy::config::Config { allow: Some(allow), ..fault_proxy::config::Config::new(bench.proxy.url(), 1) };
    Proxy::start(config).await.unwrap()
}

fn trade(id: u64) -> String {
    let data = format!(r#"{{"id":{id},"microtimestamp":"17000000000000{id:02}","price":1.50,"price_str":"1.50"}}"#);
    format!(r#"{{"event":"trade","channel":"live_trades_btcusd","data":{data}}}"#)
}

fn record(at: u64, payload: Payload) -> Record {
    Record { received_at: Micros(1_700_000_000_000_000 + at), connection: 1, payload }
}

fn text(text: &str) -> Payload {
    Payload::Text(text.as_bytes().to_vec())
}

fn line<'text>(ran: &'text Ran, start: &str) -> &'text str {
    let matches = |line: &&str| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(start);
    ran.out.lines().find(matches).unwrap_or_else(|| panic!("`{start}` in\n{}", ran.out))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_a_good_setup_is_ok_and_leaves_nothing_behind() {
    let bench = Bench::new(101, 1.0).await;
    let settings = bench.settings();
    let ran = run(&settings, &["check"]);
    assert_eq!(ran.code, Some(0));
    for what in ["configuration", "markets", "exchange", "table", "read", "write", "spool", "listen"] {
        line(&ran, &format!("ok {what} "));
    }
    assert_eq!(ran.out.lines().count(), 8);
    assert!(line(&ran, "ok exchange").contains("confirmed 4 subscriptions"));
    assert_eq!(bench.items().await.len(), 0);
    let left: Vec<_> =
        std::fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["truth.ndjson"]);

    // A setting may stand behind the command as well.
    let ran = run(&settings, &["check", "--table", "elsewhere"]);
    assert_eq!(ran.code, Some(78));
    assert!(line(&ran, "fault table").contains("table `elsewhere` does not exist in region local; create it"));
    line(&ran, "- read, write left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_each_fault_with_its_remedy() {
    let bench = Bench::new(102, 1.0).await;
    let settings = bench.settings();
    let ran = run(&with(&settings, &[("writers", "0"), ("spool_max", "1 bit")]), &["check"]);
    assert_eq!(ran.code, Some(78));
    line(&ran, "fault configuration flag: --writers = `0`: expected 1 to 256");
    line(&ran, "fault configuration flag: --spool-max = `1 bit`");

    bench.simulator.inject(Fault::WithholdAcks { count: 1_000 });
    let role = role(&bench, &["DescribeTable"]).await;
    let file = bench.folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ran = run(
        &with(
            &settings,
            &[
                ("confirm_within", "300ms"),
                ("endpoint_url", &role.url()),
                ("spool_dir", file.join("spool").to_str().unwrap()),
                ("listen", &taken.local_addr().unwrap().to_string()),
            ],
        ),
        &["check"],
    );
    assert_eq!(ran.code, Some(78));
    let exchange = line(&ran, "fault exchange");
    assert!(exchange.contains("did not confirm 4 of 4 subscriptions within 300ms: live_orders_btcusd, "), "{exchange}");
    line(&ran, "ok table");
    assert!(line(&ran, "fault read").contains("permission dynamodb:Query on the index is missing"));
    assert!(line(&ran, "fault write").contains("permission dynamodb:BatchWriteItem is missing"));
    assert!(line(&ran, "fault spool").contains("--spool-dir"));
    assert!(line(&ran, "fault listen").contains("stop what uses it or set --listen"));

    let batches_only = self::role(&bench, &["DescribeTable", "Query", "BatchWriteItem"]).await;
    let changes = [("channels", "live_trades_btcusf"), ("endpoint_url", &batches_only.url())];
    let ran = run(&with(&settings, &changes), &["check"]);
    assert!(line(&ran, "fault write").contains("permission dynamodb:PutItem is missing"));
    assert!(line(&ran, "fault markets").contains("no market `btcusf`; did you mean `btcusd`?"));
    line(&ran, "- exchange left out");
    let no_delete = self::role(&bench, &["DescribeTable", "Query", "BatchWriteItem", "PutItem"]).await;
    let ran = run(&with(&settings, &[("endpoint_url", &no_delete.url())]), &["check"]);
    assert!(line(&ran, "fault write").contains("permission dynamodb:DeleteItem is missing"));
    let ran = run(&with(&settings, &[("rest_url", "http://127.0.0.1:9")]), &["check"]);
    assert!(line(&ran, "fault markets").contains("look at --rest-url"));

    let settings = with(&settings, &[("url", "ws://127.0.0.1:9"), ("spool_max", "1048576GiB")]);
    let ran = run(&settings, &["check"]);
    assert!(line(&ran, "fault exchange").contains("ws://127.0.0.1:9 cannot be reached"));
    assert!(line(&ran, "fault spool").contains("make room or lower it"));
}

/// Serves a daemon's metrics and health as one without `/status` does; returns the address.
async fn earlier_daemon(daemon: &ingestor::pipeline::Pipeline) -> String {
    let report = Report::new(daemon.status(), daemon.spool());
    let health = report.clone();
    let router = axum::Router::new()
        .route("/metrics", axum::routing::get(async move || report.metrics()))
        .route("/health", axum::routing::get(async move || axum::Json(health.health().1)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_of_a_running_daemon() {
    let bench = Bench::new(109, 0.2).await;
    // A busy machine must not look like a store in trouble.
    let daemon = bench.start(&with(&bench.settings(), &[("request_timeout", "60s")])).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 100).await;
    let settings = with(&bench.settings(), &[("listen", &daemon.address().to_string())]);
    let ran = run(&settings, &["status"]);
    assert_eq!(ran.code, Some(0));
    line(&ran, &format!("healthy at {}", daemon.address()));
    line(&ran, "connections 1 open, 4 subscriptions, 0 lost so far");
    line(&ran, "gaps 0 over all channels, 0 s in all, since the start");
    line(&ran, "trouble none");
    line(&run(&settings, &["check"]), "ok listen a daemon is running at");

    let report = || -> Value { serde_json::from_str(&run(&settings, &["status", "--json"]).out).unwrap() };
    // It looks twice within a second, in which a busy machine may do nothing.
    let is_busy = |report: &Value| report["rates"]["received_per_second"].as_u64().unwrap() > 0;
    let report = (0..60).map(|_| report()).find(is_busy).expect("nothing was received within sixty reports");
    assert_eq!((report["healthy"].as_bool(), report["health"]["status"].as_str()), (Some(true), Some("ok")));
    assert!(report["metrics"]["bitstamp_stored_total"].as_u64().unwrap() > 100, "{report}");

    assert_eq!(report["status"]["format"], 1, "{report}");

    let earlier = run(&with(&settings, &[("listen", &earlier_daemon(&daemon).await)]), &["status"]);
    assert_eq!(earlier.code, Some(0));
    assert!(earlier.err.contains("is of another version than this command: read from its metrics"), "{}", earlier.err);
    line(&earlier, "connections 1 open, 4 subscriptions, 0 lost so far");
    assert!(!line(&earlier, "received").starts_with("received     0/s"), "{}", earlier.out);

    bench.proxy.set_down(Some(Outage::Refuse));
    until("in trouble", || !status.trouble().is_empty()).await;
    let ran = run(&settings, &["status"]);
    assert_eq!(ran.code, Some(1));
    line(&ran, "NOT HEALTHY at");
    line(&ran, "trouble the store cannot be reached");
    bench.proxy.set_down(None);
    daemon.stop().await.unwrap();

    // The port that the daemon had another test may have by now.
    let ran = run(&with(&settings, &[("listen", "127.0.0.1:9")]), &["status"]);
    assert_eq!(ran.code, Some(69));
    assert!(ran.err.contains("no daemon at 127.0.0.1:9: "), "{}", ran.err);
    assert!(ran.err.contains("; start it, or say where it listens with --listen"), "{}", ran.err);
    let engine = engine().await;
    let ran = run(&with(&settings, &[("listen", engine.strip_prefix("http://").unwrap())]), &["status"]);
    assert_eq!(ran.code, Some(69));
    assert!(ran.err.contains("something else answers there"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_counts_what_is_in_the_table() {
    let bench = Bench::new(110, 2.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("1,000 stored", || status.stored.get() >= 1_000).await;
    let settings = with(&bench.settings(), &[("listen", &daemon.address().to_string())]);
    let ran = run(&settings, &["estimate", "--from", "daemon", "--sample", "1s"]);
    assert_eq!(ran.code, Some(0));
    let cell = |ran: &Ran, name: &str, column: usize| {
        line(ran, name).split_whitespace().nth(column).unwrap().replace([',', '*'], "")
    };
    assert_ne!(cell(&ran, "live_orders_btcusd events", 2), "0");
    assert_eq!(cell(&ran, "live_orders_btcusd events", 4), "2.00");
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();

    let settings = bench.settings();
    let ran = run(&settings, &["estimate", "--price-per-million", "1"]);
    assert_eq!(ran.code, Some(0));
    let items = bench.items().await;
    let mut all = 0;
    for channel in ["live_trades_btcusd", "live_orders_btcusd", "live_trades_ethusd", "live_orders_ethusd"] {
        let stored = items.iter().filter(|item| item["channel"].as_s().unwrap() == channel).count();
        let configured =
            if bench.blocks().await.values().any(|block| block["channel"].as_s().unwrap().ends_with(channel)) {
                "blocks"
            } else {
                "events"
            };
        assert_eq!(cell(&ran, &format!("{channel} {configured}"), 2), (stored * 24).to_string(), "{channel}");
        all += stored * 24;
    }
    assert_eq!(cell(&ran, "all", 1), all.to_string());
    assert!(!ran.out.contains('*'), "every channel has items to measure");
    let (units, cost): (f64, f64) = (cell(&ran, "all", 2).parse().unwrap(), cell(&ran, "all", 3).parse().unwrap());
    assert!((units / 1e6 - cost).abs() <= 0.005, "{units} units for {cost} at 1 a million");

    let role = role(&bench, &["DescribeTable"]).await;
    let ran = run(&with(&settings, &[("endpoint_url", &role.url())]), &["estimate"]);
    assert_eq!(ran.code, Some(69));
    assert!(ran.err.contains("dynamodb:Query on the index is missing"), "{}", ran.err);
    assert!(ran.err.contains("`--from daemon` counts without the table"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_help_with_examples() {
    let commands: [&[&str]; 12] = [
        &[],
        &["check"],
        &["status"],
        &["estimate"],
        &["spool"],
        &["spool", "status"],
        &["spool", "verify"],
        &["spool", "export"],
        &["quarantine"],
        &["quarantine", "list"],
        &["quarantine", "export"],
        &["quarantine", "retry"],
    ];
    for words in commands {
        let ran = run(&Settings::new(), &[words, &["--help"]].concat());
        assert_eq!(ran.code, Some(0));
        assert!(ran.out.contains("Examples:") && ran.out.contains("xit codes"), "{words:?}");
        assert!(ran.out.contains("--spool-dir"), "{words:?}: every setting works for every command");
    }
    assert_eq!(run(&Settings::new(), &["spool", "empty"]).code, Some(2));
}
