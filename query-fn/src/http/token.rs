//! The tokens of pages: where a client goes on, signed so that only what this service issued is accepted.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::range::{InvalidProgress, Range};

/// Issues and reads the tokens of pages.
///
/// A token is url-safe base64 of a version byte, a text (where to go on) and an HMAC-SHA256 over both and the query that it
/// belongs to. It holds no key of the engine: reading on seeks by time, so nothing that a client sends is ever passed to the
/// engine as `ExclusiveStartKey`.
pub struct Signer {
    keys: Vec<Vec<u8>>,
}

const VERSION: u8 = 1;
const MAC_BYTES: usize = 32;

/// The error for a token that this service did not issue for this query.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a token that this service issued for these parameters; send the last page's LastEvaluatedKey and leave all but limit, format and fields as they were"
)]
pub struct InvalidToken;

/// The error for a service without a key to sign with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no key to sign tokens with is configured")]
pub struct NoKey;

impl From<InvalidProgress> for InvalidToken {
    fn from(_: InvalidProgress) -> InvalidToken {
        InvalidToken
    }
}

impl Signer {
    /// Returns a signer: the first key signs, all verify.
    #[must_use]
    pub fn new(keys: Vec<Vec<u8>>) -> Signer {
        Signer { keys }
    }

    /// Issues a token that holds `text` and is valid for `query` only.
    ///
    /// # Errors
    ///
    /// [`NoKey`] without a signing key.
    pub fn issue(&self, text: &str, query: &str) -> Result<String, NoKey> {
        let mut bytes = vec![VERSION];
        bytes.extend(text.as_bytes());
        let mac = mac(self.keys.first().ok_or(NoKey)?, &bytes, query).finalize().into_bytes();
        bytes.extend(mac);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Verifies a token of `query` and returns its text.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] for everything that was not issued for `query`, without a reason.
    pub fn read(&self, token: &str, query: &str) -> Result<String, InvalidToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| InvalidToken)?;
        let (signed, tag) = bytes.split_at_checked(bytes.len().saturating_sub(MAC_BYTES)).ok_or(InvalidToken)?;
        if !self.keys.iter().any(|key| mac(key, signed, query).verify_slice(tag).is_ok()) {
            return Err(InvalidToken);
        }
        let text = signed.strip_prefix(&[VERSION]).ok_or(InvalidToken)?;
        String::from_utf8(text.to_vec()).map_err(|_| InvalidToken)
    }

    /// Issues the token that continues `range` at `place`; relative times are kept in it.
    ///
    /// # Errors
    ///
    /// [`NoKey`] without a signing key.
    pub fn issue_for(&self, range: &Range, place: &str, purpose: &str) -> Result<String, NoKey> {
        let text = match &range.said {
            Some(_) => format!("{} {}\n{place}", range.from, range.to),
            None => place.to_owned(),
        };
        self.issue(&text, &range.binding(purpose))
    }

    /// Verifies a token of `range` and returns its place. If the times of `range` are relative to now, they become those that the token was
    /// issued for.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`] for everything that was not issued for `range` and `purpose`.
    pub fn open(&self, range: &mut Range, token: &str, purpose: &str) -> Result<String, InvalidToken> {
        let text = self.read(token, &range.binding(purpose))?;
        if range.said.is_none() {
            return Ok(text);
        }
        let (times, place) = text.split_once('\n').ok_or(InvalidToken)?;
        let (from, to) = times.split_once(' ').ok_or(InvalidToken)?;
        (range.from, range.to) = (from.parse().map_err(|_| InvalidToken)?, to.parse().map_err(|_| InvalidToken)?);
        Ok(place.to_owned())
    }

    /// Returns a text that changes with the signing key: tokens are part of pages, so cached pages depend on the key.
    #[must_use]
    pub fn fingerprint(&self) -> Vec<u8> {
        let key = self.keys.first().map(Vec::as_slice).unwrap_or_default();
        mac(key, b"", "fingerprint").finalize().into_bytes().to_vec()
    }
}

fn mac(key: &[u8], signed: &[u8], query: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("hmac takes keys of any length");
    mac.update(&(signed.len() as u64).to_be_bytes());
    mac.update(signed);
    mac.update(query.as_bytes());
    mac
}

/// Returns a random key, for tokens that need not outlive the process.
#[must_use]
pub fn random_key() -> Vec<u8> {
    rand::random::<[u8; MAC_BYTES]>().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "1647817207170000|7|2001939623936278528|1647817207170000";

    #[test]
    fn what_was_issued_is_read() {
        let signer = Signer::new(vec![random_key()]);
        let token = signer.issue(TEXT, "q").unwrap();
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{token}");
        assert_eq!(signer.read(&token, "q"), Ok(TEXT.to_owned()));
        assert_eq!(signer.read(&token, "another query"), Err(InvalidToken));
    }

    #[test]
    fn a_replaced_key_still_verifies_and_a_dropped_one_does_not() {
        let (old, new) = (random_key(), random_key());
        let token = Signer::new(vec![old.clone()]).issue(TEXT, "q").unwrap();
        assert_eq!(Signer::new(vec![new.clone(), old]).read(&token, "q"), Ok(TEXT.to_owned()));
        assert_eq!(Signer::new(vec![new]).read(&token, "q"), Err(InvalidToken));
        assert_eq!(Signer::new(vec![]).read(&token, "q"), Err(InvalidToken));
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let signer = Signer::new(vec![random_key()]);
        let token = signer.issue(TEXT, "q").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(signer.read(&URL_SAFE_NO_PAD.encode(changed), "q"), Err(InvalidToken), "bit {bit}");
        }
        for length in 0..token.len() {
            let cut = token.get(..length).unwrap();
            assert_eq!(signer.read(cut, "q"), Err(InvalidToken), "length {length}");
        }
    }
}
