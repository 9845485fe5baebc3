//! Keys of nginx's hashes, with wildcards or without: `ngx_hash_add_key()` in `src/core/ngx_hash.c`.

use foldhash::HashSet;

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no valid name or wildcard.
    Declined,
    /// It is there already.
    Busy,
}

/// The keys of a hash.
#[derive(Debug, Default)]
pub(crate) struct HashKeys {
    exact: HashSet<Vec<u8>>,
    heads: HashSet<Vec<u8>>,
    tails: HashSet<Vec<u8>>,
}

impl HashKeys {
    /// Adds a key.
    ///
    /// # Errors
    /// If nginx would not take it.
    pub(crate) fn add(&mut self, key: &[u8], wildcards: bool) -> Result<(), Refused> {
        let key = key.to_ascii_lowercase();
        if !wildcards {
            return self.exact(key);
        }
        let stars = key.iter().filter(|byte| **byte == b'*').count();
        if stars > 1 || key.contains(&0) || key.windows(2).any(|pair| pair == b"..") {
            return Err(Refused::Declined);
        }
        let fresh = |fresh| if fresh { Ok(()) } else { Err(Refused::Busy) };
        if key.len() > 1 && key[0] == b'.' {
            // `.example.com` is both the name and all names below it.
            fresh(self.exact.insert(key[1..].to_vec()))?;
            return fresh(self.heads.insert(key[1..].to_vec()));
        }
        if key.len() > 2 {
            if let Some(rest) = key.strip_prefix(b"*.") {
                return fresh(self.heads.insert(rest.to_vec()));
            }
            if let Some(rest) = key.strip_suffix(b".*") {
                return fresh(self.tails.insert(rest.to_vec()));
            }
        }
        if stars > 0 { Err(Refused::Declined) } else { self.exact(key) }
    }

    fn exact(&mut self, key: Vec<u8>) -> Result<(), Refused> {
        if self.exact.insert(key) { Ok(()) } else { Err(Refused::Busy) }
    }
}
