//! Opens the embedded store, or names the region or endpoint to use instead.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_sdk_dynamodb::Client;
use dynoxide::Database;
use ingestor::store::table::{self, TableError};
use tokio::net::TcpListener;

/// Where the table lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The embedded engine, in a file.
    File(PathBuf),
    /// A DynamoDB that runs elsewhere: an endpoint, a region, or both.
    Elsewhere {
        /// Another endpoint than the region's.
        endpoint_url: Option<String>,
        /// The region.
        region: Option<String>,
    },
}

/// The embedded engine behind a loopback port, so that every call is the one that production makes.
pub struct Engine {
    /// Its socket.
    pub listener: TcpListener,
    /// Its data.
    pub database: Database,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
}

/// Opens the engine's file, creating it and its folder where needed.
///
/// # Errors
///
/// The file cannot be opened, or no port is free.
pub async fn open(file: &Path) -> anyhow::Result<Engine> {
    let folder = file.parent().context("the store's file has no folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let path = file.to_str().with_context(|| format!("`{}` is not utf-8", file.display()))?;
    let database = Database::new(path)
        .map_err(|error| anyhow::anyhow!("cannot open the store `{path}`: {error}; is another instance running?"))?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no loopback port is free")?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok(Engine { listener, database, url })
}

/// Makes sure that the table is there; only a table on this machine is created without being asked.
///
/// # Errors
///
/// [`TableError`]: it is missing, is another one, or cannot be reached.
pub async fn prepare(client: &Client, table: &str, create: bool) -> Result<(), TableError> {
    match table::check(client, table).await {
        Err(TableError::Missing { .. }) if create => table::create(client, table).await,
        other => other,
    }
}
