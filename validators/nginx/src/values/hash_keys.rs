//! Keys of nginx's hashes, with wildcards or without: `ngx_hash_add_key()` in `src/core/ngx_hash.c`.

use std::borrow::Cow;

use foldhash::HashSet;

use crate::directives::Version;

/// Reason why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is no valid name or wildcard.
    Declined,
    /// It is there already.
    Busy,
}

/// The sizes of a hash: `ngx_hash_init()`.
pub(crate) struct HashSizes {
    name: &'static str,
    maximum: i64,
    bucket: i64,
}

/// The line of a CPU's cache, to which nginx rounds the sizes of buckets up.
const LINE: i64 = 64;

impl HashSizes {
    /// The sizes of a hash such as `map_hash`; nginx has defaults for those that are not set.
    pub(crate) fn new(name: &'static str, maximum: Option<i64>, bucket: Option<i64>) -> Self {
        let bucket = bucket.unwrap_or(LINE);
        let bucket = bucket.checked_add(LINE - 1).map_or(bucket, |size| size / LINE * LINE);
        Self { name, maximum: maximum.unwrap_or(i64::MAX), bucket }
    }

    /// nginx's message about sizes with which no hash can be built.
    pub(crate) fn complaint(&self, version: Version) -> Option<String> {
        /// The first release with a limit of the bucket's size.
        const LIMITED: Version = Version::new(1, 17, 2);
        /// The sizes of buckets are kept in 16 bits.
        const LARGEST: i64 = 65_536 - LINE;
        let Self { name, maximum, bucket } = self;
        if *maximum == 0 {
            return Some(format!("could not build {name}, you should increase {name}_max_size: 0"));
        }
        let too_large = *bucket > LARGEST && version >= LIMITED;
        too_large.then(|| format!("could not build {name}, too large {name}_bucket_size: {bucket}"))
    }

    /// nginx's message about a key that does not fit into a bucket, with the pointers around it.
    pub(crate) fn complaint_about(&self, key: &[u8]) -> Option<String> {
        const POINTER: usize = 8;
        let needed = 2 * POINTER + (key.len() + 2).next_multiple_of(POINTER);
        let Self { name, bucket, .. } = self;
        let fits = i64::try_from(needed).is_ok_and(|needed| needed <= *bucket);
        (!fits).then(|| format!("could not build {name}, you should increase {name}_bucket_size: {bucket}"))
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
    /// True if there is no key, exact or with a wildcard.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.heads.is_empty() && self.tails.is_empty()
    }

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
