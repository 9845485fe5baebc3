//! Panics: each is a bug. A panic ends the process, and within contained work it ends that work alone.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};

/// Place in a panic's error where the panic itself had none.
const NOWHERE: &str = "an unknown place";

thread_local! {
    /// True while this thread does contained work.
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// Place of the newest contained panic of this thread.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Panic that ended contained work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it ended by a bug at {place}")]
pub struct Panicked {
    /// File, line and column in the source.
    pub place: String,
}

/// Does work on this thread. A panic ends the work, and not the process.
///
/// # Errors
/// When the work panics. The message of the panic is dropped, since it may quote what the work was about.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let is_inner = IS_CONTAINED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(is_inner);
    done.map_err(|_| Panicked { place: PLACE.take().unwrap_or_else(|| NOWHERE.to_owned()) })
}

/// Ends the process with this exit code at each panic that is not contained, in whatever thread it happens.
pub fn end_process_at_panics(code: i32) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !note(panic) {
            usual(panic);
            std::process::exit(code);
        }
    }));
}

/// Keeps the place of a contained panic, and returns true for one.
fn note(panic: &PanicHookInfo<'_>) -> bool {
    let is_contained = IS_CONTAINED.get();
    if is_contained {
        PLACE.set(panic.location().map(ToString::to_string));
    }
    is_contained
}

/// Notes the places of contained panics in tests, in which another panic fails a test and not the process.
#[cfg(test)]
pub fn note_in_tests() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !note(panic) {
                usual(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contained_panic_ends_its_work_and_has_a_place_and_no_words() {
        note_in_tests();
        let broken: Result<(), Panicked> = contain(|| panic!("hunter2"));
        let line = line!() - 1;
        let said = broken.expect_err("it panics").to_string();
        assert!(said.starts_with(&format!("it ended by a bug at {}:{line}:", file!())), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
        assert_eq!(contain(|| 7), Ok(7));
    }

    #[test]
    fn work_within_contained_work_leaves_it_contained() {
        let outer = contain(|| {
            assert!(contain(|| panic!("inside")).is_err());
            IS_CONTAINED.get()
        });
        assert_eq!(outer, Ok(true));
        assert!(!IS_CONTAINED.get());
    }
}
