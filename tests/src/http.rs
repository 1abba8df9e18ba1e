//! The sandbox as somebody else's tool sees it: over HTTP, with a token of its own.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A client that waits for its answers.
pub struct Http {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Default for Http {
    fn default() -> Self {
        Self::new()
    }
}

impl Http {
    /// A client.
    ///
    /// # Panics
    /// Where the system gives no runtime.
    #[must_use]
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        Self {
            client: crate::http_client(),
            runtime,
        }
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// When it is refused, or no JSON.
    pub fn get(&self, url: &str) -> Result<Value> {
        self.send(self.client.get(url))
    }

    /// Changes something.
    ///
    /// # Errors
    /// When it is refused.
    pub fn patch(&self, url: &str, body: &Value) -> Result<Value> {
        self.send(self.client.patch(url).json(body))
    }

    /// Makes something.
    ///
    /// # Errors
    /// When it is refused.
    pub fn post(&self, url: &str, body: &Value) -> Result<Value> {
        self.send(self.client.post(url).json(body))
    }

    /// Puts something.
    ///
    /// # Errors
    /// When it is refused.
    pub fn put(&self, url: &str, body: &Value) -> Result<Value> {
        self.send(self.client.put(url).json(body))
    }

    /// Deletes something that goes at once.
    ///
    /// # Errors
    /// When it is refused.
    pub fn remove(&self, url: &str) -> Result<Value> {
        self.send(self.client.delete(url))
    }

    /// Deletes, and waits for the operation.
    ///
    /// # Errors
    /// When it is refused.
    pub fn delete(&self, root: &str, path: &str) -> Result<()> {
        let mut operation = self.send(self.client.delete(format!("{root}{path}")))?;
        while operation["done"] != true {
            let name = operation["name"]
                .as_str()
                .context("an operation")?
                .to_owned();
            operation = self.get(&format!("{root}/v2/{name}"))?;
        }
        Ok(())
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        self.runtime.block_on(async {
            let answer = request
                .bearer_auth("somebody-else")
                .send()
                .await?
                .error_for_status()?;
            let text = answer.text().await?;
            Ok(if text.is_empty() {
                Value::Null
            } else {
                serde_json::from_str(&text)?
            })
        })
    }
}
