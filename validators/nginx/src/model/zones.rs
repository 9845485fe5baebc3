//! Shared memory zones: `ngx_shared_memory_add()` in `src/core/ngx_cycle.c`.

use foldhash::HashMap;

use crate::findings::codes;
use crate::findings::problem::{Checked, SourceSpan};
use crate::model::directive::Directive;

/// The size of a page of memory, of which a zone must have some.
pub(crate) const PAGE: i64 = 4096;

/// A zone of shared memory.
#[derive(Debug)]
pub(crate) struct Zone {
    pub(crate) name: Vec<u8>,
    pub(crate) size: i64,
    /// A directive declared it; others only refer to it.
    pub(crate) declared: bool,
    /// The key of a `limit_req_zone`, or the upstream of a `sticky`.
    pub(crate) key: Vec<u8>,
    pub(crate) spot: SourceSpan,
    tag: &'static str,
}

/// All zones, in the order in which they were first named.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    zones: Vec<Zone>,
    by_name: HashMap<Vec<u8>, usize>,
}

impl Zones {
    /// The zone of a name; `tag` says which module uses it, and a `size` of 0 only refers to it. `at` is the word that
    /// names it.
    ///
    /// # Errors
    /// If the zone has another use or another size already.
    pub(crate) fn add(
        &mut self,
        directive: &Directive<'_>,
        at: usize,
        name: &[u8],
        size: i64,
        tag: &'static str,
    ) -> Checked<&mut Zone> {
        let text = String::from_utf8_lossy(name);
        if let Some(index) = self.by_name.get(name) {
            let zone = &mut self.zones[*index];
            if zone.tag != tag {
                let message = format!("the shared memory zone \"{text}\" is already declared for a different use");
                return directive.refuse(at, codes::ZONE_CONFLICT, message);
            }
            if zone.size == 0 {
                zone.size = size;
            }
            if size != 0 && size != zone.size {
                let message = format!(
                    "the size {size} of shared memory zone \"{text}\" conflicts with already declared size {}",
                    zone.size
                );
                return directive.refuse(at, codes::ZONE_CONFLICT, message);
            }
            return Ok(&mut self.zones[*index]);
        }
        self.by_name.insert(name.to_vec(), self.zones.len());
        let spot = directive.exact(at);
        self.zones.push(Zone { name: name.to_vec(), size, declared: false, key: vec![], spot, tag });
        let last = self.zones.len() - 1;
        Ok(&mut self.zones[last])
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&Zone> {
        self.by_name.get(name).map(|index| &self.zones[*index])
    }

    /// The zones that were referred to, but never given a size.
    pub(crate) fn empty(&self) -> impl Iterator<Item = &Zone> {
        self.zones.iter().filter(|zone| zone.size == 0)
    }
}
