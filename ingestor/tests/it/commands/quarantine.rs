//! `ingestor quarantine`.

use fault_proxy::config::Outage;
use ingestor::spool::quarantine::QuarantineEntry;
use ingestor::spool::record::Payload;
use serde_json::Value;

use super::{line, record, role, run, text, trade, with};
use crate::support::{Bench, DEADLINE, Process, command, open_spool, until};

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
