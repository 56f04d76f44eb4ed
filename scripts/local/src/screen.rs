//! Formats rates, prices and the spool's depth for a terminal or a log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use ingestor::observe::status::{ChannelStatus, Component, Status};
use ingestor::spool::Spool;
use shared::channel::Channel;
use shared::time::Micros;

/// The numbers of one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When, by this machine's clock.
    pub at: Micros,
    /// What is known of each channel.
    pub channels: BTreeMap<Channel, ChannelStatus>,
    /// Records waiting in the spool.
    pub spool_records: u64,
    /// How long a request to the table takes, in microseconds.
    pub write_micros: u64,
    /// The exchange's time of the newest stored event; zero before there is one.
    pub newest: Micros,
    /// Items stored in this run.
    pub stored: u64,
    /// Records in the quarantine.
    pub quarantined: u64,
    /// What is in trouble.
    pub trouble: BTreeMap<Component, String>,
}

impl Snapshot {
    /// Takes the numbers as they are now; channels without events so far are shown too.
    #[must_use]
    pub fn take(status: &Status, spool: &Spool, subscribed: &[String]) -> Snapshot {
        let mut channels = status.channels();
        for name in subscribed {
            channels.entry(Channel::from_frame(name.clone())).or_default();
        }
        Snapshot {
            at: Micros(ingestor::clock::system_micros()),
            channels,
            spool_records: spool.depth(),
            write_micros: status.write_micros.get(),
            newest: Micros(status.newest_stored.get()),
            stored: status.stored.get(),
            quarantined: spool.quarantine().count(),
            trouble: status.trouble(),
        }
    }
}

/// The block that a terminal shows, without colours or movement; `before` is the snapshot that rates are counted from.
#[must_use]
pub fn block(before: &Snapshot, now: &Snapshot, api: SocketAddr) -> String {
    let mut text = String::new();
    let width = now.channels.keys().map(|channel| channel.as_str().len()).max().unwrap_or(0).max("channel".len());
    line(&mut text, format_args!("{:width$}  {:>9}  {:>11}  {:>12}", "channel", "events/s", "stored", "last price"));
    for (channel, status) in &now.channels {
        let earlier = before.channels.get(channel).map_or(0, |status| status.events);
        let rate = rate(status.events - earlier, before, now);
        let price = status.last_price.as_deref().unwrap_or("-");
        line(&mut text, format_args!("{:width$}  {rate:>9.1}  {:>11}  {price:>12}", channel.as_str(), status.stored));
    }
    line(&mut text, format_args!("{}", health(now)));
    for sentence in now.trouble.values() {
        line(&mut text, format_args!("! {sentence}; still trying"));
    }
    if let Some(command) = curl(now, api) {
        line(&mut text, format_args!("read it:  {command}"));
    }
    text
}

/// The line that a log shows every 10 s.
#[must_use]
pub fn summary(before: &Snapshot, now: &Snapshot) -> String {
    let events = |snapshot: &Snapshot| snapshot.channels.values().map(|status| status.events).sum::<u64>();
    let rate = rate(events(now) - events(before), before, now);
    let mut text = format!("{rate:.1} events/s, {} stored, {}", now.stored, health(now));
    for sentence in now.trouble.values() {
        // A string takes everything.
        let _written = write!(text, "; {sentence}");
    }
    if now.trouble.is_empty() { text } else { text + "; still trying" }
}

/// The command that reads what was stored in the last ten seconds, once there is something.
#[must_use]
pub fn curl(now: &Snapshot, api: SocketAddr) -> Option<String> {
    let (channel, status) = now.channels.iter().max_by_key(|(_, status)| status.newest)?;
    let to = status.newest;
    if to == Micros(0) {
        return None;
    }
    let from = to.0.saturating_sub(10_000_000);
    Some(format!("curl 'http://{api}/bitstamp?channel={channel}&from={from}&to={to}'"))
}

fn health(now: &Snapshot) -> String {
    let mut text = format!("spool {} records, write {:.1} ms", now.spool_records, millis(now.write_micros));
    if now.newest != Micros(0) {
        let age = Duration::from_micros(now.at.0.saturating_sub(now.newest.0));
        let _written = write!(text, ", newest stored event {:.1} s old", age.as_secs_f64());
    }
    if now.quarantined > 0 {
        let _written = write!(text, ", {} in quarantine", now.quarantined);
    }
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _written = writeln!(text, "{content}");
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn rate(events: u64, before: &Snapshot, now: &Snapshot) -> f64 {
    let elapsed = now.at.0.saturating_sub(before.at.0).max(1);
    events as f64 * 1e6 / elapsed as f64
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(at: u64, events: u64) -> Snapshot {
        let status = ChannelStatus {
            events,
            stored: events,
            bytes: 463 * events,
            units: 2 * events,
            last_price: Some("58356.10".to_owned()),
            newest: Micros(at - 100_000),
        };
        Snapshot {
            at: Micros(at),
            channels: BTreeMap::from([("live_orders_btcusd".parse().unwrap(), status)]),
            spool_records: 12,
            write_micros: 8_240,
            newest: Micros(at - 100_000),
            stored: events,
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_block_says_what_a_person_wants_to_know() {
        let api = "127.0.0.1:8080".parse().unwrap();
        let mut now = snapshot(1_790_000_002_000_000, 980);
        now.channels.insert("live_trades_btcusd".parse().unwrap(), ChannelStatus::default());
        let text = block(&snapshot(1_790_000_000_000_000, 500), &now, api);
        assert_eq!(
            text,
            "channel              events/s       stored    last price\n\
             live_orders_btcusd      240.0          980      58356.10\n\
             live_trades_btcusd        0.0            0             -\n\
             spool 12 records, write 8.2 ms, newest stored event 0.1 s old\n\
             read it:  curl 'http://127.0.0.1:8080/bitstamp?channel=live_orders_btcusd&from=1789999991900000&to=1790000001900000'\n"
        );
    }

    #[test]
    fn trouble_and_quarantine_are_said_in_both_forms() {
        let mut now = snapshot(1_790_000_002_000_000, 500);
        now.trouble.insert(Component::Exchange, "wss://x cannot be reached: refused".to_owned());
        now.quarantined = 3;
        let before = snapshot(1_790_000_000_000_000, 500);
        let line = summary(&before, &now);
        assert!(line.contains("0.0 events/s, 500 stored"), "{line}");
        assert!(line.contains("3 in quarantine; wss://x cannot be reached: refused; still trying"), "{line}");
        assert!(block(&before, &now, "127.0.0.1:1".parse().unwrap()).contains("! wss://x cannot be reached"));
    }

    #[test]
    fn nothing_stored_is_nothing_to_read() {
        assert_eq!(curl(&Snapshot::default(), "127.0.0.1:1".parse().unwrap()), None);
    }
}
