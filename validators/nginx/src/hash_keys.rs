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

/// The longest key that fits into a bucket of this hash, with the pointers around it: `ngx_hash_init()`.
pub(crate) struct Bucket {
    name: &'static str,
    size: i64,
}

impl Bucket {
    /// The buckets of a hash such as `map_hash`, of a size which nginx rounds up to whole lines of the CPU's cache.
    pub(crate) fn new(name: &'static str, size: Option<i64>) -> Self {
        const LINE: i64 = 64;
        let size = size.unwrap_or(LINE);
        Self { name, size: size.checked_add(LINE - 1).map_or(size, |size| size / LINE * LINE) }
    }

    /// nginx's complaint about a key that is too long.
    pub(crate) fn complaint(&self, key: &[u8]) -> Option<String> {
        const POINTER: usize = 8;
        let needed = 2 * POINTER + (key.len() + 2).next_multiple_of(POINTER);
        let Self { name, size } = self;
        let fits = i64::try_from(needed).is_ok_and(|needed| needed <= *size);
        (!fits).then(|| format!("could not build {name}, you should increase {name}_bucket_size: {size}"))
    }
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
