//! Objects: their kinds, and the contents of ConfigMaps and Secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use reload_gate_contract::{Code, Finding, Place};
use reload_gate_structured::yaml::{Node, Scalar, Style, Value as Yaml};

use super::{Pod, Snippet};

const NOT_TEXT: Code = Code::new("value-not-text");
const NOT_BASE64: Code = Code::new("not-base64");

/// Beginning of the label and the annotations that are about validation.
pub const PREFIX: &str = "reload-gate.dev/";

/// Label that selects an object for the webhook, and names its validator.
pub const LABEL: &str = "reload-gate.dev/validate";

/// Annotation that names the validator of an object; `none` turns validation off.
pub const VALIDATOR: &str = "reload-gate.dev/validator";

/// Annotation that ignores findings of an object.
pub const IGNORE: &str = "reload-gate.dev/ignore";

/// Name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Kind, such as `ConfigMap`.
    pub kind: String,
    /// Namespace; rendered charts often have none.
    pub namespace: Option<String>,
    /// Name; empty where it is generated.
    pub name: String,
}

impl Id {
    /// Returns true if it names a Secret, so that its contents are not shown.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.kind == "Secret"
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Value and place of an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotated {
    /// Value.
    pub value: String,
    /// Place in the document, with an empty file.
    pub place: Place,
}

/// ConfigMap or Secret, without its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigObject {
    /// Its name.
    pub id: Id,
    /// True if it is a Secret, so that its contents are not shown.
    pub secret: bool,
    /// Label that names its validator.
    pub label: Option<Annotated>,
    /// Annotation that names its validator.
    pub validator: Option<Annotated>,
    /// Annotation that ignores findings.
    pub ignore: Option<Annotated>,
    /// Its other annotations with [`PREFIX`], by their names.
    pub settings: BTreeMap<String, Annotated>,
    /// Keys of its entries, sorted.
    pub keys: Vec<ConfigKey>,
    /// Line of the document at which it begins.
    pub line: u32,
}

/// Key of a ConfigMap or Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigKey {
    /// Name.
    pub name: Arc<str>,
    /// Value, if its document has it verbatim.
    pub verbatim: Option<VerbatimValue>,
}

/// Value that its document has verbatim: without escapes, folds and indentation. It is read without a tree of the document, which takes many
/// times the memory of small values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerbatimValue {
    /// Offset in the document.
    start: u32,
    length: u32,
    encoded: bool,
}

impl VerbatimValue {
    /// Returns the value of a node of a document with this text, if it is there verbatim.
    #[must_use]
    pub fn of(written: &WrittenValue<'_>, text: &str) -> Option<Self> {
        let Yaml::Scalar(scalar) = &written.node.value else { return None };
        let quotes = usize::from(matches!(scalar.style, Style::SingleQuoted | Style::DoubleQuoted));
        let start = written.node.span.start() + quotes;
        let is_same = text.get(start..)?.starts_with(&*scalar.text);
        let (start, length) = (u32::try_from(start).ok()?, u32::try_from(scalar.text.len()).ok()?);
        is_same.then_some(Self { start, length, encoded: written.encoded })
    }

    /// Returns the content in the document's `text`; `None` if it is not there.
    #[must_use]
    pub fn content(self, text: &str) -> Option<Cow<'_, [u8]>> {
        let (start, length) = (usize::try_from(self.start).ok()?, usize::try_from(self.length).ok()?);
        let value = text.get(start..start.checked_add(length)?)?;
        if self.encoded { base64(value).map(Cow::Owned) } else { Some(Cow::Borrowed(value.as_bytes())) }
    }
}

/// PrometheusRule, with the lines of its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesObject {
    /// Its name.
    pub id: Id,
    /// Line of the document at which it begins.
    pub line: u32,
    /// First line of its `spec`, which has the form of a rule file.
    pub first_line: u32,
    /// Last line of its `spec`.
    pub last_line: u32,
    /// Number of columns in front of the keys of its `spec`.
    pub indent: usize,
}

/// Object of a manifest.
#[derive(Clone, Debug)]
pub enum Object {
    /// ConfigMap or Secret.
    Config(Box<ConfigObject>),
    /// Pod, or an object with a pod template.
    Pod(Box<Pod>),
    /// PrometheusRule of the Prometheus Operator.
    Rules(RulesObject),
    /// Object with snippets of nginx configuration.
    Snippets(Vec<Snippet>),
    /// Any other object.
    Other,
}

impl Object {
    /// Reads the object at `node` of a document with this text.
    #[must_use]
    pub fn read(node: &Node, text: &str) -> Self {
        let Some(id) = id(node) else { return Self::Other };
        if matches!(id.kind.as_str(), "ConfigMap" | "Secret") {
            return Self::Config(Box::new(config(id, node)));
        }
        if id.kind == "PrometheusRule" {
            return rules(id, node, text).map_or(Self::Other, Self::Rules);
        }
        let snippets = Snippet::all(&id, node);
        if !snippets.is_empty() {
            return Self::Snippets(snippets);
        }
        Pod::read(id, node, annotation(node)).map_or(Self::Other, |pod| Self::Pod(Box::new(pod)))
    }
}

/// Position of a value in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValuePosition {
    /// Map that it is in, by its number in [`ConfigObject::maps`].
    map: u8,
    index: u32,
}

/// Positions of the values of an object, by key: without them the search would be quadratic in the number of keys.
#[derive(Debug)]
pub struct ValuePositions(Vec<ValuePosition>);

impl ValuePositions {
    /// Returns the position of the value of `key` in the object at `node`; of several the last.
    #[must_use]
    pub fn get(&self, node: &Node, key: &str) -> Option<ValuePosition> {
        let is_of = |position: &ValuePosition| position.entry(node).and_then(|(name, _)| name.as_str());
        let end = self.0.partition_point(|position| is_of(position) <= Some(key));
        let position = self.0[..end].last()?;
        (is_of(position) == Some(key)).then_some(*position)
    }
}

impl ValuePosition {
    /// Returns the entry at this position, with its key.
    fn entry(self, node: &Node) -> Option<&(Node, Node)> {
        let (map, _) = ConfigObject::maps(node)[usize::from(self.map)];
        node.get(map)?.entries().get(usize::try_from(self.index).ok()?)
    }
}

/// Value of one entry of a ConfigMap or Secret as it is written.
#[derive(Clone, Copy, Debug)]
pub struct WrittenValue<'n> {
    /// Node of the whole value.
    pub node: &'n Node,
    encoded: bool,
}

impl WrittenValue<'_> {
    /// Returns the offset in the document's `text` of byte `offset` of the content; `None` if it is unknown.
    #[must_use]
    pub fn locate(&self, text: &str, offset: usize) -> Option<usize> {
        if self.encoded { self.node.locate_base64(text, offset) } else { self.node.locate(text, offset) }
    }
}

impl ConfigObject {
    /// Returns the maps with the values of the object at `node`, and whether these are encoded. The last counts for a key.
    fn maps(node: &Node) -> [(&'static str, bool); 2] {
        // `stringData` takes precedence over `data` (Kubernetes' API reference of Secret).
        match node.get("kind").and_then(Node::as_str) {
            Some("Secret") => [("data", true), ("stringData", false)],
            _ => [("binaryData", true), ("data", false)],
        }
    }

    /// Returns the positions of all values of the object at `node`, by key.
    #[must_use]
    pub fn positions(node: &Node) -> ValuePositions {
        let maps = Self::maps(node).map(|(name, _)| node.get(name).map_or(&[][..], Node::entries));
        let mut positions = Vec::with_capacity(maps.iter().map(|entries| entries.len()).sum());
        for (map, entries) in (0..).zip(&maps) {
            let named = (0..).zip(*entries).filter(|(_, (key, _))| key.as_str().is_some());
            positions.extend(named.map(|(index, _)| ValuePosition { map, index }));
        }
        let key = |position: &ValuePosition| {
            let index = usize::try_from(position.index).ok()?;
            maps[usize::from(position.map)].get(index)?.0.as_str()
        };
        positions.sort_unstable_by_key(|position| (key(position), position.map, position.index));
        ValuePositions(positions)
    }

    /// Returns the text of a scalar, as it is written.
    #[must_use]
    pub fn text_at(node: &Node, position: ValuePosition) -> Option<&str> {
        position.entry(node)?.1.as_str()
    }

    /// Returns the value of `key` of the object at `node`: the content of the mounted file.
    ///
    /// # Errors
    /// Error of the value, at its place in the document.
    pub fn value_at<'n>(node: &'n Node, key: &str, position: ValuePosition) -> Result<Cow<'n, [u8]>, Box<Finding>> {
        let (name, encoded) = Self::maps(node)[usize::from(position.map)];
        let missing = || Box::new(Finding::environment(NOT_TEXT, format!("`{name}` has no value of `{key}`")));
        let (_, value) = position.entry(node).ok_or_else(missing)?;
        content(value, key, encoded)
    }

    /// Returns the value at a position of the object at `node`, as it is written.
    #[must_use]
    pub fn written_at(node: &Node, position: ValuePosition) -> Option<WrittenValue<'_>> {
        let (_, encoded) = Self::maps(node)[usize::from(position.map)];
        Some(WrittenValue { node: &position.entry(node)?.1, encoded })
    }
}

/// Returns true if a document is a manifest: every object of Kubernetes' API has these two keys.
#[must_use]
pub fn is_manifest(root: &Node) -> bool {
    ["apiVersion", "kind"].iter().all(|key| root.get(key).and_then(Node::as_str).is_some())
}

/// Returns the objects of a document, with those of a `List` (of lists).
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

/// Returns the kind of the items of a list of one kind: the API server omits it in the items, as in a `ConfigMapList`.
fn kind_of_items(kind: Node) -> Option<(Node, Node)> {
    let (key, mut value) = (kind.clone(), kind);
    let Yaml::Scalar(scalar) = &mut value.value else { return None };
    scalar.text = scalar.text.strip_suffix("List").unwrap_or_default().into();
    let is_one = !scalar.text.is_empty();
    let name = Yaml::Scalar(Scalar { text: "kind".into(), style: Style::Plain });
    is_one.then_some((Node { value: name, ..key }, value))
}

fn with_kind(mut item: Node, kind: Option<&(Node, Node)>) -> Node {
    let lacks = item.get("kind").is_none();
    if let (Yaml::Map(entries), Some(kind), true) = (&mut item.value, kind, lacks) {
        *entries = std::mem::take(entries).into_iter().chain([kind.clone()]).collect();
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

fn config(id: Id, node: &Node) -> ConfigObject {
    let secret = id.is_secret();
    let maps = if secret { ["data", "stringData"] } else { ["data", "binaryData"] };
    let maps = maps.map(|map| node.get(map).map_or(&[][..], Node::entries));
    let mut keys = Vec::with_capacity(maps.iter().map(|entries| entries.len()).sum());
    let names = maps.into_iter().flatten().filter_map(|(key, _)| key.as_str());
    keys.extend(names.map(|name| ConfigKey { name: name.into(), verbatim: None }));
    keys.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    keys.dedup_by(|one, other| one.name == other.name);
    let (label, settings) = (within(node, "labels", LABEL), settings(node));
    let (validator, ignore) = (annotation(node), ignore(node));
    ConfigObject { id, secret, label, validator, ignore, settings, keys, line: node.line }
}

/// Returns the annotations of an object with [`PREFIX`], without those that have a field of their own.
fn settings(node: &Node) -> BTreeMap<String, Annotated> {
    let annotations = node.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let named =
        annotations.map_or(&[][..], Node::entries).iter().filter_map(|(key, value)| Some((key.as_str()?, value)));
    let own = named.filter(|(name, _)| name.starts_with(PREFIX) && ![VALIDATOR, IGNORE].contains(name));
    let read = |value: &Node| Some(Annotated { value: value.as_str()?.to_owned(), place: place(value) });
    own.filter_map(|(name, value)| Some((name.to_owned(), read(value)?))).collect()
}

/// Returns the lines of the `spec` of a PrometheusRule, if it is a block of its own lines.
fn rules(id: Id, node: &Node, text: &str) -> Option<RulesObject> {
    let spec = node.get("spec")?;
    let (first, _) = spec.entries().first()?;
    let indent = usize::try_from(first.column).ok()?.checked_sub(1)?;
    let is_of_spec = |line: &str| {
        let depth = line.len() - line.trim_start_matches(' ').len();
        line.trim().is_empty() || line.trim_start().starts_with('#') || depth >= indent
    };
    let lines: Vec<&str> = text.lines().skip(usize::try_from(first.line).ok()? - 1).collect();
    let is_block = indent > 0 && lines.first()?[..indent].trim().is_empty();
    let count = lines.iter().take_while(|line| is_of_spec(line)).count();
    let last_line = first.line + u32::try_from(count).ok()?.saturating_sub(1);
    is_block.then_some(RulesObject { id, line: node.line, first_line: first.line, last_line, indent })
}

/// Returns the annotation of an object or of a pod template that names a validator.
pub(super) fn annotation(node: &Node) -> Option<Annotated> {
    annotated(node, VALIDATOR)
}

/// Returns the annotation of an object that ignores findings.
pub(super) fn ignore(node: &Node) -> Option<Annotated> {
    annotated(node, IGNORE)
}

fn annotated(node: &Node, name: &str) -> Option<Annotated> {
    within(node, "annotations", name)
}

/// Returns the value of that name in a map of the metadata.
fn within(node: &Node, map: &str, name: &str) -> Option<Annotated> {
    let value = node.get("metadata")?.get(map)?.get(name)?;
    Some(Annotated { value: value.as_str()?.to_owned(), place: place(value) })
}

fn place(node: &Node) -> Place {
    Place { line: Some(node.line), column: Some(node.column), span: Some(node.span.into()), ..Place::file("") }
}

fn content<'n>(value: &'n Node, key: &str, encoded: bool) -> Result<Cow<'n, [u8]>, Box<Finding>> {
    let wrong = |code, message: String, help: &str| Box::new(Finding::error(code, message).at(place(value)).help(help));
    let is_text = match &value.value {
        // To the API server plain scalars such as `80` and `yes` are no strings.
        Yaml::Scalar(scalar) => scalar.style != Style::Plain || encoded || !is_typed(&scalar.text),
        _ => false,
    };
    let Some(text) = value.as_str().filter(|_| is_text) else {
        if matches!(value.value, Yaml::Null) {
            return Ok(Cow::Borrowed(b""));
        }
        let help = "quote it, or begin a string of several lines with `|`; Kubernetes accepts only strings there";
        return Err(wrong(NOT_TEXT, format!("the value of `{key}` is no string"), help));
    };
    if !encoded {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    base64(text).map(Cow::Owned).ok_or_else(|| {
        let help = "encode it, as by `base64 -w0`; or write it in clear under `stringData` (of a Secret) or `data` (of a ConfigMap)";
        wrong(NOT_BASE64, format!("the value of `{key}` is not base64"), help)
    })
}

/// Returns true if a plain scalar is a number, a boolean or null to the YAML reader of Kubernetes, which is one of YAML 1.1
/// (`sigs.k8s.io/yaml`).
fn is_typed(text: &str) -> bool {
    const WORDS: [&str; 12] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", ".inf", ".nan"];
    let number = text.trim_start_matches(['+', '-']).replace('_', "");
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| {
        number
            .strip_prefix(prefix)
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()))
            // A larger one is a string to go-yaml, which reads integers of 64 bits (`resolve()` in its `resolve.go`).
            && fits_64_bits(&number)
    });
    let decimal =
        number.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.parse::<f64>().is_ok_and(f64::is_finite);
    radix || decimal || WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Returns true if an integer with a radix fits into 64 bits.
fn fits_64_bits(number: &str) -> bool {
    let radix = match number.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        _ => 2,
    };
    u64::from_str_radix(&number[2..], radix).is_ok()
}

/// Decodes standard base64 with padding (RFC 4648, section 4). Line breaks are ignored, as by Go's decoder.
fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
    if !text.contains(['\r', '\n']) {
        return decode(text);
    }
    let mut joined = String::with_capacity(text.len());
    joined.extend(text.split(['\r', '\n']));
    decode(&joined)
}
