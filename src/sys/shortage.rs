//! Shortages: errors about what the system has left, which say nothing about what was asked for.
//!
//! A file that cannot be opened for want of a descriptor is no missing file, and a step that finds no memory is no missing part of the kernel.

use std::error::Error;
use std::io;

use rustix::io::Errno;

/// Returns true if an error, or one that it was made of, is a want of processes, descriptors or memory (errno(3)).
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::AGAIN | Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

/// Returns true for an error that may be over without any event of the file system: a shortage, or one of a disk or a file server.
#[must_use]
pub fn may_pass(error: &io::Error) -> bool {
    is_shortage(error) || matches!(errno(error), Some(Errno::IO | Errno::STALE | Errno::TIMEDOUT))
}

/// Returns the value of a result, or `None` for an error that is the system's answer to what was asked.
///
/// # Errors
/// When the system could not answer.
pub fn unless_short<T>(result: Result<T, impl Into<io::Error>>) -> io::Result<Option<T>> {
    match result.map_err(Into::into) {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_shortage(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Returns the number of the error of the system at the bottom of an error.
fn errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let Some(io) = error.downcast_ref::<io::Error>() else { return errno(error.source()?) };
    match Errno::from_io_error(io) {
        Some(errno) => Some(errno),
        None => errno(io.get_ref()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it failed")]
    struct Wrapped(#[source] io::Error);

    fn wrapped(errno: Errno) -> io::Error {
        io::Error::other(Wrapped(errno.into()))
    }

    #[test]
    fn a_shortage_is_found_within_other_errors() {
        for errno in [Errno::AGAIN, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(is_shortage(&errno.into()), "{errno}");
            assert!(is_shortage(&wrapped(errno)), "{errno}, wrapped");
        }
        for errno in [Errno::PERM, Errno::NOENT, Errno::NOSYS, Errno::OPNOTSUPP, Errno::NOSPC] {
            assert!(!is_shortage(&errno.into()), "{errno}");
            assert!(!is_shortage(&wrapped(errno)), "{errno}, wrapped");
        }
        assert!(!is_shortage(&io::Error::other("Too many open files")), "words are no error of the system");
    }

    #[test]
    fn only_a_shortage_is_no_answer() {
        assert_eq!(unless_short(Ok::<_, io::Error>(7)).expect("it is there"), Some(7));
        assert_eq!(unless_short(Err::<u8, _>(Errno::NOENT)).expect("it is an answer"), None);
        assert!(unless_short(Err::<u8, _>(Errno::MFILE)).is_err());
    }
}
