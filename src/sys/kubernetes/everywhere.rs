//! Objects without a namespace, as the API server has them: fields that this program does not know stay as they are.

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::Api;
use kube::core::{ApiResource, DynamicObject};

use super::{ApiServer, RequestError, by_gate, limited_to};

/// An object without a namespace.
pub type ClusterObject = DynamicObject;

/// The kinds by which an API server learns of webhooks: those that validate, and those that change objects.
pub const CLUSTER_WEBHOOKS: [fn() -> ApiResource; 2] = [
    || ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
    || ApiResource::erase::<MutatingWebhookConfiguration>(&()),
];

impl ApiServer {
    /// Reads an object without a namespace.
    ///
    /// # Errors
    /// [`RequestError::NotFound`] if there is none, or another reason.
    pub async fn get_of_cluster(&self, kind: &ApiResource, name: &str) -> Result<ClusterObject, RequestError> {
        let api: Api<ClusterObject> = Api::all_with(self.client.clone(), kind);
        limited_to("get", &kind.plural, api.get(name)).await
    }

    /// Replaces an object without a namespace. Its `resourceVersion` is that of the one which was read.
    ///
    /// # Errors
    /// [`RequestError::Conflict`] if it has changed since, or another reason.
    pub async fn replace_of_cluster(
        &self,
        kind: &ApiResource,
        name: &str,
        object: &ClusterObject,
    ) -> Result<(), RequestError> {
        let api: Api<ClusterObject> = Api::all_with(self.client.clone(), kind);
        limited_to("update", &kind.plural, api.replace(name, &by_gate(), object)).await.map(drop)
    }
}
