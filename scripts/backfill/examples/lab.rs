//! What the benchmark and the large runs need around `backfill`: an engine as a process of its own, the fixture, the bare loop.
//!
//! `cargo run --release -p backfill --example lab -- engine --listen 127.0.0.1:8100`
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a tool for measurements: it ends at the first thing that goes wrong and prints figures"
)]

use std::{net::SocketAddr, path::PathBuf, time::Instant};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::{AttributeValue, BatchStatementRequest},
};
use clap::{Parser, Subcommand};
use dynoxide::{Database, server::serve_with_shutdown};
use futures_util::{StreamExt, stream};

#[path = "../tests/it/fixture.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod fixture;

use fixture::Fixture;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The embedded engine, in memory or on a file
    Engine {
        #[arg(long, default_value = "127.0.0.1:8100")]
        listen: SocketAddr,
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Creates a table in the shape of the first system and fills it
    Fill(Target),
    /// Ready-made update batches, nothing else: the engine's own ceiling
    BareLoop {
        #[command(flatten)]
        target: Target,
        #[arg(long, default_value_t = 8)]
        concurrency: usize,
    },
}

#[derive(clap::Args)]
struct Target {
    #[arg(long, default_value = "http://127.0.0.1:8100")]
    endpoint_url: String,
    #[arg(long, default_value = "bitstamp-live")]
    table: String,
    #[arg(long, default_value_t = 100_000)]
    items: u64,
    #[arg(long, default_value_t = 0)]
    poisoned: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() {
    match Cli::parse().command {
        Command::Engine { listen, file } => engine(listen, file).await,
        Command::Fill(target) => {
            let client = client(&target.endpoint_url);
            fixture::create_table(&client, &target.table, true).await;
            let fixture = Fixture::new(target.seed, target.items, target.poisoned);
            fixture::fill(&client, &target.table, &fixture, 0..target.items).await;
        }
        Command::BareLoop { target, concurrency } => bare_loop(&target, concurrency).await,
    }
}

async fn engine(listen: SocketAddr, file: Option<PathBuf>) {
    let database = match file {
        Some(path) => Database::new(path.to_str().unwrap()).unwrap(),
        None => Database::memory().unwrap(),
    };
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    println!("listening on http://{}", listener.local_addr().unwrap());
    let stopped = async { tokio::signal::ctrl_c().await.unwrap() };
    serve_with_shutdown(listener, database, stopped).await.unwrap();
}

async fn bare_loop(target: &Target, concurrency: usize) {
    let client = client(&target.endpoint_url);
    let fixture = Fixture::new(target.seed, target.items, target.poisoned);
    let text = format!("UPDATE \"{}\" SET \"nmicrotimestamp\"=? WHERE \"id\"=? AND \"microtimestamp\"=?", target.table);
    let statement = |number: u64| {
        let item = fixture.item(number);
        let parameters =
            vec![AttributeValue::N(fixture::expected(number)), item["id"].clone(), item["microtimestamp"].clone()];
        BatchStatementRequest::builder().statement(&text).set_parameters(Some(parameters)).build().unwrap()
    };
    let numbers: Vec<u64> = (0..target.items).collect();
    let batches: Vec<Vec<BatchStatementRequest>> =
        numbers.chunks(25).map(|chunk| chunk.iter().map(|number| statement(*number)).collect()).collect();
    let begin = Instant::now();
    stream::iter(batches)
        .for_each_concurrent(concurrency, |batch| {
            let call = client.batch_execute_statement().set_statements(Some(batch));
            async move {
                let output = call.send().await.unwrap();
                assert!(output.responses().iter().all(|response| response.error().is_none()));
            }
        })
        .await;
    println!("{{\"items\":{},\"seconds\":{:.3}}}", target.items, begin.elapsed().as_secs_f64());
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}
