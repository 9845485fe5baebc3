//! A connection to the API server that is made when it is first needed. It is made again from time to time and after an error of the
//! credentials: tokens and authorities change.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::{ApiAccess, ApiServer, RequestError};

/// The time after which the credentials are read again.
const AGE: Duration = Duration::from_secs(60);

/// A connection.
#[derive(Debug)]
pub struct Connection {
    access: ApiAccess,
    /// The connection, and the time at which it was made.
    server: RefCell<Option<(ApiServer, Instant)>>,
}

impl Connection {
    /// Prepares a connection. Nothing is read yet.
    #[must_use]
    pub fn new(access: ApiAccess) -> Self {
        Self { access, server: RefCell::default() }
    }

    /// Returns the API server.
    ///
    /// # Errors
    /// When the credentials cannot be read.
    pub async fn server(&self) -> Result<ApiServer, RequestError> {
        if let Some((server, _)) = self.server.borrow().as_ref().filter(|(_, made)| made.elapsed() < AGE) {
            return Ok(server.clone());
        }
        let server = self.access.connect().await?;
        self.server.replace(Some((server.clone(), Instant::now())));
        Ok(server)
    }

    /// Takes in an error: after one of the credentials they are read again.
    pub fn failed(&self, error: &RequestError) {
        if matches!(error, RequestError::Unauthorized(_)) {
            self.server.take();
        }
    }
}
