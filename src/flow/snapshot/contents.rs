//! Reads whole files. IO: reads an open file.

use std::fs::File;
use std::io::IoSliceMut;

use rustix::io::{Errno, ReadWriteFlags};

use super::secret::is_in_memory;

/// First buffer for a file without a size, as those of `/proc` and `/sys`.
const WITHOUT_SIZE: u64 = 4096;

/// Treatment of data that a disk or a server would have to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is waited for.
    Waiting,
    /// Nothing is waited for: only what the kernel has in memory is read.
    AtOnce,
}

/// Reads a file of `size` bytes, and no more of it than one byte after `room`. A file that has its size needs one system call.
///
/// # Errors
/// When it cannot be read, or not at once.
pub fn read(file: &File, size: u64, room: u64, access: Access) -> Result<Vec<u8>, Errno> {
    let most = usize::try_from(room.saturating_add(1)).unwrap_or(usize::MAX);
    let first = if size == 0 { WITHOUT_SIZE } else { size.saturating_add(1) };
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let mut content = vec![0; first.min(most)];
    let mut length = 0;
    loop {
        let read = match access {
            Access::Waiting => rustix::io::read(file, &mut content[length..]),
            Access::AtOnce => read_at_once(file, &mut content[length..], length as u64),
        };
        let read = match read {
            Err(Errno::INTR) => continue,
            read => read?,
        };
        length += read;
        let has_room = length < content.len();
        if read == 0 || length == most || (has_room && length as u64 == size) {
            break;
        }
        if !has_room {
            content.resize(content.len().saturating_mul(2).min(most), 0);
        }
    }
    content.truncate(length);
    content.shrink_to_fit();
    Ok(content)
}

/// Reads what the kernel has in memory (`RWF_NOWAIT` of preadv2(2)). A file system in memory that does not know the flag has everything
/// there.
fn read_at_once(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP) if is_in_memory(file) => rustix::io::pread(file, buffer, offset),
        read => read,
    }
}
