//! Why an attempt did not fill a gap.

use crate::exchange::markets::MarketsError;
use crate::exchange::rest::RestError;

/// Why an attempt did not fill a gap.
#[derive(Debug)]
pub(super) enum FillError {
    /// The table cannot prove yet what surrounds the gap; later events may.
    NotYet(&'static str),
    /// The exchange or the store did not answer, or not about the request.
    Later(String),
    /// The exchange refuses the request, or its history does not reach the gap.
    Refused(String),
}

impl From<RestError> for FillError {
    fn from(error: RestError) -> FillError {
        match error {
            RestError::Refused { .. } => FillError::Refused(error.to_string()),
            RestError::Unreachable(_) | RestError::Unavailable(_) | RestError::Paused(_) | RestError::Unreadable(_) => {
                FillError::Later(error.to_string())
            }
        }
    }
}

impl From<MarketsError> for FillError {
    fn from(error: MarketsError) -> FillError {
        FillError::Later(error.to_string())
    }
}
