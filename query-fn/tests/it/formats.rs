//! JSON, NDJSON, CSV; gzip and zstd; `fields`; what a cache may keep.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use serde_json::json;
use std::io::Read;

use crate::support::{Service, stored, trade};

const T: u64 = 1_647_817_207_170_000;

async fn service() -> Service {
    let service = Service::start().await;
    service.put((0..40).map(|n| stored(&trade(n, T + n), T + n)).collect()).await;
    service
}

#[tokio::test]
async fn lines_are_events_and_the_token_is_in_the_headers() {
    let service = service().await;
    for (query, header) in [("&format=ndjson", "*/*"), ("", "application/x-ndjson")] {
        let url = format!("{}/bitstamp?channel=live_trades_btcusd&limit=3{query}", service.url);
        let response = service.http.get(url).header("accept", header).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let token = response.headers()["last-evaluated-key"].to_str().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(events.iter().all(|event| event["event"] == "trade"), "{text}");
        assert!((1..=3).contains(&events.len()));
        assert_eq!(events[0]["id"], 0);
        let (_, rest) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&ExclusiveStartKey={token}")).await;
        assert_eq!(rest["Items"][0]["id"], events.len());
    }
}

#[tokio::test]
async fn csv_has_the_columns_of_the_family() {
    let service = service().await;
    let response = service.get("/bitstamp?channel=live_trades_btcusd&limit=1&format=csv").await;
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    assert!(response.headers().contains_key("last-evaluated-key"));
    let expected = concat!(
        "channel,event,time,nmicrotimestamp,received_at,id,id_str,type,price_str,amount_str,price,amount,",
        "buy_order_id,buy_order_id_str,sell_order_id,sell_order_id_str,timestamp,microtimestamp,more\r\n",
        "live_trades_btcusd,trade,2022-03-20T23:00:07.170000Z,1647817207170000,1647817207170000,0,0,0,29422,",
        "0.00310009,29422,0.00310009,1647817207170000,1647817207170000,1647817207170001,1647817207170001,",
        "1647817207,1647817207170000,\r\n",
    );
    assert_eq!(response.text().await.unwrap(), expected);
    let response = service.get("/bitstamp?channel=live_trades_btcusd&limit=1&format=csv&fields=price_str,id_str").await;
    assert_eq!(response.text().await.unwrap(), "price_str,id_str\r\n29422,0\r\n");
}

#[tokio::test]
async fn every_format_has_the_time_where_it_is_asked_for() {
    let service = service().await;
    let path = "/bitstamp?channel=live_trades_btcusd&limit=1&fields=id,time";
    let (_, body) = service.json(path).await;
    assert_eq!(body["Items"][0], json!({ "id": 0, "time": "2022-03-20T23:00:07.170000Z" }));
    let response = service.get(&format!("{path}&format=csv")).await;
    assert!(!response.headers().contains_key("unknown-fields"));
    assert_eq!(response.text().await.unwrap(), "id,time\r\n0,2022-03-20T23:00:07.170000Z\r\n");
    // An attribute of this name is the event's own.
    let own =
        r#"{"channel":"other_channel","event":"data","data":{"id":9,"microtimestamp":"1647817207170001","time":7}}"#;
    service.put(vec![stored(own, T)]).await;
    let (_, body) = service.json("/bitstamp?channel=other_channel&fields=id,time").await;
    assert_eq!(body["Items"][0], json!({ "id": 9, "time": 7 }));
    let text = service.get("/bitstamp?channel=other_channel&format=csv").await.text().await.unwrap();
    assert!(text.contains("other_channel,data,7,1647817207170001,"), "{text}");
}

#[tokio::test]
async fn every_attribute_of_a_family_is_in_a_column_or_in_more() {
    let service = Service::start().await;
    // Not below 10^-6: from there on engines spell numbers differently.
    let message = r#"{"data":{"bids":[["1.50","2"]],"asks":[],"timestamp":"1647817207","microtimestamp":"1647817207170001","new":{"a":[0.00000125]}},"channel":"order_book_btcusd","event":"data"}"#;
    service.put(vec![stored(message, T)]).await;
    let response = service.get("/bitstamp?channel=order_book_btcusd&format=csv").await;
    let text = response.text().await.unwrap();
    let line = text.lines().nth(1).unwrap();
    assert!(line.contains(r#""[[""1.50"",""2""]]",[],"#), "{line}");
    assert!(
        line.ends_with(r#","{""derived"":[""id""],""id"":1647817207170001,""new"":{""a"":[0.00000125]}}""#),
        "{line}"
    );
}

#[tokio::test]
async fn fields_choose_and_keep_the_rest_out() {
    let service = service().await;
    let (_, body) = service.json("/bitstamp?channel=live_trades_btcusd&limit=1&fields=price_str,id,price_str").await;
    assert_eq!(serde_json::to_string(&body["Items"]).unwrap(), r#"[{"id":0,"price_str":"29422"}]"#);
    for wrong in ["", "id,,price", &"x".repeat(2_001)] {
        let (status, body) = service.json(&format!("/channels?fields={wrong}")).await;
        assert_eq!((status, &body["errors"][0]["parameter"]), (400, &"fields".into()));
    }
}

#[tokio::test]
async fn answers_are_compressed_as_asked() {
    let service = Service::start().await;
    // Small pages are not compressed: one event is enough, wherever the page ends.
    let padded = |n: u64| {
        trade(n, T + n).replacen("\"data\":{", &format!("\"data\":{{\"padding\":\"{}\",", "x".repeat(9_000)), 1)
    };
    service.put((0..40).map(|n| stored(&padded(n), T + n)).collect()).await;
    let url = format!("{}/bitstamp?channel=live_trades_btcusd", service.url);
    let plain = service.http.get(&url).send().await.unwrap().bytes().await.unwrap();
    for coding in ["gzip", "zstd"] {
        let response = service.http.get(&url).header("accept-encoding", coding).send().await.unwrap();
        assert_eq!(response.headers()["content-encoding"], coding);
        let body = response.bytes().await.unwrap();
        assert!(body.len() < plain.len() / 3);
        let mut decoded = Vec::new();
        match coding {
            "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut decoded).unwrap(),
            _ => zstd::stream::read::Decoder::new(&body[..]).unwrap().read_to_end(&mut decoded).unwrap(),
        };
        assert_eq!(decoded, plain);
    }
}

#[tokio::test]
async fn closed_ranges_are_kept_for_ever_and_open_ones_not_at_all() {
    let service = service().await;
    let open = service.get("/bitstamp?channel=live_trades_btcusd").await;
    assert_eq!(open.headers()["cache-control"], "no-store");
    assert!(!open.headers().contains_key("etag"));

    let path = format!("/bitstamp?channel=live_trades_btcusd&from={T}&to={}&limit=2", T + 100);
    let closed = service.get(&path).await;
    assert_eq!(closed.headers()["cache-control"], "max-age=31536000, immutable");
    assert_eq!(closed.headers()["vary"], "accept, accept-encoding");
    let etag = closed.headers()["etag"].to_str().unwrap().to_owned();
    assert!(etag.starts_with('"'), "a strong validator: {etag}");

    let ask = |path: String, tag: String| service.http.get(path).header("if-none-match", tag).send();
    let again = ask(format!("{}{path}", service.url), format!("\"other\", {etag}")).await.unwrap();
    assert_eq!((again.status().as_u16(), &again.headers()["etag"].to_str().unwrap()), (304, &etag.as_str()));
    for other in ["&order=desc", "&format=csv", "&fields=id"] {
        let other = ask(format!("{}{path}{other}", service.url), etag.clone()).await.unwrap();
        assert_eq!(other.status(), 200);
        assert_ne!(other.headers()["etag"], etag);
    }
}

#[tokio::test]
async fn a_known_answer_is_confirmed_without_reading_the_table() {
    let service = service().await;
    let path = format!("{}/bitstamp?channel=live_trades_btcusd&from={T}&to={}", service.url, T + 100);
    let etag = service.http.get(&path).send().await.unwrap().headers()["etag"].clone();
    service.store.delete_table().table_name(&service.table).send().await.unwrap();
    let again = service.http.get(&path).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(service.http.get(&path).send().await.unwrap().status(), 502);
}

#[tokio::test]
async fn an_unwanted_format_is_not_acceptable() {
    let service = service().await;
    let url = format!("{}/bitstamp?channel=live_trades_btcusd", service.url);
    let response = service.http.get(url).header("accept", "image/png").send().await.unwrap();
    assert_eq!(response.status(), 406);
}

#[tokio::test]
async fn head_and_options_answer_as_browsers_and_caches_need() {
    let service = service().await;
    let url = format!("{}/prod/bitstamp?channel=live_trades_btcusd", service.url);
    let get = service.http.get(&url).send().await.unwrap();
    let head = service.http.head(&url).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], get.headers()["content-length"]);
    assert_eq!(head.text().await.unwrap(), "");
    let preflight = service
        .http
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", "https://example.com")
        .header("access-control-request-method", "GET")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 200);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    let url = service.router_with(|config| config.cors_origins = vec!["https://example.com".parse().unwrap()]).await;
    let url = format!("{url}/bitstamp?channel=live_trades_btcusd");
    let cross = service.http.get(&url).header("origin", "https://example.com").send().await.unwrap();
    assert_eq!(cross.headers()["access-control-allow-origin"], "https://example.com");
    assert_eq!(cross.headers().get_all("vary").iter().count(), 1, "a second one would be lost behind HTTP APIs");
    let exposed = cross.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(exposed.contains("link") && exposed.contains("x-read-units"), "{exposed}");
}

/// Whatever attribute another program has put on an item, its page and its neighbours are shown.
#[tokio::test]
async fn every_type_of_attribute_has_a_form() {
    let service = Service::start().await;
    let mut foreign = stored(&trade(1, T + 1), T);
    let text = |text: &str| text.to_owned();
    foreign.extend([
        (text("b"), AttributeValue::B(Blob::new([0, 255]))),
        (text("bs"), AttributeValue::Bs(vec![Blob::new([7])])),
        (text("ss"), AttributeValue::Ss(vec![text("x")])),
        (text("ns"), AttributeValue::Ns(vec![text("1.5")])),
        (text("m"), AttributeValue::M([(text("$json"), AttributeValue::S(text("not json")))].into())),
    ]);
    service.put(vec![stored(&trade(0, T), T), foreign, stored(&trade(2, T + 2), T)]).await;
    let expected = r#""b":"AP8=","bs":["Bw=="]"#;
    let path = format!("/bitstamp?channel=live_trades_btcusd&from={from}&to={from}", from = T + 1);
    let (status, body) = service.json(&path).await;
    assert_eq!((status, &body["Count"]), (200, &1.into()));
    let shown = body["Items"][0].to_string();
    assert!(shown.contains(expected) && shown.contains(r#""m":{"$json":"not json"}"#), "{shown}");
    assert!(shown.contains(r#""ns":[1.5]"#) && shown.contains(r#""ss":["x"]"#), "{shown}");
    let export = service.get("/export?channel=live_trades_btcusd").await.text().await.unwrap();
    assert!(export.contains(expected) && export.lines().count() == 3, "{export}");
    let csv = service.get("/export?channel=live_trades_btcusd&format=csv").await.text().await.unwrap();
    assert!(csv.contains(r#""{""b"":""AP8="",""bs"":[""Bw==""],"#) && csv.lines().count() == 4, "{csv}");
}
