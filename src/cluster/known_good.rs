//! The known-good revision of the cluster: the last that some pod has verified, in one ConfigMap or Secret.
//!
//! The whole tree is one compressed value, so it is stored whole or not at all. Its digest is checked when it is read.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::{GzDecoder, GzEncoder};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::{ObjectKind, ObjectName};
use crate::flow::tree::{Digest, Limits, Revision, Tree};
use crate::sys::kubernetes::{Connection, RequestError, Stored};

/// The key of the tree.
const KEY: &str = "tree.json.gz";
/// The annotations: the digest, the time at which it was stored (RFC 3339, UTC), and the pod.
const DIGEST: &str = "reload-gate.dev/digest";
const TIME: &str = "reload-gate.dev/verified-at";
const POD: &str = "reload-gate.dev/verified-by";
/// The largest value in bytes. An object has at most 1 MiB, in which base64 needs a third more.
const LARGEST: usize = 720 * 1024;
/// The largest number of components of a name: the path of a source, and 32 levels below it.
const MOST_COMPONENTS: usize = 64;
/// The number of tries where other pods write at the same time.
const TRIES: u32 = 6;

/// The reason why the known-good revision could not be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server could not be asked, or refused.
    #[error("{object}: {error}")]
    Request {
        /// The object.
        object: ObjectName,
        /// The reason.
        error: RequestError,
    },
    /// The tree does not fit into an object.
    #[error("{0}: the revision has {1} bytes, compressed, and an object has room for {LARGEST}")]
    TooLarge(ObjectName, usize),
    /// The tree has a name that no pod would read again.
    #[error("{0}: the revision cannot be stored: {1}")]
    Unfit(ObjectName, String),
    /// The stored content has another digest.
    #[error("{0}: its content is damaged: {1}")]
    Damaged(ObjectName, String),
    /// The object has only just been changed, again and again.
    #[error("{0}: other pods write it at the same time")]
    Busy(ObjectName),
}

impl StoreError {
    /// Returns the remedy.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Request { error: RequestError::Forbidden { .. }, .. } => {
                "let a Role permit `get`, `create` and `update` of that object; `reload-gate doctor` prints it".into()
            }
            Self::Request { .. } | Self::Busy(_) => "wait; the gate tries again by itself".into(),
            Self::TooLarge(..) => "make the configuration smaller, or leave out `--known-good`".into(),
            Self::Unfit(..) => "give the file another name, or leave out `--known-good`".into(),
            Self::Damaged(..) => "delete the object; the next verified revision is stored anew".into(),
        }
    }
}

/// A known-good revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGood {
    /// Its files.
    pub tree: Tree,
    /// Its digest.
    pub digest: Digest,
    /// The time at which it was stored.
    pub stored: SystemTime,
}

/// The files and links of a tree, with names and contents in base64: neither has to be UTF-8.
#[derive(Serialize, Deserialize)]
struct StoredTree {
    files: Vec<(String, String)>,
    links: Vec<(String, String)>,
}

fn encoded(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn decoded(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD.decode(text).map_err(|error| error.to_string())
}

/// Returns `tree` as one compressed value.
fn pack(tree: &Tree) -> Vec<u8> {
    let name = |path: &Path| encoded(path.as_os_str().as_bytes());
    let files = tree.iter().map(|(path, content)| (name(path), encoded(content))).collect();
    let links = tree.links().iter().map(|(path, target)| (name(path), name(target))).collect();
    let text = serde_json::to_vec(&StoredTree { files, links }).unwrap_or_default();
    let mut packed = Vec::new();
    // Reading from memory does not fail.
    let _ = GzEncoder::new(text.as_slice(), Compression::default()).read_to_end(&mut packed);
    packed
}

/// Returns the tree in a value, unless it is larger than `limits`.
fn unpack(packed: &[u8], limits: Limits) -> Result<Tree, String> {
    let (mut text, most) = (Vec::new(), limits.bytes.saturating_mul(2).saturating_add(1 << 20));
    GzDecoder::new(packed).take(most).read_to_end(&mut text).map_err(|error| error.to_string())?;
    parse(&text, limits.files)
}

/// Returns the tree in the text of a value, of at most so many files and links. Its names are untrusted: one that no source has is refused.
///
/// # Errors
/// When the text is no tree.
pub fn parse(text: &[u8], most: usize) -> Result<Tree, String> {
    let stored: StoredTree = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if stored.files.len() > most || stored.links.len() > most {
        return Err(format!("it has more than {most} files"));
    }
    let path = |text: &str| decoded(text).map(|bytes| PathBuf::from(OsString::from_vec(bytes)));
    let name = |text: &str| path(text).and_then(|path| check_name(&path).map(|()| path));
    let mut tree = Tree::new();
    for (file, content) in &stored.files {
        tree.insert(name(file)?, decoded(content)?);
    }
    for (link, target) in &stored.links {
        let (link, target) = (name(link)?, path(target)?);
        check_text(&target)?;
        tree.link(link, target);
    }
    Ok(tree)
}

/// Refuses a name that no file of a source has. One of several sources begins with the path of its source.
fn check_name(path: &Path) -> Result<(), String> {
    check_text(path)?;
    let below_root = path.strip_prefix("/").unwrap_or(path);
    let plain: PathBuf = below_root.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    if plain.as_os_str().is_empty() || plain.as_os_str() != below_root.as_os_str() {
        return Err(format!("`{}` is no name of a file", path.display()));
    }
    if plain.components().nth(MOST_COMPONENTS).is_some() {
        return Err(format!("a name has more than {MOST_COMPONENTS} components"));
    }
    Ok(())
}

/// Refuses what leads out of its directory, and what a terminal would take for a command.
fn check_text(path: &Path) -> Result<(), String> {
    if path.as_os_str().as_bytes().iter().any(u8::is_ascii_control) {
        return Err("a name has control characters".to_owned());
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{}` leads out of its directory", path.display()));
    }
    Ok(())
}

/// An object that can hold one value.
trait Holder: Stored {
    fn make(metadata: ObjectMeta, value: Vec<u8>) -> Self;
    fn value(&self) -> Option<&[u8]>;
}

impl Holder for ConfigMap {
    fn make(metadata: ObjectMeta, value: Vec<u8>) -> Self {
        let binary_data = Some([(KEY.to_owned(), ByteString(value))].into());
        Self { metadata, binary_data, ..Self::default() }
    }

    fn value(&self) -> Option<&[u8]> {
        self.binary_data.as_ref()?.get(KEY).map(|value| value.0.as_slice())
    }
}

impl Holder for Secret {
    fn make(metadata: ObjectMeta, value: Vec<u8>) -> Self {
        Self { metadata, data: Some([(KEY.to_owned(), ByteString(value))].into()), ..Self::default() }
    }

    fn value(&self) -> Option<&[u8]> {
        self.data.as_ref()?.get(KEY).map(|value| value.0.as_slice())
    }
}

/// The digest and the time in the annotations of an object.
fn described(metadata: &ObjectMeta) -> Option<(Digest, SystemTime)> {
    let annotations = metadata.annotations.as_ref()?;
    let digest = annotations.get(DIGEST)?.parse().ok()?;
    let stored = annotations.get(TIME).and_then(|time| humantime::parse_rfc3339(time).ok());
    Some((digest, stored.unwrap_or(SystemTime::UNIX_EPOCH)))
}

/// Reads the known-good revision, unless it is larger than `limits`; `None` if none is stored.
///
/// # Errors
/// When it cannot be read, or is not what its digest says.
pub async fn read(
    connection: &Connection,
    object: &ObjectName,
    limits: Limits,
) -> Result<Option<KnownGood>, StoreError> {
    match object.kind {
        ObjectKind::ConfigMap => read_from::<ConfigMap>(connection, object, limits).await,
        ObjectKind::Secret => read_from::<Secret>(connection, object, limits).await,
    }
}

async fn read_from<K: Holder>(
    connection: &Connection,
    object: &ObjectName,
    limits: Limits,
) -> Result<Option<KnownGood>, StoreError> {
    let Some(holder) = get::<K>(connection, object).await? else { return Ok(None) };
    let damaged = |reason: &str| StoreError::Damaged(object.clone(), reason.to_owned());
    // An object that was made in advance, for a Role without `create`.
    let Some(value) = holder.value() else { return Ok(None) };
    let (digest, stored) = described(holder.meta()).ok_or_else(|| damaged("it has no digest"))?;
    let tree = unpack(value, limits).map_err(|error| damaged(&error))?;
    if Revision::of(&tree).digest() != digest {
        return Err(damaged("it has another digest"));
    }
    Ok(Some(KnownGood { tree, digest, stored }))
}

async fn get<K: Holder>(connection: &Connection, object: &ObjectName) -> Result<Option<K>, StoreError> {
    let answer = async { connection.server().await?.get::<K>(&object.name).await }.await;
    match answer {
        Ok(holder) => Ok(Some(holder)),
        Err(RequestError::NotFound(_)) => Ok(None),
        Err(error) => Err(failed(connection, object, error)),
    }
}

fn failed(connection: &Connection, object: &ObjectName, error: RequestError) -> StoreError {
    connection.failed(&error);
    StoreError::Request { object: object.clone(), error }
}

/// Stores `tree`, which `pod` has verified, unless it is stored already. Returns true if it was not.
///
/// # Errors
/// When it cannot be stored; what was stored before stays.
pub async fn store(connection: &Connection, object: &ObjectName, pod: &str, tree: &Tree) -> Result<bool, StoreError> {
    match object.kind {
        ObjectKind::ConfigMap => store_in::<ConfigMap>(connection, object, pod, tree).await,
        ObjectKind::Secret => store_in::<Secret>(connection, object, pod, tree).await,
    }
}

async fn store_in<K: Holder>(
    connection: &Connection,
    object: &ObjectName,
    pod: &str,
    tree: &Tree,
) -> Result<bool, StoreError> {
    let names = tree.keys().chain(tree.links().keys()).try_for_each(|name| check_name(name));
    names
        .and_then(|()| tree.links().values().try_for_each(|target| check_text(target)))
        .map_err(|why| StoreError::Unfit(object.clone(), why))?;
    let (digest, value) = (Revision::of(tree).digest(), pack(tree));
    if value.len() > LARGEST {
        return Err(StoreError::TooLarge(object.clone(), value.len()));
    }
    for _ in 0..TRIES {
        let old = get::<K>(connection, object).await?;
        let is_stored = |old: &K| old.value().is_some() && described(old.meta()).is_some_and(|(of, _)| of == digest);
        if old.as_ref().is_some_and(is_stored) {
            return Ok(false);
        }
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let annotations = [(DIGEST, digest.to_string()), (TIME, time), (POD, pod.to_owned())];
        let metadata = ObjectMeta {
            name: Some(object.name.clone()),
            resource_version: old.as_ref().and_then(|old| old.meta().resource_version.clone()),
            annotations: Some(annotations.map(|(name, value)| (name.to_owned(), value)).into()),
            labels: Some([("app.kubernetes.io/managed-by".to_owned(), "reload-gate".to_owned())].into()),
            ..ObjectMeta::default()
        };
        let new = K::make(metadata, value.clone());
        let server = connection.server().await.map_err(|error| failed(connection, object, error))?;
        let sent = match old {
            Some(_) => server.replace(&object.name, &new).await,
            None => server.create(&new).await,
        };
        match sent {
            Ok(_) => return Ok(true),
            Err(RequestError::Conflict(_) | RequestError::NotFound(_)) => {}
            Err(error) => return Err(failed(connection, object, error)),
        }
    }
    Err(StoreError::Busy(object.clone()))
}

#[cfg(test)]
mod tests {
    use std::ops::Add as _;

    use super::*;

    fn tree() -> Tree {
        let mut tree: Tree = [
            (PathBuf::from("nginx.conf"), b"events {}\n".to_vec()),
            (PathBuf::from("sites/a.conf"), vec![0, 159, 146, 150]),
            (PathBuf::from(OsString::from_vec(vec![b'x', 0xff])), Vec::new()),
        ]
        .into();
        tree.link("modules".into(), "/usr/lib/nginx/modules".into());
        tree
    }

    #[test]
    fn a_tree_is_read_back_as_it_was_stored() {
        assert_eq!(unpack(&pack(&tree()), LIMITS), Ok(tree()));
    }

    const LIMITS: Limits = Limits { bytes: 1 << 20, files: 100 };

    #[test]
    fn a_name_that_leads_out_of_its_directory_is_refused() {
        for (name, is_tree) in [
            ("sites/a.conf", true),
            ("/etc/nginx/nginx.conf", true),
            ("..data", true),
            ("", false),
            ("/", false),
            ("./..data", false),
            ("sites/./a.conf", false),
            ("sites//a.conf", false),
            ("sites/", false),
            ("a\u{1b}[2J", false),
            ("a\nb", false),
            (&"d/".repeat(63).add("a"), true),
            (&"d/".repeat(2000).add("a"), false),
            ("../a.conf", false),
            ("sites/../../a.conf", false),
            ("/etc/nginx/../cron.d/a", false),
        ] {
            let of_file: Tree = [(PathBuf::from(name), Vec::new())].into();
            let mut of_link = Tree::new();
            of_link.link(name.into(), "a".into());
            for tree in [of_file, of_link] {
                assert_eq!(unpack(&pack(&tree), LIMITS).is_ok(), is_tree, "{name}");
            }
        }
        let many =
            |files: usize| (0..files).map(|file| (PathBuf::from(file.to_string()), Vec::new())).collect::<Tree>();
        assert!(unpack(&pack(&many(100)), LIMITS).is_ok());
        assert_eq!(unpack(&pack(&many(101)), LIMITS), Err("it has more than 100 files".to_owned()));
    }

    #[test]
    fn damaged_and_swollen_values_are_refused() {
        let packed = pack(&tree());
        assert!(unpack(&packed[..packed.len() / 2], LIMITS).is_err(), "a half is no tree");
        let large: Tree = [(PathBuf::from("a"), vec![b'a'; 8 << 20])].into();
        assert!(unpack(&pack(&large), LIMITS).is_err(), "it has more than the bound");
    }
}
