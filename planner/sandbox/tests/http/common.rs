//! What the tests of the sandbox share: a client, and the requests they make over and over.

use openmodel_sandbox::{Options, Sandbox};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

pub(crate) const SERVICES: &str = "/v2/projects/acme-ml/locations/us-central1/services";

/// A sandbox and a client that has a token.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The JSON of an answer that must be a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.text());
        self.json()
    }

    /// `(code, status)` and message of an error in Google's shape.
    #[track_caller]
    pub(crate) fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        assert_eq!(error["code"], self.status, "{}", self.text());
        let text = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
        (self.status, text("status"), text("message"))
    }
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        // A provider of TLS must be named even where no TLS is spoken; a second time is no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        Self {
            sandbox: Sandbox::start(options).expect("a free port"),
            client: client.build().expect("a client"),
        }
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.sandbox.url())
        };
        self.client.request(method, url)
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes().await.expect("a body").to_vec();
        Answer {
            status,
            headers,
            body,
        }
    }

    /// With a bearer token.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path).bearer_auth("a-token");
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, Some(body)).await
    }

    /// Without a token.
    pub(crate) async fn anonymous(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// Ask for an operation until it is done.
    pub(crate) async fn finish(&self, operation: Value) -> Value {
        let mut operation = operation;
        for _ in 0..10 {
            if operation["done"] == true {
                return operation;
            }
            let name = operation["name"].as_str().expect("a name").to_owned();
            operation = self.get(&format!("/v2/{name}")).await.ok();
        }
        panic!("not done: {operation}");
    }

    /// Create a service and wait for it.
    pub(crate) async fn create(&self, id: &str, body: Value) -> Value {
        let operation = self
            .post(&format!("{SERVICES}?serviceId={id}"), body)
            .await
            .ok();
        self.finish(operation).await["response"].clone()
    }
}

/// A vLLM server on one L4.
pub(crate) fn vllm() -> Value {
    json!({
        "labels": {"openmodel-phase": "ready"},
        "template": {
            "containers": [{
                "image": "vllm/vllm-openai:v0.33.0",
                "args": ["--model=Qwen/Qwen2.5-7B-Instruct", "--max-model-len=8192"],
                "ports": [{"containerPort": 8000}],
                "resources": {"limits": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}, "startupCpuBoost": true},
                "startupProbe": {"httpGet": {"path": "/health"}, "periodSeconds": 10, "failureThreshold": 60},
            }],
            "nodeSelector": {"accelerator": "nvidia-l4"},
            "gpuZonalRedundancyDisabled": true,
            "scaling": {"maxInstanceCount": 2},
            "maxInstanceRequestConcurrency": 16,
        },
    })
}
