//! Loads and saves checkpoints in a file or in an item of the table.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use tokio_util::sync::CancellationToken;

use crate::args::RunArgs;
use crate::checkpoint::{State, read_file, remove_file, write_file};
use crate::error::Error;
use crate::examine::ItemClassifier;
use crate::json::{Item, to_json};
use crate::retry::{Patience, until_answered};

/// Time between two checkpoints in a file; in an item, forty times as long, because it costs write units.
const SAVE: Duration = Duration::from_millis(250);
/// Name of the attribute that holds the checkpoint in this tool's own item.
const CHECKPOINT: &str = "checkpoint";

/// Keeps the checkpoint in a file, or in an item of the table.
pub struct CheckpointStore<'a> {
    client: &'a Client,
    args: &'a RunArgs,
    key: Item,
    stop: &'a CancellationToken,
}

impl<'a> CheckpointStore<'a> {
    /// As the arguments say.
    pub fn new(
        client: &'a Client,
        args: &'a RunArgs,
        classifier: &ItemClassifier,
        stop: &'a CancellationToken,
    ) -> Self {
        Self { client, args, key: classifier.own_key().clone(), stop }
    }

    /// For messages.
    pub fn name(&self) -> String {
        match self.args.checkpoint_item {
            true => format!("item {} of table `{}`", to_json(&self.key), self.args.job.table),
            false => self.args.checkpoint_file().display().to_string(),
        }
    }

    /// Time between two checkpoints.
    pub fn every(&self) -> Duration {
        if self.args.checkpoint_item { SAVE * 40 } else { SAVE }
    }

    fn patience(&self, operation: &'static str) -> Patience {
        Patience::new(operation, self.args.scan.patience())
    }

    /// The checkpoint, where there is one.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub async fn load(&self) -> Result<Option<String>, Error> {
        if !self.args.checkpoint_item {
            return read_file(&self.args.checkpoint_file());
        }
        let call = || {
            let get = self.client.get_item().table_name(&self.args.job.table).consistent_read(true);
            get.set_key(Some(self.key.clone())).send()
        };
        let output = until_answered(self.patience("GetItem"), self.stop, call).await?;
        let item = output.and_then(|output| output.item).unwrap_or_default();
        Ok(item.get(CHECKPOINT).and_then(|text| text.as_s().ok()).cloned())
    }

    /// Replaces the checkpoint; also after an interruption, hence without its token.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn save(&self, state: &State) -> Result<(), Error> {
        if !self.args.checkpoint_item {
            return tokio::task::block_in_place(|| write_file(&self.args.checkpoint_file(), &state.to_json()));
        }
        let text = AttributeValue::S(state.to_json().to_string());
        let call = || {
            let put = self.client.put_item().table_name(&self.args.job.table).set_item(Some(self.key.clone()));
            put.item(CHECKPOINT, text.clone()).send()
        };
        until_answered(self.patience("PutItem"), &CancellationToken::new(), call).await.map(drop)
    }

    /// Removes the checkpoint.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub async fn remove(&self) -> Result<(), Error> {
        if !self.args.checkpoint_item {
            return remove_file(&self.args.checkpoint_file());
        }
        let call = || {
            let delete = self.client.delete_item().table_name(&self.args.job.table);
            delete.set_key(Some(self.key.clone())).send()
        };
        until_answered(self.patience("DeleteItem"), &CancellationToken::new(), call).await.map(drop)
    }
}
