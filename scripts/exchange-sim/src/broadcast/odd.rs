//! Events whose times cannot be.

use crate::broadcast::Broadcaster;
use crate::clock::wall_micros;

/// Ids of such events begin here, far from those of the flow.
const ODD_IDS: u64 = 1 << 60;

impl Broadcaster {
    /// Sends trades whose times cannot be.
    pub(super) fn odd_times(&mut self, count: u32) {
        let Some(channel) = self.first_channel("live_trades_") else { return };
        for _ in 0..count {
            self.garbage += 1;
            let now = wall_micros();
            let times = [4_102_444_800_000_000, 1 << 63, u64::MAX, now * 1_000, 1];
            let time = times
                .into_iter()
                .cycle()
                .nth(usize::try_from(self.garbage % 5).unwrap_or_default())
                .unwrap_or_default();
            self.trade(&channel, now, time, 1);
        }
    }

    /// Sends pairs of different events that have an id and a microsecond in common: two trades, two order events of one `event_id`
    /// in the exchange's form, two order events of one `event_id` in another form; in turn.
    pub(super) fn same_keys(&mut self, count: u32) {
        let (trades, orders) = (self.first_channel("live_trades_"), self.first_channel("live_orders_"));
        for number in 0..count {
            self.garbage += 1;
            let now = wall_micros();
            let (high, mid, low) = (now >> 32, (now >> 16) & 0xffff, now & 0xffff);
            let named = format!("{high:08x}-{mid:04x}-{low:04x}-ffff-000100000020");
            for (price, event) in [(1, "order_created"), (2, "order_deleted")] {
                match (number % 3, &trades, &orders) {
                    (0, Some(trades), _) => self.trade(trades, now, now, price),
                    (1, _, Some(orders)) => self.order(orders, event, now, &named),
                    (2, _, Some(orders)) => self.order(orders, event, now, "00000000-0000-7000-8000-000000000020"),
                    _ => {}
                }
            }
        }
    }

    fn first_channel(&self, prefix: &str) -> Option<String> {
        self.routes.keys().filter(|channel| channel.starts_with(prefix)).min().cloned()
    }

    fn trade(&mut self, channel: &str, now: u64, time: u64, price: u32) {
        let text = format!(
            r#"{{"data":{{"id":{},"timestamp":"{}","amount":1,"amount_str":"1","price":{price},"price_str":"{price}","type":0,"microtimestamp":"{time}","buy_order_id":1,"sell_order_id":2}},"channel":"{channel}","event":"trade"}}"#,
            ODD_IDS + self.garbage,
            now / 1_000_000,
        );
        self.dispatch(channel, text, now);
    }

    fn order(&mut self, channel: &str, event: &str, now: u64, event_id: &str) {
        let id = ODD_IDS + self.garbage;
        let text = format!(
            r#"{{"data":{{"id":{id},"id_str":"{id}","order_type":0,"order_subtype":0,"datetime":"{}","microtimestamp":"{now}","amount":1,"amount_str":"1","amount_traded":"0","amount_at_create":"1","price":1,"price_str":"1","is_liquidation":false}},"channel":"{channel}","event":"{event}","event_id":"{event_id}","order_source":"orderbook"}}"#,
            now / 1_000_000,
        );
        self.dispatch(channel, text, now);
    }
}
