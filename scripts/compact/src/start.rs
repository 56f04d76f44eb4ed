//! What every command prepares: the table, the range, the channels, the checkpoint.

use std::path::PathBuf;

use aws_sdk_dynamodb::Client;
use backfill::{
    error::Error,
    retry::{Patience, until_answered},
    table_info::require_recovery,
};
use rand::RngExt;
use serde_json::{Value, json};
use shared::{block::stored::partition, table};
use tokio_util::sync::CancellationToken;

use crate::args::{ChangeArgs, JobArgs};
use crate::channels::matching;
use crate::checkpoint::{Book, State};
use crate::expiry::Expiry;
use crate::store::{Limits, Store, Wanted};
use crate::time::{DAY, End, now, parse, spell, time_of};

/// Where the events of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Single items.
    Items,
    /// Blocks.
    Blocks,
}

impl Source {
    /// The partition of the index that holds them.
    #[must_use]
    pub fn partition(self, channel: &str) -> String {
        match self {
            Source::Items => channel.to_owned(),
            Source::Blocks => partition(channel),
        }
    }

    fn command(self) -> &'static str {
        match self {
            Source::Items => "run",
            Source::Blocks => "expand",
        }
    }
}

/// What a command that changes a table works with.
#[derive(Debug)]
pub struct Session {
    /// The table.
    pub store: Store,
    /// How long the table keeps its items.
    pub expiry: Expiry,
    /// The progress.
    pub book: Book,
    /// Whether another process began.
    pub resumed: bool,
}

/// The range of the arguments, microseconds since the Unix epoch.
///
/// # Errors
/// When a time cannot be read, the range is empty, or it reaches into the last day.
pub fn range(args: &JobArgs) -> Result<(u64, u64), Error> {
    let (now, guard) = (now(), |name: &'static str| move |problem: String| Error::Guard(format!("{name}: {problem}")));
    let latest = now.saturating_sub(DAY);
    let from = args.from.as_deref().map_or(Ok(0), |text| parse(text, End::From, now)).map_err(guard("--from"))?;
    let to = args.to.as_deref().map_or(Ok(latest), |text| parse(text, End::To, now)).map_err(guard("--to"))?;
    if to > latest {
        let (to, latest) = (spell(to), spell(latest));
        return Err(Error::Guard(format!(
            "--to: {to} is in the last 24 hours, in which events still arrive, gaps are filled and days are closed; the latest is {latest}"
        )));
    }
    if from > to {
        return Err(Error::Guard(format!("--from {} is after --to {}", spell(from), spell(to))));
    }
    Ok((from, to))
}

/// The table of the arguments, if it is one of this project; and what tells it from an earlier one of the same name.
///
/// # Errors
/// When it is not, or the service refuses.
pub async fn open(
    client: &Client,
    args: &JobArgs,
    calls: u32,
    stop: &CancellationToken,
) -> Result<(Store, String), Error> {
    let patience = Patience::new("DescribeTable", args.patience());
    let output = until_answered(patience, stop, || client.describe_table().table_name(&args.table).send()).await?;
    let Some(described) = output.and_then(|output| output.table) else {
        return Err(Error::Guard(format!("the engine does not describe table `{}`", args.table)));
    };
    table::check(&described).map_err(|problem| Error::Guard(problem.to_string()))?;
    let identity = described.table_id().or(described.table_arn()).unwrap_or_default().to_owned();
    let limits = Limits { read: args.max_rcu, write: args.max_wcu, calls, patience: args.patience() };
    Ok((Store::new(client.clone(), &args.table, limits, stop), identity))
}

/// Begins a command, or goes on with it.
///
/// # Errors
/// When something stands against it, or the service refuses.
pub async fn session(
    client: &Client,
    (job, change): (&JobArgs, &ChangeArgs),
    source: Source,
    more: Value,
    stop: &CancellationToken,
) -> Result<Session, Error> {
    let (from, to) = range(job)?;
    let (store, identity) = open(client, job, change.concurrency, stop).await?;
    if !change.force {
        require_recovery(client, &job.table, job.patience(), stop).await?;
    }
    let expiry = Expiry::read(&store).await?;
    let command = source.command();
    let about = json!({
        "command": command, "table": job.table, "table_id": identity, "channels": job.channels, "from": job.from, "to": job.to, "more": more,
    });
    let default = || PathBuf::from(format!("compact-{}.{command}.json", job.table));
    let path = change.checkpoint.clone().unwrap_or_else(default);
    let (lock, found) = Book::open(&path, &about, change.restart)?;
    let resumed = found.is_some();
    let state = match found {
        Some(state) => state,
        None => {
            let mut channels = Vec::new();
            for name in matching(&store, &job.channels).await? {
                let begin = outermost(&store, &source.partition(&name), (from, to), false).await?;
                channels.extend(begin.map(|begin| (name, begin)));
            }
            State::new(about, rand::rng().random_range(0..1 << 31), to, channels)
        }
    };
    Ok(Session { store, expiry, book: Book::begin(&path, lock, state)?, resumed })
}

/// The time of the first or last item of a partition of the index.
///
/// # Errors
/// When the service refuses.
pub async fn outermost(
    store: &Store,
    partition: &str,
    range: (u64, u64),
    last_first: bool,
) -> Result<Option<u64>, Error> {
    let wanted = Wanted { after: None, limit: Some(1), last_first };
    let page = store.query(partition, range, wanted).await?;
    Ok(page.items.first().and_then(time_of))
}
