use codec::item::{Item, Value};
pub use shared::coverage::CHANNELS;
use shared::{
    channel::Channel,
    table::{MICROTIMESTAMP, NMICROTIMESTAMP},
};
use smol_str::format_smolstr;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

use crate::{
    problem::Problem,
    render::Columns,
    request::{Order, Range, Subject, parameters::END_OF_TIME},
    store::{Store, StoreError},
};

/// The CSV columns of the list.
pub const COLUMNS: Columns = &["channel", "family", "market", "first_subscribed"];

/// New channels are rare; a request for one that is not known looks again after the shorter time.
const FRESH: Duration = Duration::from_secs(60);
const FRESH_WHEN_MISSED: Duration = Duration::from_secs(5);
/// A suggestion further away than this would be a guess.
const MAX_DISTANCE: usize = 8;
const SUGGESTIONS: usize = 3;

/// A channel that was subscribed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Microseconds since the Unix epoch by the daemon's clock.
    pub first_subscribed: u64,
}

/// The list, kept for a while.
#[derive(Default)]
pub struct Channels {
    read: Mutex<Option<(Instant, Arc<Vec<Known>>)>>,
}

impl Channels {
    /// Every channel ever subscribed, by name. Empty where no daemon keeps the list, as in tables of the first system.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it has to be read and cannot be.
    pub async fn list(&self, store: &Store, fresh: Duration, deadline: Instant) -> Result<Arc<Vec<Known>>, StoreError> {
        let mut read = self.read.lock().await;
        if let Some((_, list)) = read.as_ref().filter(|(at, _)| at.elapsed() < fresh) {
            return Ok(Arc::clone(list));
        }
        let list = Arc::new(fetch(store, deadline).await?);
        *read = Some((Instant::now(), Arc::clone(&list)));
        Ok(list)
    }

    /// As the items of `/channels`.
    ///
    /// # Errors
    ///
    /// As [`Channels::list`].
    pub async fn items(&self, store: &Store, deadline: Instant) -> Result<Vec<Item>, StoreError> {
        let list = self.list(store, FRESH, deadline).await?;
        Ok(list.iter().map(item).collect())
    }

    /// Refuses a channel that was never subscribed. To be asked only where nothing was found.
    ///
    /// # Errors
    ///
    /// 404 with the nearest names, or what the store says.
    pub async fn check(&self, name: &str, store: &Store, deadline: Instant) -> Result<(), Problem> {
        let is_known = |list: &[Known]| list.is_empty() || list.iter().any(|known| known.name == name);
        let mut list = self.list(store, FRESH, deadline).await?;
        if !is_known(&list) {
            list = self.list(store, FRESH_WHEN_MISSED, deadline).await?;
        }
        if is_known(&list) { Ok(()) } else { Err(Problem::no_channel(name, nearest(name, &list))) }
    }
}

async fn fetch(store: &Store, deadline: Instant) -> Result<Vec<Known>, StoreError> {
    let subject = Subject::Channel(CHANNELS.to_owned());
    let range = Range { subject, from: 0, to: END_OF_TIME, order: Order::Ascending };
    let mut list = Vec::new();
    let mut start = None;
    loop {
        let answer = store.query(&range, None, start.take(), deadline).await?;
        list.extend(answer.items.iter().filter_map(known));
        start = answer.stopped_at;
        if start.is_none() {
            list.sort_by(|left: &Known, right| left.name.cmp(&right.name));
            return Ok(list);
        }
    }
}

fn known(item: &Item) -> Option<Known> {
    let name = item.text(MICROTIMESTAMP)?.to_owned();
    let first_subscribed = item.number(NMICROTIMESTAMP)?.parse().ok()?;
    Some(Known { name, first_subscribed })
}

fn item(known: &Known) -> Item {
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

fn nearest(name: &str, list: &[Known]) -> Vec<String> {
    let mut near: Vec<_> = list
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&known.name, name), &known.name))
        .filter(|(distance, _)| *distance <= MAX_DISTANCE)
        .collect();
    near.sort();
    near.into_iter().take(SUGGESTIONS).map(|(_, name)| name.clone()).collect()
}
