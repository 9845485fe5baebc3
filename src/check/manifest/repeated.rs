//! Keys that a mapping of a manifest has twice. Pure.

use reload_gate_structured::yaml::{Node, Value as Yaml, repeated};

use super::Object;

/// Largest number of duplicate keys of a document that are reported.
const MOST: usize = 100;

/// Maps with the contents of files.
const CONTENTS: [&str; 3] = ["data", "stringData", "binaryData"];

/// Keys of `metadata` that are read.
const NAMES: [&str; 4] = ["name", "generateName", "namespace", "annotations"];

/// Prefix of the annotations that are read.
const OWN: &str = "reload-gate.dev/";

/// Key that its mapping has already.
#[derive(Clone, Copy, Debug)]
pub struct RepeatedKey<'n> {
    /// The key.
    pub key: &'n Node,
    /// The key before it; `None` for `<<`, whose mappings are merged.
    pub first: Option<&'n Node>,
    /// True if the judgement depends on which of the values counts: kubectl and Helm take the last, and strict decoding refuses both.
    pub is_decisive: bool,
}

/// ManifestPart of a manifest, by what is read in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ManifestPart {
    Object,
    Metadata,
    Annotations,
    Contents,
    /// Anything else that is read.
    Read,
    Unread,
}

impl ManifestPart {
    /// Returns the part that the value of a key is.
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Object, key) if CONTENTS.contains(&key) => Self::Contents,
            (Self::Object, "status") | (Self::Unread, _) => Self::Unread,
            // A template of pods has metadata as well.
            (Self::Object | Self::Read, "metadata") => Self::Metadata,
            (Self::Metadata, "annotations") => Self::Annotations,
            (Self::Metadata, _) => Self::Unread,
            _ => Self::Read,
        }
    }

    /// Returns true if the value of a key is read.
    fn reads(self, key: &str) -> bool {
        match self {
            Self::Object => key != "status",
            Self::Metadata => NAMES.contains(&key),
            Self::Annotations => key.starts_with(OWN),
            Self::Contents | Self::Read => true,
            Self::Unread => false,
        }
    }
}

/// Returns the duplicate keys of a document with this text: the first hundred, those first on which the judgement depends.
#[must_use]
pub fn repeated_keys<'n>(root: &'n Node, known: &'n [Node], text: &str) -> Vec<RepeatedKey<'n>> {
    let merges = known.iter().filter(|key| key.as_str() == Some("<<"));
    let mut found: Vec<_> = merges.map(|key| RepeatedKey { key, first: None, is_decisive: false }).collect();
    document(root, text, false, &mut found);
    found.sort_by_key(|repeated| (!repeated.is_decisive, repeated.key.span.start()));
    // A node of an alias has the place of its anchor.
    found.dedup_by_key(|repeated| (repeated.is_decisive, repeated.key.span.start()));
    found.truncate(MOST);
    found
}

/// Adds the keys of an object, or of the objects of a list.
fn document<'n>(node: &'n Node, text: &str, is_of_kind: bool, found: &mut Vec<RepeatedKey<'n>>) {
    let kind = node.get("kind").and_then(Node::as_str);
    let is_list = kind.is_some_and(|kind| kind.ends_with("List"));
    let (items, rest): (Vec<_>, Vec<_>) =
        node.entries().iter().partition(|(key, _)| is_list && key.as_str() == Some("items"));
    for item in items.into_iter().flat_map(|(_, items)| items.items()) {
        document(item, text, kind != Some("List"), found);
    }
    let is_read = || is_of_kind || is_list || may_be_read(node, text) || may_be_read(&with_last(node), text);
    let mut below = Vec::new();
    of_mapping(node, ManifestPart::Object, &mut below);
    for (key, value) in rest {
        walk(value, ManifestPart::Object.below(key.as_str().unwrap_or_default()), &mut below);
    }
    let is_read = !below.is_empty() && is_read();
    found.extend(below.into_iter().map(|key| RepeatedKey { is_decisive: key.is_decisive && is_read, ..key }));
}

fn may_be_read(node: &Node, text: &str) -> bool {
    !matches!(Object::read(node, text), Object::Other)
}

fn walk<'n>(node: &'n Node, part: ManifestPart, found: &mut Vec<RepeatedKey<'n>>) {
    of_mapping(node, part, found);
    for (key, value) in node.entries() {
        walk(value, part.below(key.as_str().unwrap_or_default()), found);
    }
    for item in node.items() {
        walk(item, part, found);
    }
}

/// Adds the duplicate keys of one mapping.
fn of_mapping<'n>(node: &'n Node, part: ManifestPart, found: &mut Vec<RepeatedKey<'n>>) {
    for (first, key) in repeated(node.entries()) {
        let is_read = part.reads(key.0.as_str().unwrap_or_default());
        let is_decisive = is_read && (part == ManifestPart::Contents || !first.1.has_same_value(&key.1));
        found.push(RepeatedKey { key: &key.0, first: Some(&first.0), is_decisive });
    }
}

/// Returns a node in which the last of equal keys counts.
fn with_last(node: &Node) -> Node {
    let value = match &node.value {
        Yaml::Map(entries) => {
            Yaml::Map(entries.iter().rev().map(|(key, value)| (key.clone(), with_last(value))).collect())
        }
        Yaml::List(items) => Yaml::List(items.iter().map(with_last).collect()),
        other => other.clone(),
    };
    Node { value, ..*node }
}

#[cfg(test)]
mod tests {
    use reload_gate_structured::yaml;

    use super::*;

    /// `LINE KEY` of each duplicate key, with `!` if it is decisive.
    #[track_caller]
    fn found(text: &str) -> Vec<String> {
        let document = yaml::documents(text).next().expect("there is one").expect("it is YAML");
        let keys = repeated_keys(&document.root, &document.repeated, text);
        let shown = |repeated: &RepeatedKey<'_>| {
            let mark = if repeated.is_decisive { "!" } else { "" };
            format!("{} {}{mark}", repeated.key.line, repeated.key.as_str().unwrap_or_default())
        };
        keys.iter().map(shown).collect()
    }

    #[test]
    fn a_key_counts_if_the_judgement_depends_on_its_value() {
        let object = |rest: &str| format!("apiVersion: v1\nkind: ConfigMap\n{rest}");
        for (rest, expected) in [
            ("data: {a: x}\ndata: {a: y}\n", vec!["4 data!"]),
            ("data: {a: x}\ndata: {a: x}\n", vec!["4 data"]),
            ("data:\n  a: x\n  a: x\n", vec!["5 a!"]),
            ("data: {b: z}\ndata:\n  a: x\n  a: y\n", vec!["4 data!", "6 a!"]),
            ("kind: Secret\n", vec!["3 kind!"]),
            ("metadata: {name: a}\nmetadata: {name: b}\n", vec!["4 metadata!"]),
            ("metadata:\n  name: a\n  name: b\n", vec!["5 name!"]),
            ("metadata:\n  labels: {a: b}\n  labels: {a: c}\n", vec!["5 labels"]),
            ("metadata:\n  annotations:\n    x: a\n    x: b\n", vec!["6 x"]),
            (
                "metadata:\n  annotations:\n    reload-gate.dev/validator: none\n    reload-gate.dev/validator: nginx\n",
                vec!["6 reload-gate.dev/validator!"],
            ),
            ("x: &a\n  b: 1\n  b: 2\ny: *a\nz: *a\n", vec!["5 b!"]),
        ] {
            assert_eq!(found(&object(rest)), expected, "{rest}");
        }
    }

    #[test]
    fn pods_and_items_of_lists_count_and_other_objects_do_not() {
        let spec = "spec:\n  containers: [{name: a, image: x, image: y}]\n";
        assert_eq!(found(&format!("kind: Pod\n{spec}")), ["3 image!"]);
        assert_eq!(
            found("kind: Deployment\nspec: {a: 1}\nspec: {template: {spec: {containers: [{name: a}]}}}\n"),
            ["3 spec!"]
        );
        assert_eq!(found("kind: Service\nspec:\n  a: 1\n  a: 2\n"), ["4 a"]);
        let item =
            "kind: List\nitems:\n- kind: ConfigMap\n  data: {a: x, a: y}\n- kind: Service\n  spec: {b: 1, b: 2}\n";
        assert_eq!(found(item), ["4 a!", "6 b"]);
        assert_eq!(found("kind: ConfigMapList\nitems:\n- metadata: {}\n  data: {a: x, a: y}\n"), ["4 a!"]);
    }
}
