//! Looks at processes that know whether they have seen everything.
//!
//! A file of /proc that cannot be opened for want of a descriptor looks like that of a process that has ended. Where a decision depends on
//! the difference, the look is taken within [`whole`].

use std::cell::Cell;
use std::io;

use crate::sys::shortage::is_shortage;

thread_local! {
    /// The shortage that the present look has met.
    static SHORTAGE: Cell<Option<io::Error>> = const { Cell::new(None) };
}

/// Takes a `look` at processes, on this thread.
///
/// # Errors
/// When something could not be seen for want of descriptors or memory.
pub fn whole<T>(look: impl FnOnce() -> T) -> io::Result<T> {
    let before = SHORTAGE.take();
    let seen = look();
    let met = SHORTAGE.take();
    // A look within another one is a part of that.
    let outer = before.or_else(|| met.as_ref().map(copy));
    SHORTAGE.set(outer);
    met.map_or(Ok(seen), Err)
}

/// Returns what was read, or `None`; a shortage is noted for the look.
pub(super) fn noted<T>(read: io::Result<T>) -> Option<T> {
    read.inspect_err(note).ok()
}

/// Notes an error for the look, if it is a shortage.
pub(super) fn note(error: &io::Error) {
    if is_shortage(error) {
        SHORTAGE.set(Some(copy(error)));
    }
}

/// The same error of the system once more.
fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_look_that_meets_a_shortage_has_not_seen_everything() {
        let short = || noted(Err::<(), _>(Errno::MFILE.into()));
        assert_eq!(whole(|| noted(Ok(7))).expect("nothing was short"), Some(7));
        assert_eq!(whole(|| noted(Err::<(), _>(Errno::NOENT.into()))).expect("it is an answer"), None);
        assert!(whole(short).is_err());
        assert!(whole(|| ()).is_ok(), "it was of the look before");
        let outer = whole(|| {
            let inner = whole(short).is_err();
            inner && whole(|| ()).is_ok()
        });
        assert!(outer.is_err(), "an inner look is a part of it");
    }
}
