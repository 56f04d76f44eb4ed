//! The command line.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Reads, corrects, removes and puts back single items of a bitstamp-live table, and lists what was changed.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "Examples:
  items --url https://abc123.execute-api.eu-central-1.amazonaws.com/prod get 683815283 1795226911565000
  items get 683815283 1795226911565000 >item.json     # BITSTAMP_LIVE_ITEMS_URL names the function
  items set 683815283 1795226911565000 'price_str=\"83999.99\"' price=83999.99 --remove note
  items put item.json --overwrite
  items rm 683815283 1795226911565000
  items audit --from -1d --all | jq -r '[.who, .operation, .key.id] | @tsv'
  items --endpoint-url http://127.0.0.1:8000 get 683815283 1795226911565000

A change is shown before it is made: lines with - go, lines with + come. It is made only if the item is then still what was shown. Requests are
signed with the AWS SDK's credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE and so on).

Exit codes: 0 done, 1 failed, 2 wrong arguments or refused, 3 not confirmed, 4 the item is not what was shown, 5 no such item, 130 Ctrl-C.";

/// Where the items are.
#[derive(Args)]
pub(crate) struct Place {
    /// Address of the operators' function with its stage: the output ItemsUrl of the stack N-app.
    #[arg(long, env = "BITSTAMP_LIVE_ITEMS_URL")]
    pub(crate) url: Option<String>,
    /// A local DynamoDB instead of the function: the embedded store, DynamoDB Local.
    #[arg(long)]
    pub(crate) endpoint_url: Option<String>,
    /// AWS region; by default that of the address, then as the AWS SDK finds it (AWS_REGION, profile).
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// The table behind --endpoint-url.
    #[arg(long, env = "BITSTAMP_LIVE_TABLE", default_value = shared::table::DEFAULT_TABLE)]
    pub(crate) table: String,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Print an item as it lies in the table.
    Get {
        #[command(flatten)]
        key: Key,
        /// In DynamoDB's typed JSON.
        #[arg(long)]
        typed: bool,
    },
    /// Put an item from a file, in plain JSON as `get` prints it.
    Put(Put),
    /// Set and remove attributes of an item.
    Set(Set),
    /// Remove an item.
    Rm {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        consent: Consent,
    },
    /// Send JSON there and back, to check the way.
    Echo {
        /// Any JSON.
        payload: String,
    },
    /// List what was changed, one JSON object a line, the newest first.
    Audit(Audit),
}

/// The complete primary key of an item.
#[derive(Args, Clone)]
pub(crate) struct Key {
    /// The attribute `id`: digits.
    pub(crate) id: String,
    /// The attribute `microtimestamp`, the whole sort key with what stands behind a #.
    pub(crate) microtimestamp: String,
}

/// How a change is agreed to.
#[derive(Args, Clone, Default)]
pub(crate) struct Consent {
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Allow to change what the programs keep for themselves: channels and sort keys that begin with _.
    #[arg(long)]
    pub(crate) allow_reserved: bool,
}

#[derive(Args)]
pub(crate) struct Put {
    /// A file, or - for standard input (needs --yes).
    pub(crate) file: PathBuf,
    /// Replace an item that is there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Args)]
pub(crate) struct Set {
    #[command(flatten)]
    pub(crate) key: Key,
    /// An attribute and its new value in JSON: price=5, 'price_str=\"5\"'.
    #[arg(value_name = "NAME=JSON", required_unless_present = "remove")]
    pub(crate) assignments: Vec<String>,
    /// Remove an attribute; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) remove: Vec<String>,
    /// Allow to change `channel` and `nmicrotimestamp`, by which readers find the item.
    #[arg(long)]
    pub(crate) allow_key_attributes: bool,
    #[command(flatten)]
    pub(crate) consent: Consent,
}

#[derive(Args)]
pub(crate) struct Audit {
    /// The first time: microseconds since the Unix epoch, RFC 3339, a day, or a time before now such as -1d.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// The last time.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// The most entries of one request.
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: usize,
    /// Follow the pages to the end.
    #[arg(long)]
    pub(crate) all: bool,
    /// The oldest first.
    #[arg(long)]
    pub(crate) ascending: bool,
}
