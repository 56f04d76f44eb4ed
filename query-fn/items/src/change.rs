//! Carries out a change: reads the item, works out what becomes of it, and sends the change and its audit item as one transaction, on the
//! condition that the item is still what was read.

use query_fn::query::store::StoreError;
use rand::RngExt;
use shared::item::{self as shared_item, Item, MAX_SIZE};
use std::time::Duration;
use tokio::time::{Instant, sleep};

use crate::audit::{self, Author, Entry};
use crate::expression::ExpressionError;
use crate::item::{digest, is_block, is_reserved, is_same};
use crate::request::{Change, ItemAction};
use crate::store::{Failure, Store};

mod transaction;

/// How often a change is tried while others change the same item.
const ATTEMPTS: u32 = 8;
/// The longest pause before the second attempt; each one after it may be twice as long.
const PAUSE: Duration = Duration::from_millis(20);
/// The most attributes that an item may have: the condition that names each of them has to fit into DynamoDB's 4 KB.
const MAX_ATTRIBUTES: usize = 100;

/// What a change did.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The item before, if there was one.
    pub before: Option<Item>,
    /// The item now, if there is one.
    pub after: Option<Item>,
    /// False if the item was already what the change makes of it: nothing was written, and there is no audit item.
    pub is_change: bool,
}

/// The reason why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The item is not what the caller saw, or there is one already.
    #[error("{reason}")]
    Conflict {
        /// What was expected.
        reason: &'static str,
        /// The item now.
        current: Option<Item>,
    },
    /// The change is not allowed, or not without a flag.
    #[error("{reason}")]
    NotAllowed {
        /// The field of the payload that would allow it, or that is at fault.
        field: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// The expression cannot be applied to this item.
    #[error("{0}")]
    Expression(#[from] ExpressionError),
    /// The store says that the change is not valid.
    #[error("the store refuses it: {0}")]
    Invalid(String),
    /// The store did not say whether the change was made.
    #[error("the store did not say in time whether the change was made")]
    Unknown,
    /// The store refuses or cannot.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Carries out a change for `author`.
///
/// # Errors
///
/// [`Refused`]. Nothing was changed then, except with [`Refused::Unknown`], where both the change and its audit item may be there, or neither.
pub async fn carry_out(store: &Store, change: &Change, author: &Author, deadline: Instant) -> Result<Done, Refused> {
    for attempt in 0..ATTEMPTS {
        // Before the item: a change by this function in between raises it, and the transaction fails.
        let counter = store.get(&audit::counter_key(&change.key), deadline).await?;
        let before = store.get(&change.key, deadline).await?;
        check_state(change, before.as_ref())?;
        let after = after(change, before.as_ref())?;
        check_allowed(change, before.as_ref(), after.as_ref())?;
        let is_change = !is_same(before.as_ref(), after.as_ref());
        if !is_change && change.condition.is_none() {
            return Ok(Done { before, after, is_change });
        }
        let number = audit::changes(counter.as_ref());
        let (before_now, after_now) = (before.as_ref(), after.as_ref());
        let operation = change.action.operation();
        let entry =
            Entry { author, operation, key: &change.key, change: number + 1, before: before_now, after: after_now };
        let members = if is_change {
            check_size(&entry.to_item())?;
            transaction::of_change(store.table(), &entry, change.condition.as_ref())?
        } else {
            transaction::of_check(store.table(), &entry, change.condition.as_ref())?
        };
        let token = format!("{:032x}", rand::random::<u128>());
        match store.transact(members, &token, deadline).await {
            Ok(()) => return Ok(Done { before, after, is_change }),
            Err(Failure::Unknown(error)) if !is_change => return Err(error.into()),
            Err(Failure::Unknown(error)) => {
                tracing::warn!(%error, "outcome of a transaction is unknown");
                return settle(store, &entry, deadline).await.map(|()| Done { before, after, is_change });
            }
            Err(Failure::Condition) => check_condition(store, change, (number, before), deadline).await?,
            Err(Failure::Contended) => pause(attempt).await,
            Err(Failure::Invalid(reason)) => return Err(Refused::Invalid(reason)),
            Err(Failure::Store(error)) => return Err(error.into()),
        }
    }
    let current = store.get(&change.key, deadline).await?;
    Err(Refused::Conflict { reason: "others keep changing the item", current })
}

/// Waits a random time, longer with each attempt.
async fn pause(attempt: u32) {
    let most = PAUSE * 2_u32.saturating_pow(attempt.min(6));
    let pause = rand::rng().random_range(Duration::ZERO..=most);
    sleep(pause).await;
}

/// Refuses a change of another state than the one that the caller saw.
fn check_state(change: &Change, before: Option<&Item>) -> Result<(), Refused> {
    let conflict = |reason| Err(Refused::Conflict { reason, current: before.cloned() });
    if change.if_match.as_ref().is_some_and(|seen| *seen != digest(before)) {
        return conflict("the item is in another state than `ifMatch` names");
    }
    match (&change.action, before) {
        (ItemAction::Create { overwrite: false, .. }, Some(_)) => {
            conflict("there is an item under this key; `overwrite` replaces it")
        }
        _ => Ok(()),
    }
}

/// Works out what becomes of the item.
///
/// # Errors
///
/// [`ExpressionError`] if an update cannot be applied to it.
pub fn after(change: &Change, before: Option<&Item>) -> Result<Option<Item>, ExpressionError> {
    match &change.action {
        ItemAction::Create { item, .. } => Ok(Some(item.clone())),
        ItemAction::Delete => Ok(None),
        ItemAction::Update(_) if before.is_none() && change.only_removes() => Ok(None),
        ItemAction::Update(update) => {
            let mut after = update.apply(before.unwrap_or(&Item::new()))?;
            after.extend(change.key.to_item());
            Ok(Some(after))
        }
    }
}

/// Refuses what is never allowed, or not without the flag for it.
fn check_allowed(change: &Change, before: Option<&Item>, after: Option<&Item>) -> Result<(), Refused> {
    let not_allowed = |field, reason: String| Err(Refused::NotAllowed { field, reason });
    let states = [before, after];
    if states.iter().any(|state| audit::is_audit(&change.key, *state)) {
        return not_allowed(
            "Key",
            format!("`{}` records what was changed and is never changed itself", audit::CHANNEL_NAME),
        );
    }
    if !change.allows_reserved && states.iter().any(|state| is_reserved(&change.key, *state)) {
        let reason =
            "the item is the programs' own (its channel or its sort key begins with `_`); true allows to change it";
        return not_allowed("allowReserved", reason.to_owned());
    }
    if let (Some(before), Some(after)) = (before, after)
        && before != after
        && (is_block(before) || is_block(after))
    {
        let reason =
            "a block holds many events in a coded form with a checksum; it can be read and deleted, not changed";
        return not_allowed("Key", reason.to_owned());
    }
    if let (ItemAction::Update(_), Some(before), Some(after)) = (&change.action, before, after)
        && !change.allows_key_attributes
        && let Some(name) = transaction::INDEX_KEY.into_iter().find(|name| before.get(*name) != after.get(*name))
    {
        let reason = format!("`{name}` is how readers find the item; true allows to change it");
        return not_allowed("allowKeyAttributes", reason);
    }
    for state in states.into_iter().flatten() {
        if state.len() > MAX_ATTRIBUTES {
            let reason =
                format!("an item of {} attributes cannot be guarded; at most {MAX_ATTRIBUTES} can", state.len());
            return not_allowed("Key", reason);
        }
    }
    Ok(())
}

/// Refuses a change whose record would not fit: it holds the item as it was and as it is.
fn check_size(entry: &Item) -> Result<(), Refused> {
    let size = shared_item::size(entry);
    if size <= MAX_SIZE {
        return Ok(());
    }
    let reason = format!(
        "the record of this change, the item before and after, has {size} bytes and DynamoDB holds {MAX_SIZE}; delete the item and create it anew"
    );
    Err(Refused::NotAllowed { field: "Key", reason })
}

/// Returns if the item has changed meanwhile, so that the change is to be tried again; fails if it has not, because then the caller's own
/// condition does not hold.
async fn check_condition(
    store: &Store,
    change: &Change,
    (number, before): (u64, Option<Item>),
    deadline: Instant,
) -> Result<(), Refused> {
    let counter = store.get(&audit::counter_key(&change.key), deadline).await?;
    let current = store.get(&change.key, deadline).await?;
    let is_unchanged = audit::changes(counter.as_ref()) == number && is_same(before.as_ref(), current.as_ref());
    if is_unchanged && change.condition.is_some() {
        return Err(Refused::Conflict { reason: "ConditionExpression does not hold", current });
    }
    Ok(())
}

/// Finds out whether a transaction without an answer took effect: its audit item says so.
async fn settle(store: &Store, entry: &Entry<'_>, deadline: Instant) -> Result<(), Refused> {
    match store.get(&entry.key(), deadline).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) | Err(StoreError::Busy(_)) => Err(Refused::Unknown),
        Err(error) => Err(error.into()),
    }
}
