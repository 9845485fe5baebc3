//! One input stream: a file, or standard input. IO: reads it, as often as needed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use reload_gate_structured::yaml;

use crate::check::manifest::{self, ManifestDocuments, Unreadable};

/// Name of standard input.
pub(super) const STDIN: &str = "-";

/// Largest part of a stream without random access that is kept in memory; the rest is on disk.
const SPOOLED: usize = 8 << 20;

/// One input stream.
#[derive(Debug)]
pub(super) struct InputStream {
    /// Path as it was given, or as it was found below a directory.
    pub(super) name: String,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl InputStream {
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

    /// Returns the documents, from the first on.
    pub(super) fn documents(&self) -> ManifestDocuments<impl io::BufRead> {
        ManifestDocuments::new(BufReader::with_capacity(64 << 10, InputReader { input: self, offset: 0 }))
    }

    /// Reads all of it.
    pub(super) fn whole(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        InputReader { input: self, offset: 0 }.read_to_end(&mut all)?;
        Ok(all)
    }

    /// Returns true if it begins with a manifest, or with a broken one.
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

    /// Reads its beginning.
    fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = vec![0; HEAD];
        let read = self.read_at(&mut head, 0)?;
        head.truncate(read);
        Ok(head)
    }
}

/// Number of bytes in which a broken stream is searched for the words of a manifest.
const HEAD: usize = 64 << 10;

/// Returns true if a text that cannot be parsed was meant for Kubernetes. It may hold a Secret, so no line of it is shown.
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

struct InputReader<'i> {
    input: &'i InputStream,
    offset: u64,
}

impl Read for InputReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
