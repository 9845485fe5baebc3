//! One stream that was given: a file, or standard input. IO: reads it, as often as it is wanted.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use reload_gate_structured::yaml;

use crate::manifest::{self, Documents};

/// What standard input is called.
pub(super) const STDIN: &str = "-";

/// So much of what can be read only once is kept in memory; the rest waits on disk.
const SPOOLED: usize = 8 << 20;

/// A stream that was given.
#[derive(Debug)]
pub(super) struct Input {
    /// As it was given, or found in a directory that was.
    pub(super) name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Input {
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let bytes = if name == STDIN {
            spool(&mut io::stdin().lock())?
        } else {
            let mut file = File::open(name)?;
            // A pipe can be read only once, too: `<(helm template …)`.
            if file.metadata()?.is_file() { Bytes::File(file) } else { spool(&mut file)? }
        };
        Ok(Self { name: name.to_owned(), bytes })
    }

    /// Reads from `offset` on; fewer bytes at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.bytes {
            Bytes::File(file) => file.read_at(buffer, offset),
            Bytes::Memory(memory) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| memory.get(offset..)).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                Ok(read)
            }
        }
    }

    /// The documents, from the first on.
    pub(super) fn documents(&self) -> Documents<impl io::BufRead> {
        Documents::new(BufReader::with_capacity(64 << 10, Reader { input: self, offset: 0 }))
    }

    /// All of it.
    pub(super) fn whole(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        Reader { input: self, offset: 0 }.read_to_end(&mut all)?;
        Ok(all)
    }

    /// Whether it begins with a manifest, or with what was meant to be one.
    pub(super) fn is_manifests(&self) -> bool {
        let Some(Ok(first)) = self.documents().next() else { return false };
        match yaml::parse(&first.text) {
            Ok(Some(root)) => manifest::is_manifest(&root),
            Ok(None) => false,
            Err(_) => first.text.lines().any(|line| line.trim_start().starts_with("apiVersion:")),
        }
    }
}

fn spool(from: &mut impl Read) -> io::Result<Bytes> {
    let mut spooled = tempfile::SpooledTempFile::new(SPOOLED);
    io::copy(from, &mut spooled)?;
    Ok(match spooled.into_inner() {
        tempfile::SpooledData::InMemory(memory) => Bytes::Memory(memory.into_inner()),
        tempfile::SpooledData::OnDisk(file) => Bytes::File(file),
    })
}

struct Reader<'i> {
    input: &'i Input,
    offset: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
