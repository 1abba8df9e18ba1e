//! The device: a Hub and a Cloud Storage that cost almost nothing, in a process of their own.
//!
//! ```text
//!   transfer serve ──► prints its address ──► a thread for each connection ──► hub | storage
//!        └── ends with its standard input
//! ```
//!
//! It answers what the measured clients ask, and nothing else. With `--look` it reads what is uploaded,
//! and answers with the CRC32C of that; without, bodies are swallowed unread and the CRC32C is the one
//! that the file must have.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _, stdin, stdout};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result};
use nix::sys::memfd::{MFdFlags, memfd_create};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;

use crate::content::{Sample, block, samples};
use crate::link::{Block, Head, Link};
use crate::storage::Bucket;
use crate::{hub, storage};

/// What a connection needs.
pub(crate) struct Device {
    pub(crate) block: Block,
    pub(crate) samples: Vec<Sample>,
    pub(crate) bucket: Bucket,
    /// Whether uploads are looked at.
    pub(crate) look: bool,
    /// Its own address.
    pub(crate) url: String,
    tls: Option<Arc<ServerConfig>>,
}

/// What is answered, but for a file's bytes.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(value: &Value) -> Self {
        Self::of(200, "application/json", value.to_string())
    }

    pub(crate) fn of(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", kind.to_owned())],
            body: body.into(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Nothing is there, in the words of Google's APIs.
    pub(crate) fn nothing() -> Self {
        let text =
            r#"{"error":{"code":404,"message":"Not Found","errors":[{"reason":"notFound"}]}}"#;
        Self::of(404, "application/json", text)
    }

    /// With its head; a body of `length` bytes follows it, where that is said.
    pub(crate) fn bytes(&self, length: Option<u64>) -> Vec<u8> {
        let length = length.unwrap_or(self.body.len() as u64);
        let mut text = format!(
            "HTTP/1.1 {} Answer\r\nContent-Length: {length}\r\n",
            self.status
        );
        for (name, value) in &self.headers {
            text = format!("{text}{name}: {value}\r\n");
        }
        [text.as_bytes(), b"\r\n", &self.body].concat()
    }
}

/// Serve a repository of so many MiB until the standard input ends. With TLS the certificate, which
/// clients must trust, is written to a file.
pub(crate) fn serve(mib: u64, folder: &Path, look: bool, certificate: Option<&Path>) -> Result<()> {
    let tls = certificate.map(with_certificate).transpose()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", listener.local_addr()?);
    let bytes = block();
    let mut file = File::from(memfd_create(c"block", MFdFlags::empty())?);
    file.write_all(&bytes)?;
    file.rewind()?;
    let device = Arc::new(Device {
        block: Block { bytes, file },
        samples: samples(mib, folder)?,
        bucket: Bucket::default(),
        look,
        url,
        tls,
    });
    writeln!(stdout(), "{}", device.url)?;
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let device = Arc::clone(&device);
            // A client that goes away in the middle is no failure of ours.
            thread::spawn(move || drop(device.talk(socket)));
        }
    });
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

impl Device {
    fn talk(&self, socket: TcpStream) -> io::Result<()> {
        let mut link = Link::new(socket, self.tls.as_ref())?;
        while let Some(head) = link.head()? {
            let answer = if head.path.contains("/storage/v1/") {
                storage::answer(self, &mut link, &head)?
            } else {
                link.swallow(head.length())?;
                match hub::answer(self, &head) {
                    hub::Reply::Short(answer) => answer,
                    hub::Reply::Head(answer, length) => {
                        link.write(&answer.bytes(Some(length)))?;
                        continue;
                    }
                    hub::Reply::File(answer, place, length) => {
                        link.write(&answer.bytes(Some(length)))?;
                        link.send(&self.block, place, length)?;
                        continue;
                    }
                }
            };
            tell(&head, &answer);
            link.write(&answer.bytes(None))?;
        }
        Ok(())
    }
}

/// What it cannot answer is told on request: a client may ask for more than this device knows.
fn tell(head: &Head, answer: &Answer) {
    if answer.status >= 400 && std::env::var_os("DEVICE_LOG").is_some() {
        let said = format!(
            "{} {} {:?}: {}\n",
            head.method, head.path, head.query, answer.status
        );
        drop(io::stderr().write_all(said.as_bytes()));
    }
}

fn with_certificate(path: &Path) -> Result<Arc<ServerConfig>> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(path, made.cert.pem()).with_context(|| path.display().to_string())?;
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(Arc::new(config))
}
