//! The AdmissionReview (`admission.k8s.io/v1`): the request as a value, and the response as bytes. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Version of the API that is spoken.
const VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Largest number of keys of an object that is validated, as of files of a configuration (`--max-files`). One more is read, so that there
/// being too many is known.
pub const MOST_KEYS: usize = 10_000;

/// Change of an object that waits to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Name of the request, which the response repeats.
    pub uid: String,
    /// Kind of the change.
    pub operation: Operation,
    /// True if nothing will be stored.
    pub dry_run: bool,
    /// The object as it would be stored; `None` if it is not one that is validated.
    pub object: Option<ReviewedObject>,
    /// The object as it is stored.
    pub old: Option<ReviewedObject>,
}

/// Kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// Another content of an object.
    Update,
    /// Any other, such as a deletion.
    Other,
}

impl Operation {
    /// Returns the name for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Other => "other",
        }
    }
}

/// ConfigMap or Secret in a review.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReviewedObject {
    /// True if it is a Secret.
    pub is_secret: bool,
    /// Namespace.
    pub namespace: String,
    /// Name; the prefix of one where the API server will generate it.
    pub name: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Contents of the files by key, decoded.
    pub contents: BTreeMap<String, Vec<u8>>,
}

impl ReviewedObject {
    /// Returns the name of the kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        if self.is_secret { "Secret" } else { "ConfigMap" }
    }

    /// Returns true if it has more keys than are validated. Those beyond were not read.
    #[must_use]
    pub fn has_too_many_keys(&self) -> bool {
        self.contents.len() > MOST_KEYS
    }

    /// Returns the number of bytes of its contents.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.contents.values().map(Vec::len).sum()
    }
}

/// Object of any kind that waits to be stored for the first time, or anew.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedObject {
    /// Name of the request, which the response repeats.
    pub uid: String,
    /// Namespace.
    pub namespace: String,
    /// The object; `None` for a deletion and for a part of an object.
    pub object: Option<Value>,
}

impl CreatedObject {
    /// Reads a review.
    ///
    /// # Errors
    /// When the bytes are no review.
    pub fn parse(body: &[u8]) -> Result<Self, BadReview> {
        let request = RequestBody::parse(body)?;
        let object = match request.operation() {
            Operation::Other => None,
            _ => request.object.map(|raw| serde_json::from_str(raw.get())).transpose()?,
        };
        Ok(Self { uid: request.uid, namespace: request.namespace.unwrap_or_default(), object })
    }
}

/// Reason why bytes are no review.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReview {
    /// It is not JSON of the form of a review. The message names no part of the content, which may be a Secret.
    #[error("the body is no {KIND}: error at line {line}, column {column}")]
    Malformed {
        /// Line of the body.
        line: usize,
        /// Column of the body.
        column: usize,
    },
    /// It is of another version or kind.
    #[error("the body is no {KIND} of {VERSION}")]
    OtherVersion,
    /// It has no request.
    #[error("the {KIND} has no request")]
    WithoutRequest,
    /// A value that is base64 by its place is none.
    #[error("a value of the object is not base64")]
    NotBase64,
}

impl From<serde_json::Error> for BadReview {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed { line: error.line(), column: error.column() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(borrow)]
    request: Option<RequestBody<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestBody<'a> {
    uid: String,
    kind: ObjectKind,
    #[serde(default)]
    sub_resource: Option<String>,
    operation: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    dry_run: Option<bool>,
    // Objects of other kinds have other forms, so an object is read only when its kind is known.
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ObjectKind {
    #[serde(default)]
    group: String,
    kind: String,
}

/// First entries of a map: the memory that an entry takes is a multiple of its bytes in JSON.
#[derive(Debug)]
struct Entries<V>(BTreeMap<String, V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
            type Value = Entries<V>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while entries.len() <= MOST_KEYS {
                    let Some((key, value)) = access.next_entry()? else { return Ok(Entries(entries)) };
                    if entries.insert(key, value).is_some() {
                        return Err(serde::de::Error::custom("duplicate key"));
                    }
                }
                while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectBody {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    data: Option<Entries<Option<String>>>,
    #[serde(default)]
    binary_data: Option<Entries<Option<String>>>,
    #[serde(default)]
    string_data: Option<Entries<Option<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    generate_name: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    labels: Option<Entries<String>>,
    #[serde(default)]
    annotations: Option<Entries<String>>,
}

impl<'a> RequestBody<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, BadReview> {
        let Envelope { api_version, kind, request } = serde_json::from_slice(body)?;
        if api_version != VERSION || kind != KIND {
            return Err(BadReview::OtherVersion);
        }
        request.ok_or(BadReview::WithoutRequest)
    }

    fn operation(&self) -> Operation {
        let is_whole = self.sub_resource.as_deref().is_none_or(str::is_empty);
        match self.operation.as_str() {
            "CREATE" if is_whole => Operation::Create,
            "UPDATE" if is_whole => Operation::Update,
            _ => Operation::Other,
        }
    }
}

impl Review {
    /// Reads a review.
    ///
    /// # Errors
    /// When the bytes are no review.
    pub fn parse(body: &[u8]) -> Result<Self, BadReview> {
        let request = RequestBody::parse(body)?;
        let operation = request.operation();
        let is_secret = match (request.kind.group.as_str(), request.kind.kind.as_str()) {
            ("", "ConfigMap") => Some(false),
            ("", "Secret") => Some(true),
            _ => None,
        };
        let is_seen = operation != Operation::Other;
        let namespace = request.namespace.unwrap_or_default();
        let read = |raw: Option<&RawValue>| match (raw, is_secret.filter(|_| is_seen)) {
            (Some(raw), Some(is_secret)) => ReviewedObject::parse(raw, is_secret, &namespace).map(Some),
            _ => Ok(None),
        };
        let object = read(request.object)?;
        let old = if operation == Operation::Update { read(request.old_object)? } else { None };
        Ok(Self { uid: request.uid, operation, dry_run: request.dry_run.unwrap_or(false), object, old })
    }
}

impl ReviewedObject {
    fn parse(raw: &RawValue, is_secret: bool, namespace: &str) -> Result<Self, BadReview> {
        let body: ObjectBody = serde_json::from_str(raw.get())?;
        Self::of(body, is_secret, namespace)
    }

    fn of(body: ObjectBody, is_secret: bool, namespace: &str) -> Result<Self, BadReview> {
        let ObjectBody { metadata, data, binary_data, string_data } = body;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let mut contents = BTreeMap::new();
        // `stringData` takes precedence over `data`; the API server has merged them before it asks.
        let maps = if is_secret { [(data, true), (string_data, false)] } else { [(binary_data, true), (data, false)] };
        for (map, is_encoded) in maps {
            for (key, value) in map.into_iter().flat_map(|map| map.0) {
                let value = value.unwrap_or_default();
                let bytes = if is_encoded { decode(&value)? } else { value.into_bytes() };
                contents.insert(key, bytes);
            }
        }
        Ok(Self {
            is_secret,
            namespace: filled(metadata.namespace).unwrap_or_else(|| namespace.to_owned()),
            name: filled(metadata.name).or(filled(metadata.generate_name)).unwrap_or_default(),
            labels: metadata.labels.map(|labels| labels.0).unwrap_or_default(),
            annotations: metadata.annotations.map(|annotations| annotations.0).unwrap_or_default(),
            contents,
        })
    }
}

/// Decodes standard base64 with padding (RFC 4648, section 4). Line breaks are ignored, as by Go's decoder.
fn decode(text: &str) -> Result<Vec<u8>, BadReview> {
    let engine = base64::engine::general_purpose::STANDARD;
    if !text.contains(['\r', '\n']) {
        return engine.decode(text).map_err(|_| BadReview::NotBase64);
    }
    let joined: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    engine.decode(joined).map_err(|_| BadReview::NotBase64)
}

/// Answer to a review.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Reason of a denial; `None` if the object is allowed.
    pub denial: Option<String>,
    /// Warnings, which clients show.
    pub warnings: Vec<String>,
    /// Verdict for the audit log of the API server.
    pub verdict: Option<&'static str>,
    /// JSON Patch of the object, as text.
    pub patch: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseEnvelope<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: ResponseBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseBody<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ResponseStatus<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    /// In base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, &'static str>,
}

#[derive(Serialize)]
struct ResponseStatus<'a> {
    code: u16,
    reason: &'static str,
    message: &'a str,
}

impl Answer {
    /// Returns the answer that allows an object without a look at it.
    #[must_use]
    pub fn allowed() -> Self {
        Self::default()
    }

    /// Returns the response to the request of this name, in JSON.
    #[must_use]
    pub fn response(&self, uid: &str) -> String {
        let status = self.denial.as_deref();
        let response = ResponseBody {
            uid,
            allowed: self.denial.is_none(),
            status: status.map(|message| ResponseStatus { code: 403, reason: "Forbidden", message }),
            patch_type: self.patch.as_ref().map(|_| "JSONPatch"),
            patch: self.patch.as_ref().map(|patch| base64::engine::general_purpose::STANDARD.encode(patch)),
            warnings: &self.warnings,
            audit_annotations: self.verdict.map(|verdict| ("verdict", verdict)).into_iter().collect(),
        };
        let envelope = ResponseEnvelope { api_version: VERSION, kind: KIND, response };
        // All keys are strings, so it is always written.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}
