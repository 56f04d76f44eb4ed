//! A window of the last keys, with the first value noted for each.

use std::collections::{HashMap, VecDeque};

/// A window of the latest keys, each a 128-bit hash, with the first value noted for each.
///
/// With a million keys a second the chance that one is ever taken for another in a century is below 10^-17.
#[derive(Debug)]
pub struct Recent<V> {
    first: HashMap<u128, V>,
    order: VecDeque<u128>,
    most: usize,
}

impl<V: Copy> Recent<V> {
    /// Creates a window of at most `most` keys.
    #[must_use]
    pub fn new(most: usize) -> Recent<V> {
        Recent { first: HashMap::new(), order: VecDeque::new(), most }
    }

    /// Returns the first value noted for the key; notes `value` and returns `None` if the key is not in the window.
    pub fn get_or_insert(&mut self, key: u128, value: V) -> Option<V> {
        if let Some(first) = self.first.get(&key) {
            return Some(*first);
        }
        self.first.insert(key, value);
        self.order.push_back(key);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.first.remove(&oldest);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_window_slides() {
        let mut recent = Recent::new(100);
        for key in 0..=100 {
            assert_eq!(recent.get_or_insert(key, key), None);
        }
        assert_eq!((recent.first.len(), recent.order.len()), (100, 100));
        assert_eq!(recent.get_or_insert(100, 7), Some(100), "the first value stays");
        assert_eq!(recent.get_or_insert(0, 7), None, "the oldest has left the window");
    }
}
