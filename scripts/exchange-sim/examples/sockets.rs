//! How much one client takes off a real socket: `cargo run --release -p exchange-sim --example sockets -- RATE SECONDS`.
//!
//! Prints the frames received and what was still queued at the end; nothing here is a test.

use std::time::Duration;

use exchange_sim::Config;
use exchange_sim::Simulator;
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the figures are the output")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rate = arguments.next().map_or(Ok(50.0), |text| text.parse())?;
    let seconds = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let simulator = Simulator::start(Config { rate, ..Config::default() }).await?;
    let (mut socket, _) = connect_async(simulator.ws_url()).await?;
    for channel in ["live_orders_btcusd", "live_trades_btcusd", "live_orders_ethusd", "live_trades_ethusd"] {
        let message = format!(r#"{{"event":"bts:subscribe","data":{{"channel":"{channel}"}}}}"#);
        socket.send(Message::text(message)).await?;
    }
    let (mut frames, mut bytes) = (0_u64, 0_usize);
    let end = Instant::now() + Duration::from_secs(seconds);
    while let Ok(Some(message)) = timeout_at(end, socket.next()).await {
        frames += 1;
        bytes += message?.len();
    }
    simulator.pause();
    let (queued, emitted) = (simulator.queued(), simulator.emitted());
    println!(
        "rate {rate}: {frames} frames, {bytes} bytes in {seconds} s; {queued} bytes queued; {emitted} events on all markets"
    );
    simulator.shutdown().await;
    Ok(())
}
