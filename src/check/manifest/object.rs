//! Objects: what kind each is, and what a ConfigMap or Secret holds.

use std::borrow::Cow;
use std::fmt;

use reload_gate_contract::{Code, Finding, Place};
use reload_gate_structured::yaml::{Node, Scalar, Style, Value as Yaml};

use super::Pod;

const NOT_TEXT: Code = Code::new("value-not-text");
const NOT_BASE64: Code = Code::new("not-base64");

/// The annotation which says who judges an object, and `none` for nobody.
const VALIDATOR: &str = "reload-gate.dev/validator";

/// What an object is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Such as `ConfigMap`.
    pub kind: String,
    /// Rendered charts often leave it open.
    pub namespace: Option<String>,
    /// Its name; empty where a name is generated.
    pub name: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// What an annotation says, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    /// The value.
    pub value: String,
    /// Its place in the document, whose file is empty.
    pub place: Place,
}

/// A ConfigMap or Secret, without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What it is called.
    pub id: Id,
    /// Whether its contents must not be shown.
    pub secret: bool,
    /// Who judges it, by its annotation.
    pub validator: Option<Annotated>,
    /// The names of its entries, sorted.
    pub keys: Vec<String>,
    /// The line of the document at which it begins.
    pub line: u32,
}

/// An object, as far as it is of interest.
#[derive(Clone, Debug)]
pub enum Object {
    /// It holds configuration.
    Config(Config),
    /// It has a pod template, or is a pod.
    Pod(Box<Pod>),
    /// Neither.
    Other,
}

impl Object {
    /// Reads the object at `node`.
    #[must_use]
    pub fn read(node: &Node) -> Self {
        let Some(id) = id(node) else { return Self::Other };
        if matches!(id.kind.as_str(), "ConfigMap" | "Secret") {
            return Self::Config(config(id, node));
        }
        Pod::read(id, node, annotation(node)).map_or(Self::Other, |pod| Self::Pod(Box::new(pod)))
    }
}

/// One entry of a ConfigMap or Secret.
#[derive(Debug)]
pub struct Value<'n> {
    node: &'n Node,
    encoded: bool,
    /// What a mounted file would contain.
    pub content: Cow<'n, [u8]>,
}

impl Value<'_> {
    /// The byte of the document's `text` at which byte `offset` of the content is written; `None` where the whole value is meant.
    #[must_use]
    pub fn locate(&self, text: &str, offset: usize) -> Option<usize> {
        if self.encoded { self.node.locate_base64(text, offset) } else { self.node.locate(text, offset) }
    }

    /// The whole value, where it is written.
    #[must_use]
    pub fn node(&self) -> &Node {
        self.node
    }
}

impl Config {
    /// The value of `key` of the object at `node`; `None` if there is none.
    ///
    /// # Errors
    /// What is wrong with it, at its place in the document.
    pub fn value<'n>(node: &'n Node, key: &str) -> Option<Result<Value<'n>, Box<Finding>>> {
        let secret = id(node)?.kind == "Secret";
        // What is written in clear goes over what is encoded (`stringData` in Kubernetes' API reference of Secret).
        let maps: [(&str, bool); 2] =
            if secret { [("stringData", false), ("data", true)] } else { [("data", false), ("binaryData", true)] };
        let find = |(map, encoded): (&str, bool)| Some((node.get(map)?.get(key)?, encoded));
        let (value, encoded) = maps.into_iter().find_map(find)?;
        Some(content(value, key, encoded).map(|content| Value { node: value, encoded, content }))
    }
}

/// Whether a document is a manifest: every object of Kubernetes' API has these two.
#[must_use]
pub fn is_manifest(root: &Node) -> bool {
    ["apiVersion", "kind"].iter().all(|key| root.get(key).and_then(Node::as_str).is_some())
}

/// The objects of a document, with those of a `List` (of lists).
#[must_use]
pub fn objects(root: Node) -> Vec<Node> {
    let is_list = root.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List"));
    if !is_list || root.get("items").is_none() {
        return vec![root];
    }
    let of_one_kind = root.get("kind").cloned().and_then(kind_of_items);
    let Yaml::Map(entries) = root.value else { return Vec::new() };
    let items = entries.into_iter().find(|(key, _)| key.as_str() == Some("items"));
    match items.map(|(_, items)| items.value) {
        Some(Yaml::List(items)) => {
            items.into_iter().map(|item| with_kind(item, of_one_kind.as_ref())).flat_map(objects).collect()
        }
        _ => Vec::new(),
    }
}

/// The kind of the items of a list of one kind: an API server leaves it out of them, as in a `ConfigMapList`.
fn kind_of_items(kind: Node) -> Option<(Node, Node)> {
    let (key, mut value) = (kind.clone(), kind);
    let Yaml::Scalar(scalar) = &mut value.value else { return None };
    scalar.text.truncate(scalar.text.len() - "List".len());
    let is_one = !scalar.text.is_empty();
    let name = Yaml::Scalar(Scalar { text: "kind".to_owned(), style: Style::Plain });
    is_one.then_some((Node { value: name, ..key }, value))
}

fn with_kind(mut item: Node, kind: Option<&(Node, Node)>) -> Node {
    let lacks = item.get("kind").is_none();
    if let (Yaml::Map(entries), Some(kind), true) = (&mut item.value, kind, lacks) {
        entries.push(kind.clone());
    }
    item
}

fn id(node: &Node) -> Option<Id> {
    let text = |node: &Node, key: &str| node.get(key).and_then(Node::as_str).map(str::to_owned);
    let metadata = node.get("metadata");
    let of = |key: &str| metadata.and_then(|metadata| text(metadata, key)).filter(|text| !text.is_empty());
    let name = of("name").or_else(|| of("generateName")).unwrap_or_default();
    Some(Id { kind: text(node, "kind")?, namespace: of("namespace"), name })
}

fn config(id: Id, node: &Node) -> Config {
    let secret = id.kind == "Secret";
    let maps = if secret { ["data", "stringData"] } else { ["data", "binaryData"] };
    let entries = maps.iter().filter_map(|map| node.get(map)).flat_map(Node::entries);
    let mut keys: Vec<String> = entries.filter_map(|(key, _)| key.as_str().map(str::to_owned)).collect();
    keys.sort();
    keys.dedup();
    Config { id, secret, validator: annotation(node), keys, line: node.line }
}

/// What the annotation of an object, or of a pod template, says.
pub(super) fn annotation(node: &Node) -> Option<Annotated> {
    let value = node.get("metadata")?.get("annotations")?.get(VALIDATOR)?;
    Some(Annotated { value: value.as_str()?.to_owned(), place: place(value) })
}

fn place(node: &Node) -> Place {
    Place { line: Some(node.line), column: Some(node.column), span: Some(node.span), ..Place::file("") }
}

fn content<'n>(value: &'n Node, key: &str, encoded: bool) -> Result<Cow<'n, [u8]>, Box<Finding>> {
    let wrong = |code, message: String, help: &str| Box::new(Finding::error(code, message).at(place(value)).help(help));
    let is_text = match &value.value {
        // What a plain scalar means is for its reader to say, and to an API server `80` and `yes` are no texts.
        Yaml::Scalar(scalar) => scalar.style != Style::Plain || encoded || !is_typed(&scalar.text),
        _ => false,
    };
    let Some(text) = value.as_str().filter(|_| is_text) else {
        if matches!(value.value, Yaml::Null) {
            return Ok(Cow::Borrowed(b""));
        }
        let help = "quote it, or begin a text of several lines with `|`; Kubernetes takes nothing but texts there";
        return Err(wrong(NOT_TEXT, format!("the value of `{key}` is no text"), help));
    };
    if !encoded {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    base64(text).map(Cow::Owned).ok_or_else(|| {
        let help = "encode it, as by `base64 -w0`; or write it in clear under `stringData` (of a Secret) or `data` (of a ConfigMap)";
        wrong(NOT_BASE64, format!("the value of `{key}` is not base64"), help)
    })
}

/// Whether a plain scalar is a number, a truth value or null to the YAML reader of Kubernetes, which is one of YAML 1.1
/// (`sigs.k8s.io/yaml`).
fn is_typed(text: &str) -> bool {
    const WORDS: [&str; 12] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", ".inf", ".nan"];
    let number = text.trim_start_matches(['+', '-']).replace('_', "");
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| {
        number
            .strip_prefix(prefix)
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    let decimal = number.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.parse::<f64>().is_ok();
    radix || decimal || WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Standard base64 with padding (RFC 4648, section 4), in which line breaks are passed over, as Go's decoder does.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    base64::engine::general_purpose::STANDARD.decode(joined).ok()
}
