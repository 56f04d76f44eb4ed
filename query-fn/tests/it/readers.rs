//! The readers that people use get an export whole and with every digit, or report an error; what docs/query.md shows runs as
//! printed.
//!
//! `READERS` names a folder with a Python environment that has `tests/readers/requirements.txt`; curl and jq are the machine's.
//! `READERS_ROWS` (2,000) says how many trades are exported, `READERS_CUTS` (3) in how many random places the connection ends.

use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use std::{path::PathBuf, process::Output};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::support::{Service, stored, trade};

const T: u64 = 1_647_817_207_170_000;
/// Beyond 2^53.
const ID: u64 = 9_007_199_254_740_993;
const READERS: [&str; 5] = ["requests", "pandas_csv", "pandas_ndjson", "polars", "duckdb"];

fn environment() -> Option<PathBuf> {
    let readers = std::env::var_os("READERS").map(PathBuf::from);
    if readers.is_none() {
        eprintln!("SKIPPED: READERS names no Python environment with pandas, polars and duckdb");
    }
    readers
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |value| value.parse().unwrap())
}

fn rows() -> u64 {
    setting("READERS_ROWS", 2_000)
}

async fn filled() -> Service {
    let service = Service::start().await;
    // Not all at once: a million of them take a gigabyte.
    for first in (0..rows()).step_by(10_000) {
        let numbers = first..(first + 10_000).min(rows());
        service.put(numbers.map(|n| stored(&trade(ID + n, T + n), T + n)).collect()).await;
    }
    service
}

/// Answers of any size, as the server gives them.
async fn unbounded(service: &Service) -> String {
    service.router_with(|config| config.export_bytes = u64::MAX).await
}

async fn read(environment: &std::path::Path, reader: &str, url: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers/read.py");
    Command::new(environment.join("bin/python3")).args([script, reader, url]).output().await.unwrap()
}

async fn curl(url: &str) -> Output {
    Command::new("curl").args(["-sS", "--fail", url]).output().await.unwrap()
}

#[tokio::test]
async fn every_reader_gets_all_digits_of_all_rows() {
    let Some(environment) = environment() else { return };
    let service = filled().await;
    let url = format!("{}/export?channel=live_trades_btcusd", unbounded(&service).await);
    let ids: String = (0..rows()).map(|n| format!("{}\n", ID + n)).collect();
    let expected = format!("{} {ID} {} {}", rows(), ID + rows() - 1, hex(&Sha256::digest(&ids)));
    for reader in READERS {
        let output = read(&environment, reader, &url).await;
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{reader}: {output:?}");
        eprintln!("{reader}: {expected}");
    }
    let output = curl(&url).await;
    assert!(output.status.success(), "{:?}", output.stderr);
    assert_eq!(ids_of(&output.stdout), ids, "curl");
}

/// The connection ends anywhere (some readers ask for compression: also within the compressed body), or the budget of an answer does: no reader takes what it got for all.
#[tokio::test]
async fn no_reader_takes_a_part_for_the_whole() {
    let Some(environment) = environment() else { return };
    let service = filled().await;
    let half = service.router_with(|config| config.export_bytes = rows() * 10).await;
    let whole = unbounded(&service).await;
    let seed = setting("READERS_SEED", 20_261_125);
    eprintln!("seed {seed}");
    let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
    let mut urls = vec![("the budget".to_owned(), half)];
    for _ in 0..setting("READERS_CUTS", 3) {
        let bytes = dice.random_range(1_000..rows() * 10);
        urls.push((format!("{bytes} bytes"), cut_after(&whole, bytes).await));
    }
    for (what, url) in urls {
        let url = format!("{url}/export?channel=live_trades_btcusd");
        for reader in READERS {
            let output = read(&environment, reader, &url).await;
            assert!(!output.status.success() && output.stdout.is_empty(), "{reader}, {what}: {output:?}");
        }
        assert!(!curl(&url).await.status.success(), "curl, {what}");
        eprintln!("every reader reports that its export ended early: {what}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The ids of NDJSON, a line each.
fn ids_of(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let id = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string() + "\n";
    text.lines().map(id).collect()
}

/// Passes on so many bytes of each answer and then hangs up.
async fn cut_after(url: &str, bytes: u64) -> String {
    let upstream = url.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&upstream).await.unwrap();
            tokio::spawn(async move {
                let mut head = vec![0; 16 * 1024];
                let length = client.read(&mut head).await.unwrap();
                server.write_all(&head[..length]).await.unwrap();
                // The client may be gone first.
                let _copied = copy(&mut server.take(bytes), &mut client).await;
            });
        }
    });
    format!("http://{address}")
}

/// The lines of docs/query.md that begin with a program.
#[tokio::test]
async fn the_documents_commands_run_as_printed() {
    let Some(environment) = environment() else { return };
    let service = filled().await;
    let address = service.url.trim_start_matches("http://");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/query.md");
    let text = std::fs::read_to_string(path).unwrap();
    let is_command = |line: &&str| line.starts_with("    python3 -c") || line.starts_with("    curl ");
    let commands: Vec<_> =
        text.lines().filter(is_command).map(|line| line.replace("localhost:8080", address)).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    let mut path = environment.join("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    for command in commands {
        // What follows events does not end by itself.
        let follows = command.contains("curl -N");
        let shell = format!("set -o pipefail; {}{}", if follows { "timeout 5 " } else { "" }, command.trim());
        let output = Command::new("bash").args(["-c", &shell]).env("PATH", &path).output().await.unwrap();
        let ended = if follows { output.status.code() == Some(124) } else { output.status.success() };
        assert!(ended && !output.stdout.is_empty(), "{command}: {output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("wrong-parameters"), "{command}: {output:?}");
    }
}
