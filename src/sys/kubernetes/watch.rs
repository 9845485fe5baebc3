//! The watch of one object.

use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::api::{Api, WatchEvent, WatchParams};
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;

use super::{ApiServer, RequestError, Stored, limited};

/// The time after which the API server ends a watch, in seconds; less than 295 (`WatchParams::timeout`).
const LONGEST: u32 = 240;
/// The time after which a watch without an end is given up: the connection is dead.
const DEAD: Duration = Duration::from_secs(260);

/// A report of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchNews<T> {
    /// The object is there, or has changed.
    There(T),
    /// It was deleted.
    Gone,
}

type Events<T> = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<T>>>>>;

/// A watch of one object. Its first report is the present state, if the object exists.
pub struct ObjectWatch<T> {
    resource: String,
    events: Events<T>,
    ends: tokio::time::Instant,
}

impl<T> Debug for ObjectWatch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectWatch").field("resource", &self.resource).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Watches an object.
    ///
    /// # Errors
    /// The reason why it cannot be watched.
    pub async fn watch<K: Stored + 'static>(&self, name: &str) -> Result<ObjectWatch<K>, RequestError> {
        let api: Api<K> = self.api();
        let (parameters, resource) = (parameters(name), K::plural(&()).into_owned());
        let events = limited::<K, _>("watch", api.watch(&parameters, "")).await?;
        Ok(ObjectWatch::new(resource, events.boxed_local()))
    }

    /// Watches the metadata of an object: its contents stay where they are.
    ///
    /// # Errors
    /// The reason why it cannot be watched.
    pub async fn watch_metadata<K: Stored + 'static>(
        &self,
        name: &str,
    ) -> Result<ObjectWatch<PartialObjectMeta<K>>, RequestError> {
        let api: Api<K> = self.api();
        let (parameters, resource) = (parameters(name), K::plural(&()).into_owned());
        let events = limited::<K, _>("watch", api.watch_metadata(&parameters, "")).await?;
        Ok(ObjectWatch::new(resource, events.boxed_local()))
    }
}

/// Without a version a watch begins with the present state
/// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch>). A Role that names the object permits a watch
/// that selects it by its name.
fn parameters(name: &str) -> WatchParams {
    WatchParams::default().fields(&format!("metadata.name={name}")).timeout(LONGEST)
}

impl<T: Clone + DeserializeOwned> ObjectWatch<T> {
    fn new(resource: String, events: Events<T>) -> Self {
        Self { resource, events, ends: tokio::time::Instant::now() + DEAD }
    }

    /// Waits for the next report; `None` when the watch has ended, as it does from time to time.
    ///
    /// # Errors
    /// The reason why the watch failed.
    pub async fn next(&mut self) -> Result<Option<WatchNews<T>>, RequestError> {
        loop {
            let Ok(event) = tokio::time::timeout_at(self.ends, self.events.next()).await else { return Ok(None) };
            return match event {
                None => Ok(None),
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    Ok(Some(WatchNews::There(object)))
                }
                Some(Ok(WatchEvent::Deleted(_))) => Ok(Some(WatchNews::Gone)),
                Some(Ok(WatchEvent::Bookmark(_))) => continue,
                Some(Ok(WatchEvent::Error(status))) => Err(RequestError::of_status("watch", &self.resource, &status)),
                Some(Err(error)) => Err(RequestError::of("watch", &self.resource, &error)),
            };
        }
    }
}
