//! Requests and answers of every route in their simplest form.

use crate::support::{Service, stored, trade};

const T: u64 = 1_647_817_207_170_000;

#[tokio::test]
async fn a_stored_trade_comes_back_with_every_digit() {
    let service = Service::start().await;
    service.put(vec![stored(&trade(2_001_939_623_936_278_528, T), T + 5)]).await;
    for path in ["/bitstamp", "/prod/bitstamp"] {
        let (status, body) = service.json(&format!("{path}?channel=live_trades_btcusd&from={T}&to={T}")).await;
        assert_eq!(status, 200);
        assert_eq!(
            serde_json::to_string(&body["Items"]).unwrap(),
            concat!(
                r#"[{"amount":0.00310009,"amount_str":"0.00310009","buy_order_id":1647817207170000,"#,
                r#""buy_order_id_str":"1647817207170000","channel":"live_trades_btcusd","event":"trade","#,
                r#""id":2001939623936278528,"id_str":"2001939623936278528","microtimestamp":"1647817207170000","#,
                r#""nmicrotimestamp":1647817207170000,"price":29422,"price_str":"29422","received_at":1647817207170005,"#,
                r#""sell_order_id":1647817207170001,"sell_order_id_str":"1647817207170001","timestamp":"1647817207","type":0}]"#
            )
        );
        assert_eq!((&body["Count"], &body["ScannedCount"]), (&1.into(), &1.into()));
        let unknown = serde_json::json!({ "from": T, "through": T, "state": "unknown", "reason": null });
        assert_eq!(body["Gaps"], serde_json::json!([unknown]));
        assert!(!body.contains_key("LastEvaluatedKey"));
    }
}

#[tokio::test]
async fn an_empty_range_is_an_empty_page() {
    let service = Service::start().await;
    let (status, body) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&from={T}&to={T}")).await;
    assert_eq!((status, body["Items"].as_array().unwrap().len()), (200, 0));
}

#[tokio::test]
async fn pages_follow_the_token_and_the_link() {
    let service = Service::start().await;
    service.put((0..5).map(|n| stored(&trade(n, T + n / 2), T + n)).collect()).await;
    for (order, expected) in [("asc", [0, 1, 2, 3, 4]), ("desc", [4, 3, 2, 1, 0])] {
        let mut ids = Vec::new();
        let mut path = format!("/bitstamp?channel=live_trades_btcusd&limit=2&order={order}");
        loop {
            let response = service.get(&path).await;
            let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
            let body: serde_json::Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            ids.extend(body["Items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()));
            let Some(token) = body["LastEvaluatedKey"].as_str() else {
                assert_eq!(link, None);
                break;
            };
            let target =
                link.as_deref().and_then(|link| link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")).unwrap();
            assert!(target.ends_with(&format!("&ExclusiveStartKey={token}")), "{target}");
            path = format!("/bitstamp{target}");
        }
        assert_eq!(ids, expected);
    }
}

#[tokio::test]
async fn every_wrong_parameter_is_named_at_once() {
    let service = Service::start().await;
    let (status, body) = service
        .json(
            "/bitstamp?chanel=live_trades_btcusd&from=1647817207&to=never&limit=0&order=up&limit=3&ExclusiveStartKey=x",
        )
        .await;
    assert_eq!(status, 400);
    assert_eq!(body["type"], "wrong-parameters");
    let named = body["errors"].as_array().unwrap().iter().map(|error| error["parameter"].as_str().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), ["chanel", "limit", "channel", "from", "to", "order", "limit"]);
    assert!(body["errors"][0]["reason"].as_str().unwrap().contains("did you mean `channel`"));
    assert!(body["errors"][3]["reason"].as_str().unwrap().contains("1647817207000000"));
}

#[tokio::test]
async fn a_token_of_another_query_is_refused() {
    let service = Service::start().await;
    service.put((0..3).map(|n| stored(&trade(n, T + n), T)).collect()).await;
    let path = format!("/bitstamp?channel=live_trades_btcusd&limit=1&from={T}");
    let (_, body) = service.json(&path).await;
    let token = body["LastEvaluatedKey"].as_str().unwrap();
    let (status, _) = service.json(&format!("{path}&ExclusiveStartKey={token}")).await;
    assert_eq!(status, 200);
    for other in ["&order=desc", "&to=1647817207170009"] {
        let (status, body) = service.json(&format!("{path}{other}&ExclusiveStartKey={token}")).await;
        assert_eq!((status, &body["errors"][0]["parameter"]), (400, &"ExclusiveStartKey".into()));
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_problems_too() {
    let service = Service::start().await;
    let (status, body) = service.json("/prod/nothing").await;
    assert_eq!((status, &body["type"]), (404, &"no-such-path".into()));
    let response = reqwest::Client::new().post(format!("{}/bitstamp", service.url)).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(service.json("/health").await.0, 200);
    assert_eq!(service.json("/prod/health").await.0, 200);
}
