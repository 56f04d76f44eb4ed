//! Reads the items of a channel in the order of time.

use backfill::error::Error;
use futures_util::{Stream, TryStreamExt, stream};
use shared::item::Item;

use crate::store::{Store, Wanted};

/// Items of a page at most. About a megabyte of order events, DynamoDB's own limit; the embedded engine reads the rest of the range for each page
/// that has none.
const PAGE: i32 = 2_000;

/// The pages of a channel's items from `from` through `to`, microseconds since the Unix epoch by the exchange's clock.
pub fn pages<'a>(
    store: &'a Store,
    channel: &'a str,
    from: u64,
    to: u64,
) -> impl Stream<Item = Result<Vec<Item>, Error>> + 'a {
    let begin = (from <= to).then_some(None);
    stream::try_unfold(begin, move |after| async move {
        let Some(after) = after else { return Ok(None) };
        let page = store.query(channel, (from, to), Wanted { after, limit: Some(PAGE), last_first: false }).await?;
        Ok(Some((page.items, page.next.map(Some))))
    })
}

/// All items of a channel.
///
/// # Errors
/// When the service refuses, patience ends, or the command is interrupted.
pub async fn all(store: &Store, channel: &str, from: u64, to: u64) -> Result<Vec<Item>, Error> {
    pages(store, channel, from, to).try_concat().await
}
