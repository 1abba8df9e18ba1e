//! The go-plugin handshake: what the host says by its environment, and the one line that answers it.
//!
//! ```text
//! TF_PLUGIN_MAGIC_COOKIE, PLUGIN_PROTOCOL_VERSIONS, PLUGIN_CLIENT_CERT, …  ──►  Host
//! 1|6|unix|/tmp/tfplug-1f3a/s|grpc|MIIBtz…                                 ◄──  line
//! ```

use std::fmt::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::listen::Address;

/// Not a secret: it tells a Terraform from a person at a shell.
const COOKIE: (&str, &str) = (
    "TF_PLUGIN_MAGIC_COOKIE",
    "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2",
);

/// Version of go-plugin's own handshake.
const CORE_PROTOCOL: u32 = 1;

/// The Terraform plugin protocol that we speak.
const PROTOCOL: u32 = 6;

/// Why the handshake was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no magic cookie: this process was started by a person.
    #[error("this program is started by Terraform, not by hand")]
    ByHand,
    /// The host does not offer protocol 6.
    #[error(
        "this provider speaks Terraform's plugin protocol 6, and the program that started it offers \
         {offered}. Use Terraform 1.0 or later"
    )]
    Protocol {
        /// What `PLUGIN_PROTOCOL_VERSIONS` says, or "none".
        offered: String,
    },
    /// `PLUGIN_CLIENT_CERT` is not a PEM certificate.
    #[error(
        "PLUGIN_CLIENT_CERT holds no PEM certificate, so the connection cannot be secured: {0}"
    )]
    Certificate(String),
    /// `PLUGIN_MIN_PORT` or `PLUGIN_MAX_PORT` is not a port.
    #[error("{name} is {value:?}, which is not a port number")]
    Port {
        /// Name of the variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

/// What the host asks for.
#[derive(Clone, Debug)]
pub struct Host {
    client_certificate: Option<CertificateDer<'static>>,
    socket_folder: Option<PathBuf>,
    socket_group: Option<String>,
    ports: RangeInclusive<u16>,
    multiplex: bool,
}

impl Host {
    /// Reads the environment through `get`, which gives the value of a variable.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Refusal> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        if get(COOKIE.0).as_deref() != Some(COOKIE.1) {
            return Err(Refusal::ByHand);
        }

        // An unordered list, such as "5,6".
        let offered = get("PLUGIN_PROTOCOL_VERSIONS").unwrap_or_else(|| "none".to_owned());
        if !offered
            .split(',')
            .any(|version| version.trim().parse() == Ok(PROTOCOL))
        {
            return Err(Refusal::Protocol { offered });
        }

        let client_certificate = get("PLUGIN_CLIENT_CERT")
            .map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()))
            .transpose()
            .map_err(|error| Refusal::Certificate(error.to_string()))?;

        let port = |name: &'static str| match get(name) {
            None => Ok(0),
            Some(value) => value.parse().map_err(|_| Refusal::Port { name, value }),
        };
        Ok(Self {
            client_certificate,
            socket_folder: get("PLUGIN_UNIX_SOCKET_DIR").map(PathBuf::from),
            socket_group: get("PLUGIN_UNIX_SOCKET_GROUP"),
            ports: port("PLUGIN_MIN_PORT")?..=port("PLUGIN_MAX_PORT")?,
            multiplex: get("PLUGIN_MULTIPLEX_GRPC").is_some(),
        })
    }

    /// The one certificate that a client must hold; none: no TLS at all.
    pub(super) fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.client_certificate.as_ref()
    }

    /// Where the socket should lie, if not in the temporary folder.
    pub(super) fn socket_folder(&self) -> Option<&Path> {
        self.socket_folder.as_deref()
    }

    /// The group, by name or number, that may use the socket.
    pub(super) fn socket_group(&self) -> Option<&str> {
        self.socket_group.as_deref()
    }

    /// Ports to try where there are no unix sockets; `0..=0` for any.
    pub(super) fn ports(&self) -> RangeInclusive<u16> {
        self.ports.clone()
    }

    /// Whether the host wants to hear if we multiplex several connections over one (we do not).
    pub(super) fn multiplex(&self) -> bool {
        self.multiplex
    }
}

/// The answer, newline included. A host that did not ask about multiplexing may not know the field.
pub(super) fn line(address: &Address, certificate: Option<&[u8]>, multiplex: bool) -> String {
    let certificate = certificate
        .map(|der| STANDARD_NO_PAD.encode(der))
        .unwrap_or_default();
    let mut line = String::new();
    let written = write!(
        line,
        "{CORE_PROTOCOL}|{PROTOCOL}|{}|{}|grpc|{certificate}",
        address.network(),
        address.text()
    );
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    if multiplex {
        line.push_str("|false");
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Host, Refusal> {
        Host::read(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn without_the_cookie_it_is_a_person() {
        assert_eq!(read(&[]).err(), Some(Refusal::ByHand));
        assert_eq!(read(&[(COOKIE.0, "1")]).err(), Some(Refusal::ByHand));
    }

    #[test]
    fn the_host_must_offer_protocol_6() {
        for good in ["6", "5,6", "6,5", "5, 6"] {
            assert!(
                read(&[COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", good)]).is_ok(),
                "{good}"
            );
        }
        for bad in ["5", "16,60", "4,5"] {
            let refusal = read(&[COOKIE, ("PLUGIN_PROTOCOL_VERSIONS", bad)]).err();
            assert_eq!(
                refusal,
                Some(Refusal::Protocol {
                    offered: bad.to_owned()
                })
            );
        }
        let refusal = read(&[COOKIE]).expect_err("no versions are offered");
        assert!(refusal.to_string().contains("offers none"), "{refusal}");
    }

    #[test]
    fn a_broken_certificate_is_refused_and_never_taken_for_none() {
        let versions = ("PLUGIN_PROTOCOL_VERSIONS", "6");
        let refusal = read(&[COOKIE, versions, ("PLUGIN_CLIENT_CERT", "junk")]).err();
        assert!(
            matches!(refusal, Some(Refusal::Certificate(_))),
            "{refusal:?}"
        );
        let host = read(&[COOKIE, versions, ("PLUGIN_CLIENT_CERT", "")]).expect("empty is none");
        assert!(host.client_certificate().is_none());
    }

    #[test]
    fn ports_are_a_range() {
        let versions = ("PLUGIN_PROTOCOL_VERSIONS", "6");
        let (low, high) = (("PLUGIN_MIN_PORT", "10000"), ("PLUGIN_MAX_PORT", "25000"));
        assert_eq!(
            read(&[COOKIE, versions, low, high]).map(|host| host.ports()),
            Ok(10000..=25000)
        );
        assert_eq!(
            read(&[COOKIE, versions]).map(|host| host.ports()),
            Ok(0..=0)
        );
        let wrong = read(&[COOKIE, versions, ("PLUGIN_MIN_PORT", "high")]).err();
        assert_eq!(
            wrong,
            Some(Refusal::Port {
                name: "PLUGIN_MIN_PORT",
                value: "high".into()
            })
        );
    }

    #[test]
    fn the_line_is_what_go_plugin_reads() {
        let address = Address::unix(Path::new("/tmp/s"));
        assert_eq!(line(&address, None, false), "1|6|unix|/tmp/s|grpc|\n");
        // One byte would be padded with "==", which Go refuses.
        assert_eq!(
            line(&address, Some(&[0xff]), false),
            "1|6|unix|/tmp/s|grpc|/w\n"
        );
        assert_eq!(
            line(&address, Some(&[0xff]), true),
            "1|6|unix|/tmp/s|grpc|/w|false\n"
        );
    }
}
