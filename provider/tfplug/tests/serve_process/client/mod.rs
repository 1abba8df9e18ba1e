//! A client as Terraform's: go-plugin's side of the handshake, with a P-521 certificate and TLS.

pub(crate) mod certificate;
#[rustfmt::skip]
pub(crate) mod health;
#[rustfmt::skip]
pub(crate) mod plugin;
#[rustfmt::skip]
pub(crate) mod tfplugin6;

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Error};

pub(crate) use certificate::Identity;

/// Tells this test binary, by its environment, to be the provider.
pub(crate) const ROLE: &str = "TFPLUG_TEST_PROVIDER";

/// What go-plugin puts into the environment.
pub(crate) const COOKIE: (&str, &str) = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
);

/// Nothing below should take longer; it is there so that a fault is a red test and no hanging one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A provider process, as far as it is known.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
    /// Its temporary folder: what a killed one leaves behind is gone with the test.
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts `command` as a provider with nothing of Terraform in its environment but `variables`.
    pub(crate) fn start(mut command: Command, variables: &[(&str, &str)]) -> Self {
        for inherited in [
            "TF_LOG",
            "TF_LOG_PROVIDER",
            "PLUGIN_UNIX_SOCKET_DIR",
            COOKIE.0,
        ] {
            command.env_remove(inherited);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = command
            .env(ROLE, "1")
            .env("TMPDIR", folder.path())
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the provider starts");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let stderr = child.stderr.take().expect("stderr is piped");
        Self {
            child,
            stdout,
            stderr,
            _folder: folder,
        }
    }

    /// This binary, as provider.
    pub(crate) fn itself(variables: &[(&str, &str)]) -> Self {
        Self::start(own(), variables)
    }

    /// This binary, as Terraform starts it, with this certificate.
    pub(crate) fn plugin(identity: &Identity, more: &[(&str, &str)]) -> Self {
        Self::plugin_of(own(), identity, more)
    }

    /// `command`, as Terraform starts it, with this certificate.
    pub(crate) fn plugin_of(command: Command, identity: &Identity, more: &[(&str, &str)]) -> Self {
        let pem = identity.pem();
        let mut variables = vec![
            COOKIE,
            ("PLUGIN_PROTOCOL_VERSIONS", "5,6"),
            ("PLUGIN_CLIENT_CERT", pem.as_str()),
        ];
        variables.extend(more);
        Self::start(command, &variables)
    }

    /// The next line of standard output.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stdout.read_line(&mut line));
        read.await
            .expect("the provider says something")
            .expect("text");
        line
    }

    /// Waits for the end; gives the status and what is left of both streams.
    pub(crate) async fn end(&mut self) -> (ExitStatus, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        let reading = async {
            self.stdout.read_to_string(&mut out).await.expect("text");
            self.stderr.read_to_string(&mut err).await.expect("text");
            self.child.wait().await.expect("it ran")
        };
        let status = tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the provider ends");
        (status, out, err)
    }
}

/// This binary.
fn own() -> Command {
    Command::new(std::env::current_exe().expect("the path of this test"))
}

/// The handshake line, taken apart as go-plugin does.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) fields: Vec<String>,
}

impl Handshake {
    pub(crate) fn parse(line: &str) -> Self {
        let line = line.strip_suffix('\n').expect("one whole line");
        Self {
            fields: line.split('|').map(str::to_owned).collect(),
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        PathBuf::from(&self.fields[3])
    }

    fn certificate(&self) -> Option<CertificateDer<'static>> {
        let text = self.fields.get(5).filter(|text| !text.is_empty())?;
        Some(
            STANDARD_NO_PAD
                .decode(text)
                .expect("base64 without padding")
                .into(),
        )
    }

    /// Connects as `identity`, or without a certificate of our own.
    pub(crate) async fn connect(&self, identity: Option<&Identity>) -> Result<Channel, Error> {
        let tls = self
            .certificate()
            .map(|server| client_config(server, identity));
        let (network, address) = (self.fields[2].clone(), self.fields[3].clone());
        let dial = move || {
            let (tls, network, address) = (tls.clone(), network.clone(), address.clone());
            async move {
                let socket: Box<dyn Socket> = match network.as_str() {
                    "unix" => Box::new(UnixStream::connect(address).await?),
                    _ => Box::new(TcpStream::connect(address).await?),
                };
                let socket: Box<dyn Socket> = match tls {
                    None => socket,
                    Some(config) => {
                        let name = ServerName::try_from("localhost").expect("a name");
                        Box::new(TlsConnector::from(config).connect(name, socket).await?)
                    }
                };
                Ok::<_, io::Error>(hyper_util::rt::TokioIo::new(socket))
            }
        };
        let endpoint = Endpoint::from_static("http://localhost").timeout(PATIENCE);
        endpoint
            .connect_with_connector(tower::service_fn(move |_| dial()))
            .await
    }
}

trait Socket: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Socket for T {}

/// Trusts exactly the server's certificate, for the name localhost, and requires HTTP/2 by ALPN.
fn client_config(
    server: CertificateDer<'static>,
    identity: Option<&Identity>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(server)
        .expect("the certificate of the handshake line");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring has TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(identity.clone())),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}
