//! Turns of requests: the number of validations at once, and the bytes of their bodies.
//!
//! A validation takes many times the memory of its body, so a bound of the bodies in memory alone bounds no memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::WebhookLimits;

/// Unit in which the bytes are counted. A smaller body is not: the number of validations bounds those, and so they do not wait behind
/// large ones.
pub(super) const UNIT: usize = 64 << 10;

/// Turns of all requests, in the order in which they came.
pub(super) struct Turns {
    /// Validations that may begin.
    places: Arc<Semaphore>,
    /// Units of bodies that may be validated.
    room: Arc<Semaphore>,
    /// All units.
    units: u32,
}

/// Turn of one request. It goes with the work, so work that overruns its time still counts.
pub(super) struct Turn {
    bytes: usize,
    _room: Option<OwnedSemaphorePermit>,
    _place: OwnedSemaphorePermit,
}

impl Turns {
    pub(super) fn new(limits: &WebhookLimits) -> Self {
        let units = units(limits.validated);
        let (places, room) = (Semaphore::new(limits.validations), Semaphore::new(units as usize));
        Self { places: Arc::new(places), room: Arc::new(room), units }
    }

    /// Waits for the turn of a request with a body of this size. A body that is larger than all that may be validated is validated alone.
    /// Returns `None` if the turn does not come within `limit`.
    pub(super) async fn next(&self, bytes: usize, limit: Duration) -> Option<Turn> {
        let needed = if bytes < UNIT { 0 } else { units(bytes).min(self.units) };
        let wait = async {
            // A request that waits for room takes no place of those that need none.
            let room = match needed {
                0 => None,
                needed => Some(self.room.clone().acquire_many_owned(needed).await?),
            };
            Ok::<_, AcquireError>(Turn { bytes, _room: room, _place: self.places.clone().acquire_owned().await? })
        };
        // The semaphores are never closed.
        tokio::time::timeout(limit, wait).await.ok()?.ok()
    }

    /// Waits for another turn of a request that takes so many more bytes than it has room for. It gives its turn back before, since requests
    /// that keep their room and wait for more could all wait for each other.
    pub(super) async fn with_more(&self, turn: Turn, bytes: usize, limit: Duration) -> Option<Turn> {
        let all = turn.bytes.saturating_add(bytes);
        drop(turn);
        self.next(all, limit).await
    }

    /// Returns the validations and the units that may begin now.
    #[cfg(test)]
    pub(super) fn free(&self) -> (usize, usize) {
        (self.places.available_permits(), self.room.available_permits())
    }
}

/// Returns the number of units that have room for so many bytes.
fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}
