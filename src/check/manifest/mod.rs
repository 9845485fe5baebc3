//! Kubernetes manifests: the files that a container will see, and their places in the text. Pure: text in, values out.
//!
//! A stream is split into documents, and a document holds objects. Two kinds of them matter here: objects with configuration
//! (ConfigMap, Secret), and objects with a pod template. Its volumes and mounts give the files of each container.

mod copies;
mod mounted;
mod object;
mod pod;
mod repeated;
mod room;
mod snippet;
mod stream;

pub use copies::{Filled, fill};
pub use mounted::{Mounted, Point, RenderMode, Rendering};
pub use object::{
    Annotated, ConfigKey, ConfigObject, IGNORE, Id, LABEL, Object, PREFIX, RulesObject, VALIDATOR, ValuePositions,
    VerbatimValue, WrittenValue, is_manifest, objects,
};
pub use pod::{Container, EnvValue, Pod, PodVolume, Projection};
pub use repeated::{RepeatedKey, repeated_keys};
pub use room::Room;
pub use snippet::{Snippet, context_of_key};
pub use stream::{ManifestDocument, ManifestDocuments, Unreadable, readable};

#[cfg(test)]
mod tests;
