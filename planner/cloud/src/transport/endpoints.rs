//! Where each API lives: Google's and the Hub's own addresses, a sandbox, or what a user sets.

use url::Url;

/// An HTTP API that openmodel calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// Cloud Run, v2.
    Run,
    /// Secret Manager, v1.
    SecretManager,
    /// IAM service account credentials, v1.
    IamCredentials,
    /// Cloud Resource Manager, v3.
    ResourceManager,
    /// Cloud Storage, JSON API v1.
    Storage,
    /// Storage Transfer Service, v1.
    StorageTransfer,
    /// The Hugging Face Hub.
    Hub,
    /// `VirusTotal`, v3.
    VirusTotal,
}

impl Api {
    /// Every API, in the order of their names.
    pub const ALL: [Self; 8] = [
        Self::Hub,
        Self::IamCredentials,
        Self::ResourceManager,
        Self::Run,
        Self::SecretManager,
        Self::Storage,
        Self::StorageTransfer,
        Self::VirusTotal,
    ];

    /// The name used in configurations: `secret_manager`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::SecretManager => "secret_manager",
            Self::IamCredentials => "iam_credentials",
            Self::ResourceManager => "resource_manager",
            Self::Storage => "storage",
            Self::StorageTransfer => "storage_transfer",
            Self::Hub => "hub",
            Self::VirusTotal => "virus_total",
        }
    }

    /// The vendor's own base URL.
    #[must_use]
    pub const fn default_url(self) -> &'static str {
        match self {
            Self::Run => "https://run.googleapis.com",
            Self::SecretManager => "https://secretmanager.googleapis.com",
            Self::IamCredentials => "https://iamcredentials.googleapis.com",
            Self::ResourceManager => "https://cloudresourcemanager.googleapis.com",
            Self::Storage => "https://storage.googleapis.com",
            Self::StorageTransfer => "https://storagetransfer.googleapis.com",
            Self::Hub => "https://huggingface.co",
            Self::VirusTotal => "https://www.virustotal.com",
        }
    }

    /// What a person calls it: `Cloud Run`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Run => "Cloud Run",
            Self::SecretManager => "Secret Manager",
            Self::IamCredentials => "IAM Credentials",
            Self::ResourceManager => "Resource Manager",
            Self::Storage => "Cloud Storage",
            Self::StorageTransfer => "Storage Transfer Service",
            Self::Hub => "the Hugging Face Hub",
            Self::VirusTotal => "VirusTotal",
        }
    }
}

/// The base URL of each API, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    urls: [String; Api::ALL.len()],
}

/// Why a base URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No API has this name.
    #[error("there is no API named {name:?}; the names are {}", names())]
    UnknownName {
        /// The name that was given.
        name: String,
    },
    /// The text is not an address of an HTTP server.
    #[error("{url:?} is not a base URL for {name}: {why}; write it as https://host[:port][/path]")]
    NotABaseUrl {
        /// The API's name.
        name: &'static str,
        /// What was given.
        url: String,
        /// Which rule it breaks.
        why: String,
    },
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            urls: Api::ALL.map(|api| api.default_url().to_owned()),
        }
    }
}

impl Endpoints {
    /// All APIs at one address: `openmodel sandbox` answers them on one port.
    pub fn sandbox(url: &str) -> Result<Self, EndpointError> {
        let mut endpoints = Self::default();
        for api in Api::ALL {
            endpoints.set(api, url)?;
        }
        Ok(endpoints)
    }

    /// Sets the base URL of one API.
    pub fn set(&mut self, api: Api, url: &str) -> Result<(), EndpointError> {
        let refuse = |why: &str| EndpointError::NotABaseUrl {
            name: api.name(),
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let parsed = Url::parse(url).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(refuse("the scheme is neither http nor https"));
        }
        if !parsed.has_host() || parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(refuse(
                "it needs a host, and takes no query and no fragment",
            ));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(refuse("credentials do not belong in an address"));
        }
        url.trim_end_matches('/')
            .clone_into(&mut self.urls[Self::index(api)]);
        Ok(())
    }

    /// Sets the base URL of the API with this name, as in a provider's `endpoints` block.
    pub fn set_by_name(&mut self, name: &str, url: &str) -> Result<(), EndpointError> {
        let api = Api::ALL
            .into_iter()
            .find(|api| api.name() == name)
            .ok_or_else(|| EndpointError::UnknownName {
                name: name.to_owned(),
            })?;
        self.set(api, url)
    }

    /// The base URL of an API.
    #[must_use]
    pub fn url(&self, api: Api) -> &str {
        &self.urls[Self::index(api)]
    }

    /// Whether no API is reached over TLS.
    pub(crate) fn all_plain(&self) -> bool {
        self.urls.iter().all(|url| url.starts_with("http://"))
    }

    fn index(api: Api) -> usize {
        Api::ALL.iter().position(|each| *each == api).unwrap_or(0)
    }
}

fn names() -> String {
    Api::ALL.map(Api::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_has_its_own_address() {
        let endpoints = Endpoints::default();
        for api in Api::ALL {
            assert_eq!(endpoints.url(api), api.default_url());
        }
        assert!(!endpoints.all_plain());
    }

    #[test]
    fn a_sandbox_is_one_address_for_all_and_one_can_be_set_alone() {
        let mut endpoints = Endpoints::sandbox("http://127.0.0.1:8900/").expect("a base URL");
        assert_eq!(endpoints.url(Api::Run), "http://127.0.0.1:8900");
        assert!(endpoints.all_plain());
        endpoints
            .set_by_name("hub", "https://hub.example/base")
            .expect("a base URL");
        assert_eq!(endpoints.url(Api::Hub), "https://hub.example/base");
        assert_eq!(endpoints.url(Api::Run), "http://127.0.0.1:8900");
    }

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
        let mut endpoints = Endpoints::default();
        let mut refuse = |name, url| match endpoints.set_by_name(name, url) {
            Ok(()) => panic!("{url} should be refused"),
            Err(error) => error.to_string(),
        };
        assert!(refuse("vertex", "https://x").contains("hub, iam_credentials, resource_manager"));
        assert!(refuse("run", "run.googleapis.com").contains("is not a base URL for run"));
        assert!(refuse("run", "ftp://run").contains("neither http nor https"));
        assert!(refuse("run", "https://me:pw@run").contains("credentials do not belong"));
        assert!(refuse("run", "https://run?x=1").contains("no query"));
    }
}
