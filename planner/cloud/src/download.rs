//! A file at an address of the user's: read whole, bounded, and without anybody's credential.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use url::{Host, Url};

use crate::Transport;
use crate::transport::{Api, Endpoints, OnRequest, Options, Request};

/// How long a download may take, all attempts together.
const LONGEST: Duration = Duration::from_mins(2);

/// Reads the file at `url`: `https`, or plain `http` on this machine. Redirects are followed, never
/// from TLS to plain text; a failure that may pass is tried again. The error is a sentence.
pub(crate) async fn download(
    url: &str,
    largest: u64,
    on_request: Option<OnRequest>,
) -> Result<Bytes, String> {
    let parsed = Url::parse(url).map_err(|error| format!("it is not a URL: {error}"))?;
    if parsed.scheme() != "https" && !(parsed.scheme() == "http" && is_here(&parsed)) {
        return Err("only https:// is read, and http:// on this machine".to_owned());
    }
    let origin = parsed.origin().ascii_serialization();
    let transport = Transport::new(Options {
        // One place: no credential is attached to it, since none is given.
        endpoints: Endpoints::sandbox(&origin).map_err(|error| error.to_string())?,
        on_request,
        ..Options::default()
    });
    let target = match parsed.query() {
        Some(query) => format!("{}?{query}", parsed.path()),
        None => parsed.path().to_owned(),
    };
    let request = Request::get(Api::Hub, target).at_most(largest);
    let response = transport
        .send(&request, Instant::now() + LONGEST)
        .await
        .map_err(|error| match error.status {
            Some(status) => format!("the server answered {status}"),
            None => error.message,
        })?;
    Ok(response.body)
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_place_that_cannot_be_listened_to_is_read() {
        for url in [
            "http://example.com/x",
            "ftp://example.com/x",
            "file:///etc/passwd",
            "x",
            "https://user:secret@",
        ] {
            assert!(download(url, 10, None).await.is_err(), "{url}");
        }
    }

    #[test]
    fn this_machine_has_several_names() {
        for (url, here) in [
            ("http://localhost:1/", true),
            ("http://127.0.0.1/", true),
            ("http://[::1]/", true),
            ("http://localhost.example.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_here(&Url::parse(url).expect(url)), here, "{url}");
        }
    }
}
