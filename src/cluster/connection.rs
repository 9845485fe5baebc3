//! The connection of one gate to the API server. It is made when it is first needed, and again after an error of the credentials.

use std::cell::RefCell;

use crate::sys::kubernetes::{ApiAccess, ApiServer, RequestError};

/// A connection.
#[derive(Debug)]
pub struct Connection {
    access: ApiAccess,
    server: RefCell<Option<ApiServer>>,
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
        if let Some(server) = self.server.borrow().as_ref() {
            return Ok(server.clone());
        }
        let server = self.access.connect().await?;
        self.server.replace(Some(server.clone()));
        Ok(server)
    }

    /// Takes in an error: after one of the credentials they are read again.
    pub fn failed(&self, error: &RequestError) {
        if matches!(error, RequestError::Unauthorized(_)) {
            self.server.take();
        }
    }
}
