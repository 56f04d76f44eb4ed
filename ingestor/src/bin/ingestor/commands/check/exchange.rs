//! Checks that the exchange confirms every channel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ingestor::clock::{Clock, Wall};
use ingestor::config::Config;
use ingestor::observe::status::{Component, Status};
use ingestor::receive::ages::Ages;
use ingestor::receive::connection::ConnectionContext;
use ingestor::receive::listing::CHANNELS;
use ingestor::receive::socket::Socket;
use ingestor::spool::record::{ConnectionEvent, Payload, Record};
use shared::channel::Channel;
use shared::time::Micros;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Found;
use crate::commands::counted;

/// Timeout of opening a connection; longer than the daemon's own, which reports by itself that it was too slow.
const OPEN_WITHIN: Duration = Duration::from_secs(15);

/// Opens a connection with the daemon's own code and waits until each channel is confirmed; opens several, one after
/// the other, if there are more channels than one carries.
pub(super) async fn check(config: &Arc<Config>, channels: &[Channel]) -> Found {
    let begun = Instant::now();
    for part in channels.chunks(CHANNELS) {
        connect(config, part).await?;
    }
    let all = counted(channels.len() as u64, "subscription");
    Ok(format!("{} confirmed {all} in {} ms", config.url, begun.elapsed().as_millis()))
}

async fn connect(config: &Arc<Config>, channels: &[Channel]) -> Result<(), String> {
    let status = Arc::new(Status::default());
    let (records, mut received) = mpsc::channel(1_024);
    let stop = CancellationToken::new();
    let socket = Socket {
        context: ConnectionContext {
            config: config.clone(),
            clock: Arc::new(Clock::after(Micros(0), Wall::System)),
            status: status.clone(),
            records,
            ages: Arc::new(Ages::new(config.max_age, 1)),
            place: 0,
        },
        channels: watch::channel(channels.into()).1,
        ready: Arc::default(),
        opened: Arc::default(),
    };
    let watch = async {
        let ended = confirmations(config, channels, &mut received).await;
        stop.cancel();
        // The socket tells how it ends before it does.
        while received.recv().await.is_some() {}
        ended
    };
    let ((), ended) = tokio::join!(socket.run(stop.clone()), watch);
    let (url, all) = (&config.url, counted(channels.len() as u64, "subscription"));
    match ended {
        Ended::Confirmed => Ok(()),
        Ended::Lost(reason) => {
            let unreachable = status.trouble().remove(&Component::Exchange);
            let sentence = unreachable.unwrap_or_else(|| format!("{url} ended the connection: {reason}"));
            Err(format!("{sentence}; look at --url and the network"))
        }
        Ended::Missing(missing) => {
            let names: Vec<_> = missing.iter().take(5).map(String::as_str).collect();
            let more = if missing.len() > names.len() { ", ..." } else { "" };
            let errors = match status.exchange_errors.get() {
                0 => String::new(),
                errors => format!(" and {} came, logged above", counted(errors, "error")),
            };
            Err(format!(
                "{url} did not confirm {} of {all} within {:?}{errors}: {}{more}; look at --channels and --confirm-within",
                missing.len(),
                config.confirm_within,
                names.join(", ")
            ))
        }
    }
}

/// How the wait for confirmations ended.
enum Ended {
    Confirmed,
    Lost(String),
    /// These channels were not confirmed in time.
    Missing(BTreeSet<String>),
}

async fn confirmations(config: &Config, channels: &[Channel], received: &mut mpsc::Receiver<Record>) -> Ended {
    let mut missing: BTreeSet<String> = channels.iter().map(ToString::to_string).collect();
    let mut deadline = Instant::now() + OPEN_WITHIN;
    while !missing.is_empty() {
        let Ok(Some(record)) = timeout_at(deadline, received.recv()).await else { return Ended::Missing(missing) };
        let Payload::ConnectionEvent(event) = record.payload else { continue };
        match serde_json::from_slice(&event) {
            Ok(ConnectionEvent::Connected) => deadline = Instant::now() + config.confirm_within,
            Ok(ConnectionEvent::Subscribed { channel }) => {
                missing.remove(&channel);
            }
            Ok(ConnectionEvent::Lost { reason }) => return Ended::Lost(reason),
            _ => {}
        }
    }
    Ended::Confirmed
}
