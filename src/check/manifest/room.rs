//! Limits of what manifests make of a few bytes: variables that refer to others, mounts of the same object, copies.

/// Room that is left, in bytes or in steps. Once it was too small nothing fits any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    all: usize,
    left: usize,
    is_exceeded: bool,
}

impl Room {
    /// Returns one of this size.
    #[must_use]
    pub const fn of(all: usize) -> Self {
        Self { all, left: all, is_exceeded: false }
    }

    /// Takes a part of it, and returns true if that fits.
    pub const fn take(&mut self, count: usize) -> bool {
        match self.left.checked_sub(count) {
            Some(left) if !self.is_exceeded => self.left = left,
            _ => self.is_exceeded = true,
        }
        !self.is_exceeded
    }

    /// Returns what is left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }

    /// Returns what was taken.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.all - self.left
    }

    /// Returns true if something did not fit.
    #[must_use]
    pub const fn is_exceeded(&self) -> bool {
        self.is_exceeded
    }
}
