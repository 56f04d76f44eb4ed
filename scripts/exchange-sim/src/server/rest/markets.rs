//! Lists of what is traded: `/markets/`, and two older lists that other clients ask for.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use crate::model::market::Market;
use crate::server::rest::{Rest, json_text};

/// Answers `/markets/`.
pub(super) async fn markets(State(rest): State<Rest>) -> Response {
    list(&rest, |market| {
        json!({
            "name": market.pair(),
            "market_symbol": market.name,
            "base_currency": market.base,
            "base_decimals": market.amount_decimals,
            "counter_currency": market.counter,
            "counter_decimals": market.price_decimals,
            "minimum_order_value": "10",
            "trading": "Enabled",
            "instant_and_market_orders": "Enabled",
            "description": description(market),
            "market_type": if market.perpetual { "PERPETUAL" } else { "SPOT" },
        })
    })
}

/// Answers `/trading-pairs-info/`, the older list of spot markets.
pub(super) async fn trading_pairs(State(rest): State<Rest>) -> Response {
    list(&rest, |market| {
        if market.perpetual {
            return Value::Null;
        }
        json!({
            "trading": "Enabled",
            "base_decimals": market.amount_decimals,
            "url_symbol": market.name,
            "name": market.pair(),
            "instant_and_market_orders": "Enabled",
            "minimum_order": format!("10.0 {}", market.counter),
            "counter_decimals": market.price_decimals,
            "description": description(market),
        })
    })
}

/// Answers `/currencies/`: the currencies of all markets, each once.
pub(super) async fn currencies(State(rest): State<Rest>) -> Response {
    let mut decimals = BTreeMap::new();
    {
        let state = rest.exchange.lock();
        for market in state.flow.iter().flat_map(|flow| &flow.markets).map(|market_state| &market_state.market) {
            decimals.entry(market.counter.clone()).or_insert(market.price_decimals);
            decimals.insert(market.base.clone(), market.amount_decimals);
        }
    }
    let rows: Vec<Value> = decimals.into_iter().map(|(currency, decimals)| currency_row(&currency, decimals)).collect();
    json_text(Value::from(rows).to_string())
}

fn currency_row(currency: &str, decimals: u32) -> Value {
    let is_fiat = matches!(currency, "USD" | "EUR" | "GBP");
    let networks = json!([{
        "network": currency.to_lowercase(),
        "withdrawal_minimum_amount": "0.00010000",
        "withdrawal_decimals": decimals,
        "deposit": "Enabled",
        "withdrawal": "Enabled",
    }]);
    json!({
        "name": currency,
        "currency": currency,
        "type": if is_fiat { "fiat" } else { "crypto" },
        "symbol": currency,
        "decimals": decimals,
        "deposit": "Enabled",
        "withdrawal": "Enabled",
        "networks": if is_fiat { json!([]) } else { networks },
    })
}

fn description(market: &Market) -> String {
    format!("{} / {}", market.base, market.counter)
}

/// Answers with one row for each market that is listed, without those that are null.
fn list(rest: &Rest, row: impl Fn(&Market) -> Value) -> Response {
    let state = rest.exchange.lock();
    let markets = state.flow.iter().flat_map(|flow| &flow.markets).map(|market_state| &market_state.market);
    let rows = markets.filter(|market| !state.broadcaster.is_delisted(&market.name)).map(row);
    json_text(Value::from(rows.filter(|row| !row.is_null()).collect::<Vec<_>>()).to_string())
}
