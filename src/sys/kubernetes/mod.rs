//! The API server of Kubernetes, through `kube`. IO: sends requests; reads credentials.
//!
//! Each request has a time limit and one try: the state machines that ask for it decide about another. A gate that uses nothing of a
//! cluster never connects.

mod access;
mod connection;
mod error;
mod everywhere;
mod watch;

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use access::ApiAccess;
pub use connection::Connection;
pub use error::RequestError;
pub use everywhere::{CLUSTER_WEBHOOKS, ClusterObject};
pub use watch::{ObjectWatch, WatchNews};

/// The time limit of one request.
const LIMIT: Duration = Duration::from_secs(10);

/// The name under which the API server records changes (`managedFields`).
const MANAGER: &str = "reload-gate";

/// An object of a namespace that has a type of its own.
pub trait Stored:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl<K> Stored for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

/// A right that a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRight {
    /// The verb, as `get`.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The resource in the plural, as `configmaps`.
    pub resource: &'static str,
    /// The name of the object; `None` for any.
    pub name: Option<String>,
}

/// A connection to the API server, in the namespace of the pod.
#[derive(Clone)]
pub struct ApiServer {
    client: Client,
    namespace: String,
}

impl Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiServer").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Returns the same connection for another namespace.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Self {
        Self { client: self.client.clone(), namespace: namespace.to_owned() }
    }

    /// Returns the namespace of this connection.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads an object.
    ///
    /// # Errors
    /// [`RequestError::NotFound`] if there is none, or another reason.
    pub async fn get<K: Stored>(&self, name: &str) -> Result<K, RequestError> {
        limited::<K, _>("get", self.api::<K>().get(name)).await
    }

    /// Creates an object.
    ///
    /// # Errors
    /// [`RequestError::Conflict`] if it exists, or another reason.
    pub async fn create<K: Stored>(&self, object: &K) -> Result<K, RequestError> {
        limited::<K, _>("create", self.api::<K>().create(&by_gate(), object)).await
    }

    /// Asks whether an object would be created, without storing it (`dryRun`).
    ///
    /// # Errors
    /// The reason why it would not.
    pub async fn try_create<K: Stored>(&self, object: &K) -> Result<(), RequestError> {
        let parameters = PostParams { dry_run: true, ..by_gate() };
        limited::<K, _>("create", self.api::<K>().create(&parameters, object)).await.map(drop)
    }

    /// Replaces an object. Its `resourceVersion` is that of the one which was read.
    ///
    /// # Errors
    /// [`RequestError::Conflict`] if it has changed since, or another reason.
    pub async fn replace<K: Stored>(&self, name: &str, object: &K) -> Result<K, RequestError> {
        limited::<K, _>("update", self.api::<K>().replace(name, &by_gate(), object)).await
    }

    /// Changes an object by a merge patch (RFC 7396).
    ///
    /// # Errors
    /// The reason why it was not changed.
    pub async fn patch<K: Stored>(&self, name: &str, change: &Value) -> Result<(), RequestError> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.api::<K>();
        let patch = Patch::Merge(change);
        // The answer's metadata is enough: a pod is large.
        limited::<K, _>("patch", api.patch_metadata(name, &parameters, &patch)).await.map(drop)
    }

    /// Asks whether this account has a right (`SelfSubjectAccessReview`).
    ///
    /// # Errors
    /// The reason why the API server did not answer.
    pub async fn may(&self, right: &AccessRight) -> Result<bool, RequestError> {
        let attributes = ResourceAttributes {
            namespace: Some(self.namespace.clone()),
            verb: Some(right.verb.to_owned()),
            group: Some(right.group.to_owned()),
            resource: Some(right.resource.to_owned()),
            name: right.name.clone(),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let reviewed =
            limited_to("create", "selfsubjectaccessreviews", api.create(&PostParams::default(), &review)).await?;
        Ok(reviewed.status.is_some_and(|status| status.allowed))
    }

    fn api<K: Stored>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

fn by_gate() -> PostParams {
    PostParams { dry_run: false, field_manager: Some(MANAGER.to_owned()) }
}

async fn limited<K: Stored, T>(
    verb: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, RequestError> {
    limited_to(verb, &K::plural(&()), request).await
}

/// Waits for the answer to a request for at most [`LIMIT`].
async fn limited_to<T>(
    verb: &'static str,
    resource: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, RequestError> {
    match tokio::time::timeout(LIMIT, request).await {
        Ok(answer) => answer.map_err(|error| RequestError::of(verb, resource, &error)),
        Err(_) => {
            let limit = humantime::format_duration(LIMIT);
            Err(RequestError::Unreachable(format!("{verb} {resource}: no answer within {limit}")))
        }
    }
}
