use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::page::Position;

/// Issues and reads the tokens of pages.
///
/// A token is url-safe base64 of a version byte, the [`Position`] and an HMAC-SHA256 over both and the query that it belongs
/// to. It holds no key of the engine: reading on seeks by time, so nothing that a client sends is ever passed to the engine
/// as `ExclusiveStartKey`.
pub struct Signer {
    keys: Vec<Vec<u8>>,
}

const VERSION: u8 = 1;
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 32;
/// Separates the id from the sort key; ids are digits.
const SEPARATOR: u8 = b'|';

/// The token was not issued by this service for this query.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a token that this service issued for these parameters; send the last page's LastEvaluatedKey with the same channel, from, to and order"
)]
pub struct Forged;

impl Signer {
    /// The first key signs, all verify.
    #[must_use]
    pub fn new(keys: Vec<Vec<u8>>) -> Signer {
        Signer { keys }
    }

    /// A token for `position` that only `query` may use. `None` without a key.
    #[must_use]
    pub fn issue(&self, position: &Position, query: &str) -> Option<String> {
        let mut bytes = vec![VERSION];
        bytes.extend(position.time.to_be_bytes());
        bytes.extend(position.received_at.to_be_bytes());
        bytes.extend(position.id.as_bytes());
        bytes.push(SEPARATOR);
        bytes.extend(position.sort.as_bytes());
        let mac = mac(self.keys.first()?, &bytes, query).finalize().into_bytes();
        bytes.extend(mac);
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The position that was issued for `query`.
    ///
    /// # Errors
    ///
    /// [`Forged`] for everything that was not issued for it; the reason is not told.
    pub fn read(&self, token: &str, query: &str) -> Result<Position, Forged> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| Forged)?;
        let (signed, tag) = bytes.split_at_checked(bytes.len().saturating_sub(MAC_BYTES)).ok_or(Forged)?;
        if !self.keys.iter().any(|key| mac(key, signed, query).verify_slice(tag).is_ok()) {
            return Err(Forged);
        }
        parse(signed).ok_or(Forged)
    }
}

fn mac(key: &[u8], signed: &[u8], query: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("hmac takes keys of any length");
    mac.update(&(signed.len() as u64).to_be_bytes());
    mac.update(signed);
    mac.update(query.as_bytes());
    mac
}

fn parse(signed: &[u8]) -> Option<Position> {
    let rest = signed.strip_prefix(&[VERSION])?;
    let (time, rest) = rest.split_at_checked(TIME_BYTES)?;
    let (received_at, rest) = rest.split_at_checked(TIME_BYTES)?;
    let border = rest.iter().position(|byte| *byte == SEPARATOR)?;
    let (id, sort) = rest.split_at_checked(border)?;
    Some(Position {
        time: u64::from_be_bytes(time.try_into().ok()?),
        received_at: u64::from_be_bytes(received_at.try_into().ok()?),
        id: String::from_utf8(id.to_vec()).ok()?,
        sort: String::from_utf8(sort.strip_prefix(&[SEPARATOR])?.to_vec()).ok()?,
    })
}

/// A key for tokens that need not outlive the process.
#[must_use]
pub fn random_key() -> Vec<u8> {
    rand::random::<[u8; MAC_BYTES]>().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position { time: 1_647_817_207_170_000, received_at: 7, id: "2001939623936278528".into(), sort: "16|#x".into() }
    }

    #[test]
    fn what_was_issued_is_read() {
        let signer = Signer::new(vec![random_key()]);
        let token = signer.issue(&position(), "q").unwrap();
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{token}");
        assert_eq!(signer.read(&token, "q"), Ok(position()));
        assert_eq!(signer.read(&token, "another query"), Err(Forged));
    }

    #[test]
    fn a_replaced_key_still_verifies_and_a_dropped_one_does_not() {
        let (old, new) = (random_key(), random_key());
        let token = Signer::new(vec![old.clone()]).issue(&position(), "q").unwrap();
        assert_eq!(Signer::new(vec![new.clone(), old]).read(&token, "q"), Ok(position()));
        assert_eq!(Signer::new(vec![new]).read(&token, "q"), Err(Forged));
        assert_eq!(Signer::new(vec![]).read(&token, "q"), Err(Forged));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let signer = Signer::new(vec![random_key()]);
        let token = signer.issue(&position(), "q").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(signer.read(&URL_SAFE_NO_PAD.encode(changed), "q"), Err(Forged), "bit {bit}");
        }
        for length in 0..token.len() {
            let cut = token.get(..length).unwrap();
            assert_eq!(signer.read(cut, "q"), Err(Forged), "length {length}");
        }
    }
}
