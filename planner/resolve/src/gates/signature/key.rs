//! Public keys, as `model_signing sign key` uses their other half: ECDSA on P-256, P-384 or P-521.

use std::fmt;

use p256::pkcs8::der::asn1::ObjectIdentifier;
use p256::pkcs8::spki::SubjectPublicKeyInfoRef;
use p256::pkcs8::{AssociatedOid as _, Document, EncodePublicKey, LineEnding};
use p521::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};

/// `id-ecPublicKey` (RFC 5480).
const ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// Label of a PEM text that holds a public key (RFC 7468).
const LABEL: &str = "PUBLIC KEY";

/// A key that may have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    curve: Curve,
    fingerprint: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Curve {
    P256(p256::PublicKey),
    P384(p384::PublicKey),
    P521(p521::PublicKey),
}

/// Why a text is no key that `model_signing` signs with. Full sentences, with the next move; nothing of the
/// text is in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM text of one key.
    #[error(
        "It is not the text of one public key, which begins with -----BEGIN PUBLIC KEY-----. Give the content of the \
         key's file, as file(\"release.pub\") reads it."
    )]
    NotPem,
    /// A text of several keys.
    #[error(
        "It is the text of several keys, and only one of them would count. Give each an element of its own."
    )]
    Several,
    /// The half that must stay with who signs.
    #[error(
        "It is a private key, which must stay with who signs. Take it out of the configuration, and give its public \
         half: openssl pkey -in KEY -pubout."
    )]
    Private,
    /// A certificate.
    #[error(
        "It is a certificate, and only plain public keys are compared. Give the key in it: openssl x509 -in FILE \
         -noout -pubkey."
    )]
    Certificate,
    /// A key of another kind.
    #[error(
        "It is a key of a kind that model_signing does not sign with: ECDSA on P-256, P-384 or P-521. Make one with \
         openssl ecparam -name prime256v1 -genkey -noout."
    )]
    Kind,
    /// What it holds is no point of its curve.
    #[error("It is damaged: what it holds is no point of its curve. Export it again.")]
    Damaged,
}

impl PublicKey {
    /// Reads a PEM text of one `SubjectPublicKeyInfo`.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        if text.contains("CERTIFICATE-----") {
            return Err(KeyError::Certificate);
        }
        if text.matches("-----BEGIN").count() > 1 {
            return Err(KeyError::Several);
        }
        let (label, document) = Document::from_pem(text.trim()).map_err(|_| KeyError::NotPem)?;
        if label != LABEL {
            return Err(KeyError::NotPem);
        }
        let info: SubjectPublicKeyInfoRef<'_> =
            document.decode_msg().map_err(|_| KeyError::NotPem)?;
        if info.algorithm.oid != ECDSA {
            return Err(KeyError::Kind);
        }
        let curve = info
            .algorithm
            .parameters_oid()
            .map_err(|_| KeyError::Kind)?;
        let curve = if curve == p256::NistP256::OID {
            p256::PublicKey::try_from(info).map(Curve::P256)
        } else if curve == p384::NistP384::OID {
            p384::PublicKey::try_from(info).map(Curve::P384)
        } else if curve == p521::NistP521::OID {
            p521::PublicKey::try_from(info).map(Curve::P521)
        } else {
            return Err(KeyError::Kind);
        };
        let curve = curve.map_err(|_| KeyError::Damaged)?;
        let fingerprint = curve.fingerprint().ok_or(KeyError::Damaged)?;
        Ok(Self { curve, fingerprint })
    }

    /// SHA-256 of the key's PEM text, in hexadecimal: what `model_signing` writes beside a signature as the
    /// hint to its key, and `openssl pkey -pubin -in FILE | sha256sum` prints.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether this key made a signature (ASN.1 DER) of a message, hashed as is usual on its curve.
    pub(super) fn made(&self, signature: &[u8], message: &[u8]) -> bool {
        match &self.curve {
            Curve::P256(key) => {
                p256::ecdsa::Signature::from_der(signature).is_ok_and(|signature| {
                    let key = p256::ecdsa::VerifyingKey::from(key);
                    key.verify(message, &signature).is_ok()
                })
            }
            Curve::P384(key) => {
                p384::ecdsa::Signature::from_der(signature).is_ok_and(|signature| {
                    let key = p384::ecdsa::VerifyingKey::from(key);
                    key.verify(message, &signature).is_ok()
                })
            }
            Curve::P521(key) => {
                p521::ecdsa::Signature::from_der(signature).is_ok_and(|signature| {
                    let key = p521::ecdsa::VerifyingKey::from_affine(*key.as_affine());
                    key.is_ok_and(|key| key.verify(message, &signature).is_ok())
                })
            }
        }
    }
}

/// The start of its fingerprint.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::short(&self.fingerprint))
    }
}

impl Curve {
    /// Of the text that OpenSSL and Python's `cryptography` write, whatever that of the configuration looked like.
    fn fingerprint(&self) -> Option<String> {
        let text = match self {
            Self::P256(key) => key.to_public_key_pem(LineEnding::LF),
            Self::P384(key) => key.to_public_key_pem(LineEnding::LF),
            Self::P521(key) => key.to_public_key_pem(LineEnding::LF),
        };
        Some(hex::encode(Sha256::digest(text.ok()?)))
    }
}
