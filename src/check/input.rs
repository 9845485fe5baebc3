//! One stream that was given: a file, or standard input. IO: reads it, as often as it is wanted.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use reload_gate_structured::yaml;

use crate::check::manifest::{self, Documents, Unreadable};

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
        match self.documents().next() {
            Some(Ok(first)) => match yaml::parse(&first.text) {
                Ok(root) => root.is_some_and(|root| manifest::is_manifest(&root)),
                Err(_) => looks_like_manifest(first.text.as_bytes()),
            },
            Some(Err(Unreadable::Text(_))) => self.head().is_ok_and(|head| looks_like_manifest(&head)),
            Some(Err(Unreadable::Io(_))) | None => false,
        }
    }

    /// Its beginning.
    fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; HEAD];
        let read = self.read_at(&mut head, 0)?;
        head.truncate(read);
        Ok(head)
    }
}

/// So much tells what a broken stream was meant to be.
const HEAD: usize = 64 << 10;

/// Whether a text that cannot be understood was meant for Kubernetes: such must not be taken for a file whose lines may be shown.
fn looks_like_manifest(text: &[u8]) -> bool {
    let says = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    says(b"apiVersion") && says(b"kind")
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
