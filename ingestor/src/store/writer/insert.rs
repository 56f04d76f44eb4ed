//! Inserts single items on the condition that there is none under their key.

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;

use crate::backoff::Backoff;
use crate::observe::status::Component;
use crate::store::answer;
use crate::store::batch::BatchEntry;
use crate::store::writer::{FIRST_WAIT, Insertion, LONGEST_WAIT, Writer};

enum InsertError {
    Retry(String),
    Rejected(String),
}

impl Writer {
    /// Inserts an item unless there is one under its key, however long that takes: the first of several daemons counts.
    /// Failures are a trouble of `component` meanwhile. An entry of the channel list is never refused for good: its item is
    /// the daemon's own, so the fault is the table's.
    ///
    /// # Cancel safety
    ///
    /// As [`Writer::write`].
    pub async fn insert_if_absent(&self, mut entry: BatchEntry, component: Component) -> Insertion {
        let keeps = self.keeps().await;
        entry.expire(&keeps);
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let first = match self.try_insert(&entry).await {
                Ok(true) => Insertion::Inserted(entry),
                Ok(false) => Insertion::Existed(entry),
                Err(InsertError::Rejected(reason)) if component != Component::Channels => {
                    Insertion::Refused(entry, reason)
                }
                Err(InsertError::Rejected(sentence) | InsertError::Retry(sentence)) => {
                    self.status.failures.add(1);
                    self.status.set_trouble(component, Some(sentence));
                    tokio::time::sleep(backoff.wait()).await;
                    continue;
                }
            };
            self.status.set_trouble(component, None);
            return first;
        }
    }

    /// Sends one conditional PutItem; returns true if the item was inserted.
    async fn try_insert(&self, entry: &BatchEntry) -> Result<bool, InsertError> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(entry.item.clone()))
            .condition_expression("attribute_not_exists(id)")
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send();
        self.status.attempts.add(1);
        let Ok(answer) = tokio::time::timeout(self.patience, request).await else {
            return Err(InsertError::Retry("the store did not answer in time".to_owned()));
        };
        let error = match answer {
            // A success of PutItem is `{}`, which an empty body looks like; the capacity that was asked for shows that it is one.
            Ok(output) if output.consumed_capacity().is_none() => {
                return Err(InsertError::Retry(answer::INCOMPLETE.to_owned()));
            }
            Ok(_) => return Ok(true),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(service) if service.is_conditional_check_failed_exception() => Ok(false),
            Some(service) if service.code() == Some("ValidationException") => {
                Err(InsertError::Rejected(service.message().unwrap_or("not valid").to_owned()))
            }
            service => Err(InsertError::Retry(describe(service.map(|service| (service.code(), service.message()))))),
        }
    }
}

/// Describes in one sentence why an item was not written.
fn describe(answer: Option<(Option<&str>, Option<&str>)>) -> String {
    match answer {
        None => "the store cannot be reached".to_owned(),
        Some((Some("AccessDeniedException"), message)) => {
            format!("permission is missing: dynamodb:PutItem: {}", message.unwrap_or_default())
        }
        Some((code, message)) => {
            format!("the store answers {} {}", code.unwrap_or("unknown"), message.unwrap_or_default())
                .trim_end()
                .to_owned()
        }
    }
}
