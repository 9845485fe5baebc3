//! Objects that belong to the one of a review. IO: asks the API server for ConfigMaps that the configuration names, and for nothing else.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;

use super::decision::BesideObject;
use super::policy::Sibling;
use super::review::ReviewedObject;
use crate::sys::kubernetes::{ApiAccess, Connection, RequestError};

/// Time limit for all ConfigMaps of one review.
const LIMIT: Duration = Duration::from_millis(1500);

/// Reader of ConfigMaps.
pub struct SiblingReader {
    connection: Connection,
}

/// Siblings of an object, as far as they could be read.
#[derive(Debug, Default)]
pub struct SiblingObjects {
    /// Those that were read, and those that do not exist.
    pub objects: Vec<BesideObject>,
    /// Remarks about those that do not exist.
    pub missing: Vec<String>,
    /// Reasons why others could not be read.
    pub unread: Vec<String>,
}

impl SiblingReader {
    /// Returns a reader that connects when it is used.
    #[must_use]
    pub fn new(access: ApiAccess) -> Self {
        Self { connection: Connection::new(access) }
    }

    /// Reads the siblings of an object in a namespace. Those that cannot be read are left out, with the reasons.
    pub async fn read(&self, namespace: &str, siblings: &[Sibling]) -> SiblingObjects {
        let (mut objects, mut missing, mut unread) = (Vec::new(), Vec::new(), Vec::new());
        if siblings.is_empty() {
            return SiblingObjects::default();
        }
        let reading = async {
            for sibling in siblings {
                match self.one(namespace, &sibling.name).await {
                    Ok(object) => objects.push((sibling.clone(), Some(object))),
                    Err(RequestError::NotFound(_)) => {
                        objects.push((sibling.clone(), None));
                        missing.push(format!("there is no ConfigMap `{}` to validate it with", sibling.name));
                    }
                    Err(error) => unread.push(without(&sibling.name, &error.to_string())),
                }
            }
        };
        if tokio::time::timeout(LIMIT, reading).await.is_err() {
            unread.push(without(&siblings[0].name, "the API server did not answer in time"));
        }
        SiblingObjects { objects, missing, unread }
    }

    async fn one(&self, namespace: &str, name: &str) -> Result<ReviewedObject, RequestError> {
        let answer = self.connection.server().await?.in_namespace(namespace).get::<ConfigMap>(name).await;
        if let Err(error) = &answer {
            self.connection.failed(error);
        }
        answer.map(reviewed)
    }
}

fn without(name: &str, why: &str) -> String {
    format!("it was validated without the ConfigMap `{name}`: {why}")
}

/// Returns a ConfigMap as one of a review.
fn reviewed(object: ConfigMap) -> ReviewedObject {
    let binary = object.binary_data.into_iter().flatten().map(|(key, bytes)| (key, bytes.0));
    let text = object.data.into_iter().flatten().map(|(key, text)| (key, text.into_bytes()));
    ReviewedObject {
        is_secret: false,
        namespace: object.metadata.namespace.unwrap_or_default(),
        name: object.metadata.name.unwrap_or_default(),
        labels: object.metadata.labels.unwrap_or_default(),
        annotations: object.metadata.annotations.unwrap_or_default(),
        contents: binary.chain(text).collect(),
    }
}
