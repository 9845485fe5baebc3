//! Keys of nginx's hashes, with wildcards or without: `ngx_hash_add_key()` in `src/core/ngx_hash.c`.

use std::borrow::Cow;

use foldhash::HashSet;

/// Reason why a key is refused.
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

    /// nginx's message about a key that is too long.
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
pub(crate) struct HashKeys<'k> {
    exact: HashSet<Cow<'k, [u8]>>,
    heads: HashSet<Cow<'k, [u8]>>,
    tails: HashSet<Cow<'k, [u8]>>,
}

/// A key in lower case, in which nginx keeps all of them.
pub(crate) fn lower(key: &[u8]) -> Cow<'_, [u8]> {
    if key.iter().any(u8::is_ascii_uppercase) { key.to_ascii_lowercase().into() } else { key.into() }
}

impl<'k> HashKeys<'k> {
    /// Adds a key.
    ///
    /// # Errors
    /// If nginx would not take it.
    pub(crate) fn add(&mut self, key: &'k [u8], wildcards: bool) -> Result<(), Refused> {
        let fresh = |fresh| if fresh { Ok(()) } else { Err(Refused::Busy) };
        if !wildcards {
            return fresh(self.exact.insert(lower(key)));
        }
        let stars = key.iter().filter(|byte| **byte == b'*').count();
        if stars > 1 || key.contains(&0) || key.windows(2).any(|pair| pair == b"..") {
            return Err(Refused::Declined);
        }
        if key.len() > 1 && key[0] == b'.' {
            // `.example.com` is both the name and all names below it.
            fresh(self.exact.insert(lower(&key[1..])))?;
            return fresh(self.heads.insert(lower(&key[1..])));
        }
        if key.len() > 2 {
            if let Some(rest) = key.strip_prefix(b"*.") {
                return fresh(self.heads.insert(lower(rest)));
            }
            if let Some(rest) = key.strip_suffix(b".*") {
                return fresh(self.tails.insert(lower(rest)));
            }
        }
        if stars > 0 { Err(Refused::Declined) } else { fresh(self.exact.insert(lower(key))) }
    }
}
