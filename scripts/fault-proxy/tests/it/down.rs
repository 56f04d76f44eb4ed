//! Outages of the endpoint.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use fault_proxy::config::Outage;
use fault_proxy::mix::Fault;

use crate::support::{TABLE, setup};

#[tokio::test]
async fn the_endpoint_goes_down_in_five_ways_and_comes_back() {
    let setup = setup(31, |_| ()).await;
    let scan = || setup.client.scan().table_name(TABLE).send();
    scan().await.unwrap();
    setup.proxy.set_down(Some(Outage::Refuse));
    for _ in 0..3 {
        let error = scan().await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    }
    setup.proxy.set_down(Some(Outage::Mute));
    let error = scan().await.unwrap_err();
    assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
    setup.proxy.set_down(Some(Outage::Unavailable));
    let error = scan().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
    setup.proxy.set_down(Some(Outage::Denied));
    let error = scan().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("AccessDeniedException"));
    setup.proxy.set_down(Some(Outage::WrongIndex));
    scan().await.unwrap();
    let put = setup.client.put_item().table_name(TABLE).item("id", AttributeValue::S("1".to_owned()));
    let error = put.send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("ValidationException"));
    assert!(error.message().unwrap().contains("Type mismatch for Index Key"), "{error:?}");
    setup.proxy.set_down(None);
    scan().await.unwrap();
    assert!(setup.proxy.counts().fault(Fault::Down) >= 4);
    setup.proxy.shutdown().await;
}

#[tokio::test]
async fn a_canned_answer_stands_for_an_engine_that_lacks_something() {
    let unknown = r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#;
    let setup = setup(33, |config| {
        config.canned.insert("Scan".to_owned(), (400, unknown.to_owned()));
    })
    .await;
    let error = setup.client.scan().table_name(TABLE).send().await.unwrap_err().into_service_error();
    assert_eq!(error.code(), Some("UnknownOperationException"));
    setup.client.describe_table().table_name(TABLE).send().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_a_closed_connection() {
    let setup = setup(32, |config| config.upstream = "http://127.0.0.1:1".to_owned()).await;
    let error = setup.client.scan().table_name(TABLE).send().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(setup.proxy.counts().fault(Fault::Upstream), 1);
}
