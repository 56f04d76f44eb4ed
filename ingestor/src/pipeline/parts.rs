use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use aws_sdk_dynamodb::Client;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::config::Config;
use crate::fill::Filler;
use crate::pipeline::CHANNELS;
use crate::rest::{Rest, RestError};
use crate::socket::Socket;
use crate::spool::Spool;
use crate::spool::record::Record;
use crate::status::Status;
use crate::stored::Stored;
use crate::writer::Writer;

/// Every channel on each of the configured connections; spread over several where they are too many for one.
pub(super) fn sockets<'a>(
    config: &'a Arc<Config>,
    clock: &'a Arc<Clock>,
    status: &'a Arc<Status>,
    records: &'a mpsc::Sender<Record>,
) -> impl Iterator<Item = Socket> + 'a {
    let opened = Arc::new(AtomicU32::new(0));
    let parts = (0..config.connections).flat_map(|_| config.channels.chunks(CHANNELS));
    (0..).zip(parts).map(move |(place, channels)| Socket {
        config: config.clone(),
        clock: clock.clone(),
        status: status.clone(),
        records: records.clone(),
        channels: channels.into(),
        place,
        opened: opened.clone(),
    })
}

/// Where there is a REST API to ask.
pub(super) fn filler(
    config: &Config,
    client: &Client,
    writer: &Writer,
    status: &Arc<Status>,
    spool: &Spool,
) -> Result<Option<Filler>, RestError> {
    let Some(rest_url) = &config.rest_url else { return Ok(None) };
    let stored = Stored { client: client.clone(), table: config.table.clone() };
    let (writer, status, daemon) = (writer.clone(), status.clone(), spool.daemon().to_owned());
    let rest = Rest::new(rest_url)?;
    Ok(Some(Filler::new(rest, stored, writer, status, daemon, config.fill_after, &config.channels)))
}
