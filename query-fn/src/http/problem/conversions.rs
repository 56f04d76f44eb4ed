//! What an error of the query or of a token means for the caller, as a [`Problem`].

use super::{Fault, Kind, Problem};
use crate::http::token::{InvalidToken, NoKey};
use crate::query::candles::ReadError;
use crate::query::channels::{ChannelError, MAX_CHANNELS};
use crate::query::store::{AccessFault, StoreError};

impl From<StoreError> for Problem {
    /// Logs what only the operator may see, and tells the client the rest.
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Busy(reason) => {
                tracing::warn!(reason, "store did not answer");
                Problem::busy(format!("the store did not answer in time ({reason}); try again in a moment"))
            }
            StoreError::Refused(reason) => {
                tracing::error!(reason, "store refused the query");
                Problem::setup(format!("the store refused the query ({reason}); this service is set up wrongly"))
            }
            StoreError::Damaged(error) => {
                tracing::error!(%error, "block is damaged");
                Problem::damaged(&error.to_string())
            }
            StoreError::Access(fault) => {
                tracing::error!(%fault, "store does not accept this service");
                let kind = match fault {
                    AccessFault::Credentials => Kind::NoCredentials,
                    AccessFault::Expired => Kind::ExpiredCredentials,
                    AccessFault::Clock => Kind::WrongClock,
                };
                Problem::access(kind, &fault.to_string())
            }
            StoreError::Denied { permission, resource, said } => {
                tracing::error!(permission, resource, said, "permission is missing");
                Problem::setup(format!(
                    "the role of this service lacks the permission {permission} on the {resource}; who runs it has to add it"
                ))
            }
        }
    }
}

impl From<ChannelError> for Problem {
    fn from(error: ChannelError) -> Problem {
        match error {
            ChannelError::Unknown { name, suggestions } => Problem::no_channel(&name, suggestions),
            ChannelError::TooMany(count) => {
                let reason = format!("{count} channels fit; one request reads at most {MAX_CHANNELS}");
                Problem::parameters(vec![Fault { parameter: "channel".to_owned(), reason }])
            }
            ChannelError::Store(error) => error.into(),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error {
            ReadError::Store(error) => error.into(),
            ReadError::Progress(error) => InvalidToken::from(error).into(),
        }
    }
}

impl From<NoKey> for Problem {
    fn from(error: NoKey) -> Problem {
        tracing::error!(%error, "cannot issue a token");
        Problem::setup(error.to_string())
    }
}

impl From<InvalidToken> for Problem {
    fn from(error: InvalidToken) -> Problem {
        let parameter = "ExclusiveStartKey".to_owned();
        Problem::parameters(vec![Fault { parameter, reason: error.to_string() }])
    }
}
