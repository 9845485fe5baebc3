//! Kubernetes manifests: which files a container will see, and where each of them is written. Pure: text in, values out.
//!
//! A stream is split into documents, a document holds objects, and of these two kinds matter here: those that hold
//! configuration (ConfigMap, Secret) and those that have a pod template, from whose volumes and mounts the files of each
//! container are put together.

mod mounted;
mod object;
mod pod;
mod stream;

pub use mounted::{Mounted, Point};
pub use object::{Annotated, Config, Object, is_manifest, objects};
pub use pod::{Container, EnvValue, Pod, Projection};
pub use stream::{Document, Documents, Unreadable};

#[cfg(test)]
mod tests;
