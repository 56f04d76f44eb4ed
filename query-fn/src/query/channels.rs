//! The list of channels that were ever subscribed: which of them a request names, and whether one exists at all.

use codec::item::{Item, Value};
pub use shared::coverage::CHANNELS;
use shared::{
    block::stored,
    channel::{Channel, Family},
    table::{MICROTIMESTAMP, NMICROTIMESTAMP},
};
use smol_str::format_smolstr;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

use crate::query::store::{Store, StoreError};
use crate::range::{END_OF_TIME, Order, Range, Subject};

/// The most channels that one request reads: more than the exchange has markets.
pub const MAX_CHANNELS: usize = 300;
/// The age at which the list is read again. New channels are rare; a request for an unknown one reads it again after the shorter time.
const FRESH: Duration = Duration::from_secs(60);
const FRESH_WHEN_MISSED: Duration = Duration::from_secs(5);
/// The largest edit distance of a suggestion.
const MAX_DISTANCE: usize = 8;
const SUGGESTIONS: usize = 3;

/// A channel that was subscribed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownChannel {
    /// The name of the channel.
    pub name: String,
    /// The time of the first subscription by the daemon's clock, microseconds since the Unix epoch.
    pub first_subscribed: u64,
}

/// The reason why the channels that a request names cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The channel was never subscribed, or the pattern fits no channel.
    #[error("channel `{name}` was never captured")]
    Unknown {
        /// The name or pattern.
        name: String,
        /// The nearest names that are known.
        suggestions: Vec<String>,
    },
    /// More channels fit than one request reads, this many.
    #[error("{0} channels fit, more than {MAX_CHANNELS}")]
    TooMany(usize),
    /// The list cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The list of channels, cached for a minute.
#[derive(Default)]
pub struct Channels {
    read: Mutex<Option<(Instant, Arc<Vec<KnownChannel>>)>>,
}

impl Channels {
    /// Returns every channel that was ever subscribed, by name, at most `fresh` old. The list is empty where no daemon keeps it, as in tables
    /// of the first system.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the list has to be read and the store fails.
    pub async fn list(
        &self,
        store: &Store,
        fresh: Duration,
        deadline: Instant,
    ) -> Result<Arc<Vec<KnownChannel>>, StoreError> {
        let mut read = self.read.lock().await;
        if let Some((_, list)) = read.as_ref().filter(|(at, _)| at.elapsed() < fresh) {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(fetch(store, deadline).await?);
        *read = Some((Instant::now(), Arc::clone(&list)));
        Ok(list)
    }

    /// Returns the items of `/channels`.
    ///
    /// # Errors
    ///
    /// As [`Channels::list`].
    pub async fn items(&self, store: &Store, deadline: Instant) -> Result<Vec<Item>, StoreError> {
        let list = self.list(store, FRESH, deadline).await?;
        Ok(list.iter().map(item).collect())
    }

    /// Returns the names of the channels of a family, as they were at most a minute ago.
    ///
    /// # Errors
    ///
    /// As [`Channels::list`].
    pub async fn of_family(&self, family: Family, store: &Store, deadline: Instant) -> Result<Vec<String>, StoreError> {
        let list = self.list(store, FRESH, deadline).await?;
        let names = list.iter().map(|known| known.name.clone());
        Ok(names.filter(|name| Channel::from_frame(name.clone()).family() == family).collect())
    }

    /// Returns the channels that a request names, by names or by patterns with one `*`, each once. A single name is returned unchecked.
    ///
    /// # Errors
    ///
    /// [`ChannelError`] for an unknown channel, a pattern that fits none, too many channels, or a failed read.
    pub async fn named(&self, names: &[String], store: &Store, deadline: Instant) -> Result<Vec<String>, ChannelError> {
        if let [name] = names
            && !name.contains('*')
        {
            return Ok(vec![name.clone()]);
        }
        let mut found = BTreeSet::new();
        for name in names {
            let Some((start, end)) = name.split_once('*') else {
                self.check(name, store, deadline).await?;
                found.insert(name.clone());
                continue;
            };
            let fits = |name: &str| name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end));
            let list = self.list(store, FRESH, deadline).await?;
            let mut fitting = list.iter().map(|known| &known.name).filter(|name| fits(name)).peekable();
            if fitting.peek().is_none() {
                return Err(ChannelError::Unknown { name: name.clone(), suggestions: Vec::new() });
            }
            found.extend(fitting.cloned());
        }
        if found.len() > MAX_CHANNELS {
            return Err(ChannelError::TooMany(found.len()));
        }
        Ok(found.into_iter().collect())
    }

    /// Refuses a channel that was never subscribed and has no events. Costs queries; call it only after an empty result.
    ///
    /// # Errors
    ///
    /// [`ChannelError::Unknown`] with the nearest names, or [`ChannelError::Store`].
    pub async fn check(&self, name: &str, store: &Store, deadline: Instant) -> Result<(), ChannelError> {
        let is_known = |list: &[KnownChannel]| list.is_empty() || list.iter().any(|known| known.name == name);
        let mut list = self.list(store, FRESH, deadline).await?;
        if !is_known(&list) {
            list = self.list(store, FRESH_WHEN_MISSED, deadline).await?;
        }
        if is_known(&list) || has_events(name, store, deadline).await? {
            return Ok(());
        }
        Err(ChannelError::Unknown { name: name.to_owned(), suggestions: nearest(name, &list) })
    }
}

/// Returns true if the channel has an event: in an older table no daemon has entered it into the list.
async fn has_events(name: &str, store: &Store, deadline: Instant) -> Result<bool, StoreError> {
    let has_items = async |name: String| {
        let subject = Subject::Channel(name);
        let all = Range { subject, from: 0, to: END_OF_TIME, order: Order::Ascending, said: None };
        store.query(&all, Some(1), None, deadline).await.map(|answer| !answer.items.is_empty())
    };
    Ok(has_items(name.to_owned()).await? || has_items(stored::partition(name)).await?)
}

/// Reads the whole list.
async fn fetch(store: &Store, deadline: Instant) -> Result<Vec<KnownChannel>, StoreError> {
    let subject = Subject::Channel(CHANNELS.to_owned());
    let range = Range { subject, from: 0, to: END_OF_TIME, order: Order::Ascending, said: None };
    let mut list = Vec::new();
    let mut start = None;
    loop {
        let answer = store.query(&range, None, start.take(), deadline).await?;
        list.extend(answer.items.iter().filter_map(known));
        start = answer.stopped_at;
        if start.is_none() {
            list.sort_by(|left: &KnownChannel, right| left.name.cmp(&right.name));
            return Ok(list);
        }
    }
}

fn known(item: &Item) -> Option<KnownChannel> {
    let name = item.text(MICROTIMESTAMP)?.to_owned();
    let first_subscribed = item.number(NMICROTIMESTAMP)?.parse().ok()?;
    Some(KnownChannel { name, first_subscribed })
}

fn item(known: &KnownChannel) -> Item {
    let channel = Channel::from_frame(known.name.clone());
    let family = channel.market().and_then(|market| known.name.strip_suffix(market)?.strip_suffix('_'));
    let text = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.into()));
    Item::of(vec![
        ("channel".into(), text(Some(&known.name))),
        ("family".into(), text(family)),
        ("market".into(), text(channel.market())),
        ("first_subscribed".into(), Value::Number(format_smolstr!("{}", known.first_subscribed))),
    ])
}

/// Returns the known names that are nearest to `name`, nearest first.
fn nearest(name: &str, list: &[KnownChannel]) -> Vec<String> {
    let mut near: Vec<_> = list
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&known.name, name), &known.name))
        .filter(|(distance, _)| *distance <= MAX_DISTANCE)
        .collect();
    near.sort();
    near.into_iter().take(SUGGESTIONS).map(|(_, name)| name.clone()).collect()
}
