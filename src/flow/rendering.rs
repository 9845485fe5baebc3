//! Renders a configuration before it is validated and published: unpacks gzip, and replaces `$(NAME)` by variables. Pure.
//!
//! The rules are those of prometheus-config-reloader: a file is unpacked if it begins as gzip does (RFC 1952, section 2.3.1), a name
//! consists of letters, digits and underscores, and a variable that is not set is an error.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use flate2::read::MultiGzDecoder;
use regex::bytes::Regex;
use reload_gate_contract::{Code, Finding, Place};

use crate::flow::snapshot::{Snapshot, SnapshotError};
use crate::flow::tree::{Revision, Tree};

const UNPACKED: Code = Code::new("not-unpacked");
const UNSET: Code = Code::new("unset-variable");

/// The first bytes of a gzip file.
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\(([A-Za-z0-9_]+)\)").ok());

/// Number of variables that are not set after which a file is read no further.
const MOST_UNSET: usize = 20;

/// Text whose references are replaced.
struct Replaced {
    text: Vec<u8>,
    /// Variables that are not set.
    unset: Vec<String>,
    /// False if the values of its variables are too large.
    is_whole: bool,
}

/// The way in which a configuration is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    /// Unpack gzip and replace references to variables.
    pub expand: bool,
    /// The name of the only file.
    pub name: Option<PathBuf>,
    /// The variables.
    pub variables: BTreeMap<String, String>,
    /// The size that a file may have when it is unpacked.
    pub limit: u64,
}

impl Rendering {
    /// Renders what was read.
    ///
    /// # Errors
    /// When a file cannot be unpacked, or refers to a variable that is not set.
    pub fn render(&self, snapshot: Snapshot) -> Result<Snapshot, SnapshotError> {
        let mut findings = Vec::new();
        let only = self.name.as_ref().filter(|_| snapshot.tree.len() == 1);
        let (mut tree, mut in_memory) = (Tree::new(), (*snapshot.in_memory).clone());
        for (path, target) in snapshot.tree.links() {
            tree.link(path.clone(), target.clone());
        }
        for (path, content) in &*snapshot.tree {
            let content = if self.expand { self.expanded(path, content, &mut findings) } else { content.clone() };
            let name = only.map_or_else(|| self.renamed(path), |name| path.with_file_name(name));
            if in_memory.remove(path) {
                in_memory.insert(name.clone());
            }
            tree.insert(name, content);
        }
        if !findings.is_empty() {
            return Err(SnapshotError {
                findings,
                settled: snapshot.settled,
                patience: snapshot.patience,
                short: false,
            });
        }
        let revision = Arc::new(Revision::of(&tree));
        Ok(Snapshot { revision, tree: Arc::new(tree), in_memory: Arc::new(in_memory), ..snapshot })
    }

    /// The name of an unpacked file.
    fn renamed(&self, path: &Path) -> PathBuf {
        let is_packed = self.expand && path.extension().is_some_and(|extension| extension == "gz");
        if is_packed { path.with_extension("") } else { path.to_owned() }
    }

    fn expanded(&self, path: &Path, content: &[u8], findings: &mut Vec<Finding>) -> Vec<u8> {
        let place = || Place::file(path.to_string_lossy());
        let text = match self.unpacked(content) {
            Ok(text) => text,
            Err(message) => {
                findings.push(Finding { place: Some(place()), ..Finding::error(UNPACKED, message) });
                return Vec::new();
            }
        };
        let Some(pattern) = REFERENCE.as_ref() else { return text };
        let Replaced { text, unset, is_whole } = self.replaced(&text, pattern);
        if !is_whole {
            let message = format!("the values of its variables have more than {} bytes (`--max-bytes`)", self.limit);
            findings.push(Finding { place: Some(place()), ..Finding::error(UNPACKED, message) });
        }
        findings.extend(unset.into_iter().map(|name| {
            let message = format!("variable `{name}` is not set");
            let help = "set it in the container of the gate, or correct the reference";
            Finding { place: Some(place()), ..Finding::error(UNSET, message).help(help) }
        }));
        text
    }

    /// Replaces the references of a text, up to the one whose value goes beyond the limit, or the last variable that is reported as not set.
    fn replaced(&self, text: &[u8], pattern: &Regex) -> Replaced {
        let mut replaced = Replaced { text: Vec::with_capacity(text.len()), unset: Vec::new(), is_whole: true };
        let (mut room, mut end) = (self.limit, 0);
        for found in pattern.find_iter(text) {
            // It is `$(NAME)`, and a name is ASCII.
            let name = String::from_utf8_lossy(&text[found.start() + 2..found.end() - 1]);
            let Some(value) = self.variables.get(&*name) else {
                if !replaced.unset.iter().any(|known| *known == name) {
                    replaced.unset.push(name.into_owned());
                }
                if replaced.unset.len() == MOST_UNSET {
                    return replaced;
                }
                continue;
            };
            let Some(left) = room.checked_sub(value.len() as u64) else {
                replaced.is_whole = false;
                return replaced;
            };
            replaced.text.extend_from_slice(&text[end..found.start()]);
            replaced.text.extend_from_slice(value.as_bytes());
            (room, end) = (left, found.end());
        }
        replaced.text.extend_from_slice(&text[end..]);
        replaced
    }

    fn unpacked(&self, content: &[u8]) -> Result<Vec<u8>, String> {
        if !content.starts_with(&GZIP) {
            return Ok(content.to_vec());
        }
        let mut text = Vec::new();
        let mut reader = MultiGzDecoder::new(content).take(self.limit.saturating_add(1));
        reader
            .read_to_end(&mut text)
            .map_err(|error| format!("the file begins as gzip and cannot be unpacked: {error}"))?;
        if text.len() as u64 > self.limit {
            return Err(format!("the unpacked file is larger than {} bytes (`--max-bytes`)", self.limit));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("there is room");
        encoder.finish().expect("there is room")
    }

    fn rendered(files: &[(&str, &[u8])], name: Option<&str>, limit: u64) -> Result<Vec<(String, String)>, Vec<String>> {
        let tree: Tree = files.iter().map(|(name, content)| (PathBuf::from(name), content.to_vec())).collect();
        let snapshot = Snapshot {
            revision: Arc::new(Revision::of(&tree)),
            tree: Arc::new(tree),
            in_memory: Arc::default(),
            held: Arc::default(),
            delivered: std::time::SystemTime::UNIX_EPOCH,
            settled: true,
            committed: true,
            patience: std::time::Duration::ZERO,
            notes: Vec::new(),
        };
        let variables = [("POD_NAME", "prometheus-0"), ("_1", "one")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let rendering = Rendering { expand: true, name: name.map(Into::into), variables, limit };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match rendering.render(snapshot) {
            Ok(snapshot) => {
                assert_eq!(snapshot.revision, Arc::new(Revision::of(&snapshot.tree)));
                Ok(snapshot.tree.iter().map(|(name, content)| (name.display().to_string(), text(content))).collect())
            }
            Err(error) => Err(error.findings.into_iter().map(|finding| finding.message).collect()),
        }
    }

    #[test]
    fn a_packed_file_is_unpacked_and_its_references_are_replaced() {
        let text = b"replica: $(POD_NAME)-$(_1) $POD_NAME ${POD_NAME} $(A-B) $()\n";
        let expected = "replica: prometheus-0-one $POD_NAME ${POD_NAME} $(A-B) $()\n";
        let packed = packed(text);
        for (name, content) in [("prometheus.yaml.gz", packed.as_slice()), ("prometheus.yaml", text)] {
            let files = rendered(&[(name, content)], Some("prometheus.env.yaml"), 1000).expect("it is right");
            assert_eq!(files, [("prometheus.env.yaml".to_owned(), expected.to_owned())]);
        }
        let files = rendered(&[("a.yaml.gz", &packed), ("b.yaml", b"x")], Some("c"), 1000).expect("it is right");
        assert_eq!(files, [("a.yaml".to_owned(), expected.to_owned()), ("b.yaml".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn a_rendering_ends_at_its_limit() {
        let variables = [("A".to_owned(), "x".repeat(100))].into();
        let rendering = Rendering { expand: true, name: None, variables, limit: 1_000 };
        let pattern = REFERENCE.as_ref().expect("it is a pattern");
        let replaced = |count: usize| rendering.replaced("$(A)\n".repeat(count).as_bytes(), pattern);
        let (whole, cut) = (replaced(10), replaced(1_000_000));
        assert_eq!((whole.text.len(), whole.is_whole), (1_010, true));
        assert_eq!((cut.text.len(), cut.is_whole), (1_009, false), "nothing behind the limit is read");
    }

    #[test]
    fn a_file_that_cannot_be_rendered_is_wrong() {
        let unset = rendered(&[("a", b"$(NONE) $(NONE) $(OTHER)")], None, 1000).expect_err("it is wrong");
        assert_eq!(unset, ["variable `NONE` is not set", "variable `OTHER` is not set"]);
        let large = rendered(&[("a", "$(POD_NAME) ".repeat(100).as_bytes())], None, 1000).expect_err("it is wrong");
        assert_eq!(large, ["the values of its variables have more than 1000 bytes (`--max-bytes`)"]);
        let many: String = (0..1_000).map(|n| format!("$(NONE{n})")).collect();
        assert_eq!(rendered(&[("a", many.as_bytes())], None, 1000).expect_err("it is wrong").len(), MOST_UNSET);
        let broken = rendered(&[("a.gz", &packed(b"text text text")[..15])], None, 1000).expect_err("it is wrong");
        assert!(broken[0].starts_with("the file begins as gzip and cannot be unpacked: "), "{broken:?}");
        let bomb = rendered(&[("a.gz", &packed(&vec![b'x'; 1 << 20]))], None, 1000).expect_err("it is too large");
        assert_eq!(bomb, ["the unpacked file is larger than 1000 bytes (`--max-bytes`)"]);
    }
}
