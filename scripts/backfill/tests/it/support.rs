//! The engine, the table and the program that the tests share.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use dynoxide::{Database, server::serve_with_shutdown};
use tempfile::TempDir;

use crate::ended::{Ended, ended};

pub(crate) const TABLE: &str = "bitstamp-live";

/// An engine on a loopback port; it ends with the value.
pub(crate) struct Engine {
    pub(crate) url: String,
    _stop: Stop,
}

enum Stop {
    Embedded { _sender: tokio::sync::oneshot::Sender<()> },
    Local(Child),
}

impl Drop for Stop {
    fn drop(&mut self) {
        if let Self::Local(child) = self {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// The embedded engine, in memory, on threads of its own.
pub(crate) fn embedded() -> Engine {
    let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let stopped = async move { drop(receiver.await) };
            serve_with_shutdown(listener, Database::memory().unwrap(), stopped).await.unwrap();
        });
    });
    Engine { url: format!("http://{}", address.recv().unwrap()), _stop: Stop::Embedded { _sender: sender } }
}

/// DynamoDB Local, where its jar is named; else a line that says why not.
pub(crate) async fn dynamodb_local() -> Option<Engine> {
    let Some(jar) = std::env::var_os("DYNAMODB_LOCAL_JAR").map(PathBuf::from) else {
        println!("SKIPPED: DYNAMODB_LOCAL_JAR does not name DynamoDBLocal.jar");
        return None;
    };
    // It cannot say which port it was given, so it is told one; where that is taken it ends, and the next one is tried. These
    // are below the ports that a system gives away by itself.
    loop {
        let port = rand::random_range(20_000..30_000);
        let child = Command::new("java")
            .args(["-jar", jar.to_str().unwrap(), "-inMemory", "-sharedDb", "-disableTelemetry", "-port"])
            .arg(port.to_string())
            .current_dir(jar.parent().unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stop = Stop::Local(child);
        let url = format!("http://127.0.0.1:{port}");
        if answers(&url, &mut stop).await {
            return Some(Engine { url, _stop: stop });
        }
    }
}

/// Waits until the engine answers; false if it has ended instead.
async fn answers(url: &str, engine: &mut Stop) -> bool {
    let (client, deadline) = (client(url), Instant::now() + Duration::from_secs(600));
    loop {
        let has_answered = client.list_tables().send().await.is_ok();
        if let Stop::Local(child) = engine
            && child.try_wait().unwrap().is_some()
        {
            return false;
        }
        if has_answered {
            return true;
        }
        assert!(Instant::now() < deadline, "DynamoDB Local does not come up");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"))
        .retry_config(RetryConfig::standard().with_max_attempts(10))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

/// A folder in which the program runs, with the endpoint it runs against.
pub(crate) struct Desk {
    folder: TempDir,
    endpoint: String,
}

impl Desk {
    pub(crate) fn new(endpoint: &str) -> Self {
        Self { folder: TempDir::new().unwrap(), endpoint: endpoint.to_owned() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program; arguments are separated by spaces.
    pub(crate) fn start(&self, arguments: &str) -> Child {
        self.command(arguments).spawn().unwrap()
    }

    pub(crate) async fn run(&self, arguments: &str) -> Ended {
        let child = self.start(arguments);
        ended(tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap())
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backfill"));
        command
            .args(arguments.split_whitespace())
            .args(["--endpoint-url", &self.endpoint])
            .current_dir(self.folder.path())
            .env_remove("AWS_ACCESS_KEY_ID")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The lines of the rejects file.
    pub(crate) fn rejects(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.path("backfill-bitstamp-live.rejects.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many lines the file has; the last may be half written.
    pub(crate) fn rejects_so_far(&self) -> usize {
        let text = std::fs::read_to_string(self.path("backfill-bitstamp-live.rejects.jsonl"));
        text.unwrap_or_default().lines().count()
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path("backfill-bitstamp-live.checkpoint.json")
    }
}

/// Sends SIGINT, as Ctrl-C does.
pub(crate) fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until a file is there, as a sign of progress.
pub(crate) async fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !path.try_exists().unwrap() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every item of the table that is not in a reserved channel, read page by page.
pub(crate) async fn each_item(client: &Client, table: &str, mut look: impl FnMut(crate::fixture::Item)) {
    let mut after = None;
    loop {
        let call = client.scan().table_name(table).consistent_read(true).limit(1000).set_exclusive_start_key(after);
        let page = call.send().await.unwrap();
        let reserved = |item: &crate::fixture::Item| {
            item.get("channel").and_then(|channel| channel.as_s().ok()).is_some_and(|channel| channel.starts_with('_'))
        };
        page.items.unwrap_or_default().into_iter().filter(|item| !reserved(item)).for_each(&mut look);
        after = page.last_evaluated_key;
        if after.is_none() {
            return;
        }
    }
}

/// A number from the environment, for larger runs by hand.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
