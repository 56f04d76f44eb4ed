//! `ingestor spool`.

use fjall::Database;
use ingestor::spool::record::{ConnectionEvent, Payload, Record};
use serde_json::Value;
use shared::time::Micros;

use super::{line, record, run, text, trade};
use crate::support::{Bench, open_spool};

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
