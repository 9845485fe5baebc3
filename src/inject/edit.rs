//! A value under change, and the JSON Patch (RFC 6902) that makes it of the original.

use serde::Serialize;
use serde_json::Value;

/// One operation of a JSON Patch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatchOperation {
    /// `add`, or `replace`.
    pub op: &'static str,
    /// Place, as a JSON Pointer (RFC 6901); `-` is the end of a list.
    pub path: String,
    /// New value.
    pub value: Value,
}

/// Builder of a patch.
pub(super) struct PatchBuilder {
    value: Value,
    operations: Vec<PatchOperation>,
}

impl PatchBuilder {
    pub(super) fn new(value: Value) -> Self {
        Self { value, operations: Vec::new() }
    }

    /// The value as it is now.
    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// The changed value, and the patch.
    pub(super) fn finish(self) -> (Value, Vec<PatchOperation>) {
        (self.value, self.operations)
    }

    /// Sets a key of the mapping at `parent`.
    pub(super) fn set(&mut self, parent: &str, key: &str, value: Value) {
        let Some(map) = self.value.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
        map.insert(key.to_owned(), value.clone());
        let path = format!("{parent}/{}", escaped(key));
        self.operations.push(PatchOperation { op: "add", path, value });
    }

    /// Adds items to the end of the list `key` of the mapping at `parent`, which is created if it is missing.
    pub(super) fn append(&mut self, parent: &str, key: &str, items: Vec<Value>) {
        if items.is_empty() {
            return;
        }
        let path = format!("{parent}/{}", escaped(key));
        let Some(list) = self.value.pointer_mut(&path).and_then(Value::as_array_mut) else {
            return self.set(parent, key, Value::Array(items));
        };
        list.extend(items.iter().cloned());
        let add = |value| PatchOperation { op: "add", path: format!("{path}/-"), value };
        self.operations.extend(items.into_iter().map(add));
    }

    /// Replaces the value at a place that exists.
    pub(super) fn replace(&mut self, path: String, value: Value) {
        let Some(place) = self.value.pointer_mut(&path) else { return };
        *place = value.clone();
        self.operations.push(PatchOperation { op: "replace", path, value });
    }
}

/// A key as a part of a JSON Pointer (RFC 6901, section 3).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The parts of a JSON Pointer.
pub(super) fn parts(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"))
}
