//! A certificate as go-plugin makes it for its client: self-signed, a CA, ECDSA over P-521.
//!
//! Written in DER by hand, since the makers of certificates at hand do not know the curve.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p521::ecdsa::signature::Signer as _;
use p521::ecdsa::{Signature, SigningKey};
use p521::pkcs8::EncodePublicKey;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey as TlsKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

/// A certificate and the key to show it with.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: SigningKey,
}

impl Identity {
    /// A fresh one, of the key whose scalar is filled with `seed`.
    pub(crate) fn new(seed: u8) -> Self {
        let key =
            SigningKey::from_slice(&[[0; 2].as_slice(), &[seed; 64]].concat()).expect("a scalar");
        Self {
            certificate: self_signed(&key).into(),
            key,
        }
    }

    /// The certificate of one with the key of another: a thief of certificates.
    pub(crate) fn stolen(&self, thief: &Self) -> Self {
        Self {
            certificate: self.certificate.clone(),
            key: thief.key.clone(),
        }
    }

    /// For `PLUGIN_CLIENT_CERT`.
    pub(crate) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).expect("ASCII"))
            .collect();
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            lines.join("\n")
        )
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // Go shows nothing to a server that does not offer the scheme of its key.
        schemes
            .contains(&SignatureScheme::ECDSA_NISTP521_SHA512)
            .then(|| {
                Arc::new(CertifiedKey::new(
                    vec![self.certificate.clone()],
                    Arc::new(self.clone()),
                ))
            })
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl TlsKey for Identity {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Identity {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature: Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const TRUE: &[u8] = &[0x01, 0x01, 0xff];

const ECDSA_WITH_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// RFC 5280, with the fields that go-plugin sets.
fn self_signed(key: &SigningKey) -> Vec<u8> {
    let public = p521::PublicKey::from_affine(*p521::ecdsa::VerifyingKey::from(key).as_affine())
        .expect("a point")
        .to_public_key_der()
        .expect("it encodes");
    let algorithm = der(SEQUENCE, &[&der(OID, &[ECDSA_WITH_SHA512])]);
    let common_name = der(
        SEQUENCE,
        &[&der(OID, &[COMMON_NAME]), &der(UTF8, &[b"localhost"])],
    );
    let name = der(SEQUENCE, &[&der(SET, &[&common_name])]);
    let validity = der(
        SEQUENCE,
        &[
            &der(UTC_TIME, &[b"200101000000Z"]),
            &der(UTC_TIME, &[b"491231235959Z"]),
        ],
    );
    let extension = |oid: &[u8], critical: &[u8], value: &[u8]| {
        der(
            SEQUENCE,
            &[&der(OID, &[oid]), critical, &der(OCTET_STRING, &[value])],
        )
    };
    let extensions = der(
        SEQUENCE,
        &[
            &extension(BASIC_CONSTRAINTS, TRUE, &der(SEQUENCE, &[TRUE])),
            &extension(
                SUBJECT_ALT_NAME,
                &[],
                &der(SEQUENCE, &[&der(0x82, &[b"localhost"])]),
            ),
        ],
    );
    let body = der(
        SEQUENCE,
        &[
            &der(0xa0, &[&der(INTEGER, &[&[2]])]),
            &der(INTEGER, &[&[1]]),
            &algorithm,
            &name,
            &validity,
            &name,
            public.as_bytes(),
            &der(0xa3, &[&extensions]),
        ],
    );
    let signature: Signature = key.sign(&body);
    der(
        SEQUENCE,
        &[
            &body,
            &algorithm,
            &der(BIT_STRING, &[&[0], signature.to_der().as_bytes()]),
        ],
    )
}

/// One element: tag, length, content.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len())
        .expect("shorter than 64 KiB")
        .to_be_bytes();
    let mut bytes = vec![tag];
    match length {
        [0, short @ ..0x80] => bytes.push(short),
        [0, byte] => bytes.extend([0x81, byte]),
        both => bytes.extend([0x82, both[0], both[1]]),
    }
    bytes.extend(content);
    bytes
}
