//! Reads what became of each statement of a call.

use aws_sdk_dynamodb::types::{BatchStatementErrorCodeEnum as Code, BatchStatementResponse};

use crate::json::Item;

/// What became of one change.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Written.
    Written,
    /// The item is gone or another one than was read; this is what it is now, where the engine says so.
    Changed(Option<Item>),
    /// Nothing happened for want of capacity: once more.
    Throttled(String),
    /// Failed inside, perhaps after it took effect: once more.
    Transient(String),
    /// This item can never be written.
    Refused(String),
    /// No item can be written: code and message.
    Fatal(String, String),
}

/// Reads one statement's part of a 200: success of the call says nothing about the statement.
pub fn of_statement(response: &BatchStatementResponse) -> Outcome {
    let Some(error) = response.error() else { return Outcome::Written };
    let message = error.message().unwrap_or_default().to_owned();
    match error.code() {
        Some(Code::ConditionalCheckFailed) => Outcome::Changed(error.item().cloned().filter(|item| !item.is_empty())),
        Some(code @ (Code::ThrottlingError | Code::ProvisionedThroughputExceeded | Code::RequestLimitExceeded)) => {
            Outcome::Throttled(code.as_str().to_owned())
        }
        Some(code @ (Code::InternalServerError | Code::TransactionConflict)) => {
            Outcome::Transient(code.as_str().to_owned())
        }
        Some(code @ (Code::AccessDenied | Code::ResourceNotFound)) => Outcome::Fatal(code.as_str().to_owned(), message),
        Some(code) => Outcome::Refused(format!("{}: {message}", code.as_str())),
        None => Outcome::Transient(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::BatchStatementError;

    #[test]
    fn every_code_has_one_meaning() {
        let outcome = |code: &str| {
            let error = BatchStatementError::builder().code(Code::from(code)).message("why").build();
            of_statement(&BatchStatementResponse::builder().error(error).build())
        };
        for code in ["ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"] {
            assert!(matches!(outcome(code), Outcome::Throttled(_)), "{code}");
        }
        for code in ["InternalServerError", "TransactionConflict"] {
            assert!(matches!(outcome(code), Outcome::Transient(_)), "{code}");
        }
        for code in ["AccessDenied", "ResourceNotFound"] {
            assert!(matches!(outcome(code), Outcome::Fatal(..)), "{code}");
        }
        for code in ["ValidationError", "ItemCollectionSizeLimitExceeded", "DuplicateItem", "OfTheFuture"] {
            assert!(matches!(outcome(code), Outcome::Refused(_)), "{code}");
        }
        assert_eq!(outcome("ConditionalCheckFailed"), Outcome::Changed(None));
        assert_eq!(of_statement(&BatchStatementResponse::builder().build()), Outcome::Written);
    }
}
