//! Between pods: the roll-out over a group, the known-good revision in the cluster, and the nudge of the kubelet. IO: requests to the API
//! server through `sys::kubernetes`; [`rollout`] and [`keeper`] are pure.
//!
//! Nothing here is on the path between a change in the volume and its reload: without the API server a gate does what it does without a
//! cluster, except that it waits for a permission that it was configured to wait for.

pub mod keeper;
pub mod known_good;
pub mod lease;
pub mod nudge;
pub mod rights;
pub mod rollout;

use std::fmt;

use crate::sys::kubernetes::ApiAccess;

/// The kind of an object that holds configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl ObjectKind {
    /// Returns the resource in the plural.
    #[must_use]
    pub const fn resource(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
        }
    }
}

/// An object in the namespace of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ObjectKind::ConfigMap => "ConfigMap",
            ObjectKind::Secret => "Secret",
        };
        write!(f, "{kind} `{}`", self.name)
    }
}

/// The part of a gate's configuration that is about other pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Place and credentials of the API server.
    pub access: ApiAccess,
    /// The name of the pod.
    pub pod: String,
    /// The object that the volume shows.
    pub source: Option<ObjectName>,
    /// The kubelet is nudged when the object changes.
    pub nudge: bool,
    /// The roll-out over a group of pods.
    pub rollout: Option<rollout::RolloutSettings>,
    /// The object that holds the known-good revision.
    pub known_good: Option<ObjectName>,
}
