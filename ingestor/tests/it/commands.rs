//! The commands beside the daemon, as a person runs them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use exchange_sim::faults::Fault;
use fault_proxy::config::Outage;
use fault_proxy::proxy::Proxy;
use fjall::Database;
use ingestor::observe::report::Report;
use ingestor::spool::quarantine::QuarantineEntry;
use ingestor::spool::record::{ConnectionEvent, Payload, Record};
use serde_json::Value;
use shared::time::Micros;

use crate::support::{Bench, DEADLINE, Process, command, engine, open_spool, until};

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

/// Two trades, a note of the daemon and a binary message.
fn fill_spool(bench: &Bench) -> [Record; 4] {
    let records = [
        record(0, text(&trade(1))),
        ConnectionEvent::Connected.record(1, Micros(1_700_000_000_000_001)),
        record(2, Payload::Binary(vec![0, 255])),
        Record { connection: 2, ..record(3, text(&trade(2))) },
    ];
    let spool = open_spool(bench.folder.path());
    spool.append(&records).unwrap();
    spool.sync().unwrap();
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_is_shown_verified_and_exported() {
    let bench = Bench::new(103, 1.0).await;
    let settings = bench.settings();
    let ran = run(&settings, &["spool", "status"]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.err.contains("there is no spool in `"), "{}", ran.err);
    assert!(!bench.folder.path().join("spool").try_exists().unwrap(), "looking created one");

    fill_spool(&bench);
    let ran = run(&settings, &["spool", "status"]);
    assert_eq!(ran.code, Some(0));
    line(&ran, "waiting 3 frames, 1 note");
    line(&ran, "oldest 2023-11-14T22:13:20Z");
    line(&ran, "newest 2023-11-14T22:13:20.000003Z");
    line(&ran, "position 0 ");
    line(&ran, "1 2 1 2023-11-14T22:13:20Z 2023-11-14T22:13:20.000002Z");
    line(&ran, "2 1 0 ");
    let ran = run(&settings, &["spool", "verify"]);
    assert_eq!(ran.code, Some(0));
    line(&ran, "3 frames, 1 note, 0 in the quarantine; 0 damaged, 0 missing");

    let ran = run(&settings, &["spool", "export"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["frame"], trade(1));
    assert_eq!(lines[1]["story"]["story"], "connected");
    assert_eq!(lines[2]["frame_base64"], "AP8=");
    assert_eq!(lines[3].to_string(), serde_json::json!({ "sequence": 3, "received_at": 1_700_000_000_000_003_u64, "connection": 2, "frame": trade(2) }).to_string());
    assert_eq!(lines.len(), 4);

    let file = bench.folder.path().join("out.ndjson");
    let arguments = ["spool", "export", "--to", file.to_str().unwrap()];
    assert_eq!(run(&settings, &arguments).code, Some(0));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), ran.out);
    let again = run(&settings, &arguments);
    assert!(again.code == Some(1) && again.err.contains("is there already"), "{}", again.err);

    let _in_use = open_spool(bench.folder.path());
    for arguments in [["spool", "verify"], ["quarantine", "list"]] {
        let ran = run(&settings, &arguments);
        assert_eq!(ran.code, Some(75));
        assert!(ran.err.contains("is in use, as a rule by the running daemon; `ingestor status` shows"), "{}", ran.err);
    }
}

/// What another user wrote into it the daemon could not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_spool_of_another_user_is_left_alone() {
    let bench = Bench::new(111, 1.0).await;
    fill_spool(&bench);
    let folder = bench.folder.path().join("spool");
    if std::os::unix::fs::chown(&folder, Some(65_534), None).is_err() {
        eprintln!("SKIPPED: only root may give a folder away");
        return;
    }
    let before = std::fs::metadata(&folder).unwrap().modified().unwrap();
    let ran = run(&bench.settings(), &["spool", "verify"]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.err.contains("belongs to user 65534, and this is user 0: "), "{}", ran.err);
    assert_eq!(std::fs::metadata(&folder).unwrap().modified().unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_missing_records_are_named_and_the_others_exported() {
    let bench = Bench::new(104, 1.0).await;
    let settings = bench.settings();
    fill_spool(&bench);
    {
        let database = Database::builder(bench.folder.path().join("spool")).open().unwrap();
        let segment = database.keyspace("segment-00000000000000000000", Default::default).unwrap();
        segment.insert(0_u64.to_be_bytes(), [99; 20]).unwrap();
        segment.remove(1_u64.to_be_bytes()).unwrap();
        segment.remove(2_u64.to_be_bytes()).unwrap();
        database.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let ran = run(&settings, &["spool", "verify"]);
    assert_eq!(ran.code, Some(74));
    line(&ran, "record 0 of the spool is damaged: its kind is 99");
    line(&ran, "records 1 to 2 of the spool are missing");
    line(&ran, "1 frame, 0 notes, 0 in the quarantine; 1 damaged, 2 missing");
    let ran = run(&settings, &["spool", "export"]);
    assert_eq!(ran.code, Some(74));
    assert!(ran.out.lines().count() == 1 && ran.out.contains("\"sequence\":3"), "{}", ran.out);
    let ran = run(&settings, &["spool", "status"]);
    assert_eq!(ran.code, Some(74));
    line(&ran, "1 record damaged");
}

fn fill_quarantine(bench: &Bench, contents: &[Payload]) {
    let spool = open_spool(bench.folder.path());
    let entries: Vec<QuarantineEntry> = (0_u64..)
        .zip(contents)
        .map(|(at, content)| QuarantineEntry {
            sequence: at * 10,
            reason: "an\nold reason".to_owned(),
            record: record(at, content.clone()),
        })
        .collect();
    spool.quarantine().put(&entries).unwrap();
}

/// Sequences and reasons of what is in the quarantine, and that its counts are right.
fn quarantined(bench: &Bench) -> Vec<(u64, String)> {
    let spool = open_spool(bench.folder.path());
    let entries: Vec<QuarantineEntry> = spool.quarantine().entries().map(Result::unwrap).collect();
    assert_eq!(spool.quarantine().count(), entries.len() as u64);
    entries.into_iter().map(|entry| (entry.sequence, entry.reason)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_stored_leaves_the_quarantine_and_the_rest_stays_with_its_reason() {
    let bench = Bench::new(105, 1.0).await;
    let settings = bench.settings();
    let heartbeat = r#"{"event":"bts:heartbeat","channel":"","data":{}}"#;
    // The fourth is the first again, as from a second connection.
    fill_quarantine(
        &bench,
        &[text(&trade(1)), text("{\"a\t"), text(heartbeat), text(&trade(1)), Payload::Refused("x".into())],
    );
    let ran = run(&settings, &["quarantine", "list"]);
    assert_eq!(ran.code, Some(0));
    let columns: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(columns[1], ["10", "2023-11-14T22:13:20.000001Z", "an old reason", "{\"a\u{fffd}"]);
    assert!(columns.len() == 5 && columns.iter().all(|columns| columns.len() == 4), "{columns:?}");
    let ran = run(&settings, &["quarantine", "export"]);
    let first: Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
    assert_eq!((first["reason"].as_str(), first["frame"].as_str()), (Some("an\nold reason"), Some(trade(1).as_str())));

    let ran = run(&settings, &["quarantine", "retry"]);
    assert_eq!(ran.code, Some(1));
    line(&ran, "2 stored, 1 with nothing to store, 2 stay (2 refused again)");
    let left = quarantined(&bench);
    assert!(matches!(&left[..], [(10, json), (40, x)] if json.starts_with("not json: ") && x == "x"), "{left:?}");
    let items = bench.items().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["price_str"].as_s().unwrap(), "1.50");
}

/// More than are read at once, over a store that throttles, and in the end nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_of_a_thousand_is_emptied() {
    let bench = Bench::new(106, 1.0).await;
    let settings = bench.settings();
    let contents: Vec<Payload> = (0..1_000)
        .map(|id| {
            let data = format!(r#"{{"id":{id},"microtimestamp":"1700000000000000"}}"#);
            text(&format!(r#"{{"event":"trade","channel":"live_trades_btcusd","data":{data}}}"#))
        })
        .collect();
    fill_quarantine(&bench, &contents);
    bench.proxy.set_mix(fault_proxy::mix::FaultProbabilities {
        unprocessed: 0.2,
        ..fault_proxy::mix::FaultProbabilities::default()
    });
    let ran = run(&settings, &["quarantine", "retry"]);
    assert_eq!(ran.code, Some(0));
    line(&ran, "1000 stored, 0 with nothing to store, 0 stay");
    assert_eq!((quarantined(&bench).len(), bench.items().await.len()), (0, 1_000));
    let ran = run(&settings, &["quarantine", "retry"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), "the quarantine is empty\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_without_a_store_or_a_table_changes_nothing() {
    let bench = Bench::new(107, 1.0).await;
    let settings = bench.settings();
    fill_quarantine(&bench, &[text(&trade(1))]);
    let ran = run(&with(&settings, &[("table", "elsewhere")]), &["quarantine", "retry"]);
    assert!(ran.code == Some(78) && ran.err.contains("`elsewhere` does not exist"), "{}", ran.err);
    bench.proxy.set_down(Some(Outage::Refuse));
    let ran = run(&settings, &["quarantine", "retry"]);
    assert!(ran.code == Some(69) && ran.err.contains("cannot be reached"), "{}", ran.err);
    assert_eq!(quarantined(&bench), [(0, "an\nold reason".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_a_retry_at_once_and_nothing_is_lost() {
    let bench = Bench::new(108, 1.0).await;
    fill_quarantine(&bench, &[text(&trade(1))]);
    // Never allowed to write, it would try for a minute.
    let role = role(&bench, &["DescribeTable", "Query"]).await;
    let settings = with(&bench.settings(), &[("endpoint_url", &role.url())]);
    let mut retry = Process::spawn(command(&settings).args(["quarantine", "retry"]));
    until("it writes", || role.counts().requested("BatchWriteItem") > 0).await;
    let (name, number) = interrupt();
    let sent = std::process::Command::new("kill").args([name, &retry.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let ended = retry.ended(DEADLINE).await;
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(number));
    assert_eq!(quarantined(&bench).len(), 1);
}

/// What Ctrl-C sends; where a shell started the tests in the background, they and their children ignore that.
fn interrupt() -> (&'static str, i32) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    match u64::from_str_radix(ignored.trim(), 16).unwrap() & 0b10 {
        0 => ("-INT", 2),
        _ => ("-TERM", 15),
    }
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

    let ran = run(&settings, &["status", "--json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((report["healthy"].as_bool(), report["health"]["status"].as_str()), (Some(true), Some("ok")));
    assert!(report["rates"]["received_per_second"].as_u64().unwrap() > 0, "{report}");
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
