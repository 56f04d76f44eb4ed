//! Whether the table can be brought back to an earlier moment.

use std::time::Duration;

use aws_sdk_dynamodb::{Client, types::PointInTimeRecoveryStatus};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::retry::{Patience, until_answered};

/// Whether a mistake could be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Point-in-time recovery is on.
    On,
    /// It is off.
    Off,
    /// The engine does not know such a thing.
    NoneHere,
}

impl Recovery {
    /// For reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::NoneHere => "none on this engine",
        }
    }
}

/// Whether the table can be brought back to an earlier moment.
///
/// # Errors
/// When the service refuses to say.
pub async fn recovery(
    client: &Client,
    table: &str,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<Recovery, Error> {
    let patience = Patience::new("DescribeContinuousBackups", patience);
    let output =
        until_answered(patience, stop, || client.describe_continuous_backups().table_name(table).send()).await?;
    let Some(output) = output else { return Ok(Recovery::NoneHere) };
    let status = output
        .continuous_backups_description()
        .and_then(|backups| backups.point_in_time_recovery_description())
        .and_then(|recovery| recovery.point_in_time_recovery_status());
    Ok(if status == Some(&PointInTimeRecoveryStatus::Enabled) { Recovery::On } else { Recovery::Off })
}

/// Refuses a table that cannot be brought back to an earlier moment; programs with `--force` pass over it.
///
/// # Errors
/// When it cannot, or the service refuses to say.
pub async fn require_recovery(
    client: &Client,
    table: &str,
    patience: Duration,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let why = match recovery(client, table, patience, stop).await? {
        Recovery::On => return Ok(()),
        Recovery::Off => {
            format!("table `{table}` has no point-in-time recovery, so a mistake could not be undone; turn it on")
        }
        Recovery::NoneHere => {
            "this engine has no point-in-time recovery, so a mistake could not be undone; copy the data".to_owned()
        }
    };
    Err(Error::Guard(format!("{why}, or go on with --force")))
}
