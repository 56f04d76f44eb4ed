//! Sends one call and tells what became of each of its changes.

use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{ConsumedCapacity, ReturnConsumedCapacity},
};

use crate::answer::{Outcome, of_statement};
use crate::apply::Writer;
use crate::error::Error;
use crate::examine::Change;
use crate::limit::Reservation;
use crate::progress::as_f64;
use crate::retry::{Class, class, refused};
use crate::statement::{partiql, update_item};
use crate::written::Written;

impl Writer {
    /// Sends one `BatchExecuteStatement`.
    pub(super) async fn send_batch(
        &self,
        batch: &[Change],
        reservation: Reservation,
        sum: &mut Written,
    ) -> Result<Vec<Outcome>, Error> {
        let statements = batch.iter().map(|change| partiql(&self.table, &self.classifier, change)).collect();
        let call = self
            .client
            .batch_execute_statement()
            .set_statements(Some(statements))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match call.send().await {
            Ok(output) => {
                let outcomes: Vec<Outcome> = output.responses().iter().map(of_statement).collect();
                let reported = output.consumed_capacity.as_deref().map(|tables| tables.iter().filter_map(units).sum());
                let failed = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Throttled(_)));
                // Where every statement failed the service reports nothing.
                let consumed = reported.unwrap_or_else(|| if failed { 0.0 } else { reservation.units() });
                let throttled = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Throttled(_))).count();
                self.limiter.settle(reservation, batch.len(), consumed, share(throttled, batch.len()));
                sum.units += consumed;
                Ok(outcomes)
            }
            Err(error) => self.whole_call(class(&error), batch.len(), reservation),
        }
    }

    /// A batch of one, by `UpdateItem`.
    pub(super) async fn send_single(
        &self,
        batch: &[Change],
        reservation: Reservation,
        sum: &mut Written,
    ) -> Result<Vec<Outcome>, Error> {
        let Some(change) = batch.first() else { return Ok(Vec::new()) };
        match update_item(&self.client, &self.table, &self.classifier, change).send().await {
            Ok(output) => {
                let consumed = output.consumed_capacity().and_then(units).unwrap_or_else(|| reservation.units());
                self.limiter.settle(reservation, 1, consumed, 0.0);
                sum.units += consumed;
                Ok(vec![Outcome::Written])
            }
            Err(SdkError::ServiceError(failed)) if failed.err().is_conditional_check_failed_exception() => {
                let consumed = reservation.units();
                self.limiter.settle(reservation, 1, consumed, 0.0);
                let UpdateItemError::ConditionalCheckFailedException(failed) = failed.into_err() else {
                    return Ok(vec![Outcome::Changed(None)]);
                };
                Ok(vec![Outcome::Changed(failed.item.filter(|item| !item.is_empty()))])
            }
            Err(error) => match class(&error) {
                Class::Never(code, message) if code == "ValidationException" => {
                    self.limiter.settle(reservation, 0, 0.0, 0.0);
                    Ok(vec![Outcome::Refused(message)])
                }
                class => self.whole_call(class, 1, reservation),
            },
        }
    }

    /// A call that failed as a whole says the same about each of its changes.
    fn whole_call(&self, class: Class, count: usize, reservation: Reservation) -> Result<Vec<Outcome>, Error> {
        let outcome = match class {
            Class::Throttled(why) => {
                self.limiter.settle(reservation, 0, 0.0, 1.0);
                Outcome::Throttled(why)
            }
            Class::Transient(why) => {
                // It may have taken effect: the charge stands.
                let charged = reservation.units();
                self.limiter.settle(reservation, 0, charged, 0.0);
                Outcome::Transient(why)
            }
            Class::Unknown if !self.single.swap(true, Ordering::Relaxed) => {
                tracing::info!("the engine has no partiql, going on with single updates");
                self.limiter.settle(reservation, 0, 0.0, 0.0);
                Outcome::Transient("no PartiQL here".to_owned())
            }
            Class::Unknown => Outcome::Transient("no PartiQL here".to_owned()),
            Class::Never(code, message) => return Err(refused(self.operation(), code, message)),
        };
        Ok(vec![outcome; count])
    }
}

fn units(consumed: &ConsumedCapacity) -> Option<f64> {
    consumed.capacity_units
}

fn share(part: usize, whole: usize) -> f64 {
    as_f64(part as u64) / as_f64(whole.max(1) as u64)
}
