//! One input stream: a file, or standard input. IO: reads it, as often as needed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use reload_gate_structured::yaml;

use super::encoding;
use crate::check::manifest::{self, ManifestDocuments, Unreadable};

/// Name of standard input.
pub(super) const STDIN: &str = "-";

/// Largest part of a stream without random access that is kept in memory; the rest is on disk.
const SPOOLED: usize = 8 << 20;

/// One input stream.
#[derive(Debug)]
pub(super) struct InputStream {
    /// Path as it was given, or as it was found below a directory.
    pub(super) name: Arc<str>,
    bytes: Bytes,
}

/// Bytes of a stream. A file with a name is opened for each use: a repository has more files than a process may have open.
#[derive(Debug)]
enum Bytes {
    Path,
    Spooled(File),
    Memory(Vec<u8>),
}

impl InputStream {
    pub(super) fn open(name: &str) -> io::Result<Self> {
        let bytes = if name == STDIN {
            spool(&mut io::stdin().lock())?
        } else {
            let mut file = File::open(name)?;
            // A pipe can be read only once, too: `<(helm template …)`.
            if file.metadata()?.is_file() { Bytes::Path } else { spool(&mut file)? }
        };
        Ok(Self { name: name.into(), bytes })
    }

    /// Returns a stream of a text in memory.
    pub(super) fn of_text(name: &str, text: Vec<u8>) -> Self {
        Self { name: name.into(), bytes: Bytes::Memory(text) }
    }

    /// Returns the same text in UTF-8, if the stream is in UTF-16.
    pub(super) fn decoded(&self) -> Option<Self> {
        let mut mark = Vec::new();
        self.reader().ok()?.take(2).read_to_end(&mut mark).ok()?;
        let bytes = encoding::is_utf16(&mark).then(|| self.whole().ok())??;
        Some(Self::of_text(&self.name, reload_gate_structured::decode_utf16(&bytes)?.into_bytes()))
    }

    /// Reads `length` bytes from `offset` on.
    pub(super) fn part(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut part = vec![0; length];
        match &self.bytes {
            Bytes::Path => File::open(&*self.name)?.read_exact_at(&mut part, offset)?,
            Bytes::Spooled(file) => file.read_exact_at(&mut part, offset)?,
            Bytes::Memory(memory) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| memory.get(offset..)).unwrap_or_default();
                part.copy_from_slice(rest.get(..length).ok_or(io::ErrorKind::UnexpectedEof)?);
            }
        }
        Ok(part)
    }

    fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match &self.bytes {
            Bytes::Path => Box::new(File::open(&*self.name)?),
            Bytes::Spooled(file) => Box::new(SpooledReader { file, offset: 0 }),
            Bytes::Memory(memory) => Box::new(memory.as_slice()),
        })
    }

    /// Returns the documents, from the first on.
    pub(super) fn documents(&self) -> io::Result<ManifestDocuments<impl io::BufRead + '_>> {
        Ok(ManifestDocuments::new(BufReader::with_capacity(64 << 10, self.reader()?)))
    }

    /// Reads all of it.
    pub(super) fn whole(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.reader()?.read_to_end(&mut all)?;
        Ok(all)
    }

    /// Returns true if it begins with a manifest, or with a broken one.
    pub(super) fn is_manifests(&self) -> bool {
        match self.documents().ok().and_then(|mut documents| documents.next()) {
            // A tree takes many times the memory of its text.
            Some(Ok(first)) if !looks_like_manifest(first.text.as_bytes()) => false,
            Some(Ok(first)) => match yaml::parse(&first.text) {
                Ok(root) => root.is_some_and(|root| manifest::is_manifest(&root)),
                Err(_) => true,
            },
            Some(Err(Unreadable::Text(_))) => self.head().is_ok_and(|head| looks_like_manifest(&head)),
            Some(Err(Unreadable::Io(_))) | None => false,
        }
    }

    /// Reads its beginning.
    fn head(&self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.reader()?.take(HEAD).read_to_end(&mut head)?;
        Ok(head)
    }
}

/// Number of bytes in which a broken stream is searched for the words of a manifest.
const HEAD: u64 = 64 << 10;

/// Returns true if a text has the words of a manifest: also one that cannot be parsed was meant for Kubernetes. It may hold a Secret, so no
/// line of it is shown.
fn looks_like_manifest(text: &[u8]) -> bool {
    let says = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    says(b"apiVersion") && says(b"kind")
}

fn spool(from: &mut impl Read) -> io::Result<Bytes> {
    let mut spooled = tempfile::SpooledTempFile::new(SPOOLED);
    io::copy(from, &mut spooled)?;
    Ok(match spooled.into_inner() {
        tempfile::SpooledData::InMemory(memory) => Bytes::Memory(memory.into_inner()),
        tempfile::SpooledData::OnDisk(file) => Bytes::Spooled(file),
    })
}

/// Reader with an offset of its own, since several threads may read the same file.
struct SpooledReader<'f> {
    file: &'f File,
    offset: u64,
}

impl Read for SpooledReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
