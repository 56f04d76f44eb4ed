//! Replaces the SDK's deserializer of Query responses with [`Answer`]; endpoint, signing, connection, retries and errors stay the SDK's.

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimePlugin, http::HttpResponse, interceptors::BeforeSerializationInterceptorContextRef,
    },
    error::BoxError,
    operation::query::{Query, QueryOutput},
};
use aws_smithy_runtime_api::client::{
    interceptors::context::{Error, Output},
    orchestrator::OrchestratorError,
    ser_de::{DeserializeResponse, SharedResponseDeserializer},
};
use codec::answer::Answer;
use std::sync::{Arc, Mutex, PoisonError};

/// Deserializes the response of the one call that it intercepts, and keeps the result; the call's own output is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct QueryDeserializer {
    answer: Arc<Mutex<Option<Answer>>>,
}

impl QueryDeserializer {
    /// Takes the deserialized response; returns `None` before the call has succeeded.
    pub(super) fn take(&self) -> Option<Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Intercept for QueryDeserializer {
    fn name(&self) -> &'static str {
        "query deserializer"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(SharedResponseDeserializer::new(self.clone()));
        Ok(())
    }
}

impl DeserializeResponse for QueryDeserializer {
    fn deserialize_nonstreaming_with_config(
        &self,
        response: &HttpResponse,
        config: &ConfigBag,
    ) -> Result<Output, OrchestratorError<Error>> {
        if !response.status().is_success() {
            let sdk = Query::new().config().ok_or_else(|| OrchestratorError::other("the sdk has no reader"))?;
            let sdk = sdk.load::<SharedResponseDeserializer>();
            let sdk = sdk.ok_or_else(|| OrchestratorError::other("the sdk has no reader"))?;
            return sdk.deserialize_nonstreaming_with_config(response, config);
        }
        let body = response.body().bytes().ok_or_else(|| OrchestratorError::other("the body is not in memory"))?;
        let answer = Answer::parse(body).map_err(|error| OrchestratorError::response(error.into()))?;
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(Output::erase(QueryOutput::builder().build()))
    }
}
