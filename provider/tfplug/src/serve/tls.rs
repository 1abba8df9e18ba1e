//! Mutual TLS as go-plugin means it: each side holds exactly one certificate of the other.
//!
//! Terraform hands us its certificate by the environment and takes ours from the handshake line. Its
//! certificate is self-signed, a CA, and of the curve P-521: the usual verifiers refuse it as a leaf,
//! and ring does not know the curve. So a client is accepted if its certificate is, byte by byte, the
//! one from the environment, and if it signs the handshake with the key of that certificate.

use std::sync::Arc;

use p521::ecdsa::signature::Verifier;
use p521::ecdsa::{Signature, VerifyingKey};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, PrivatePkcs8KeyDer,
    SignatureVerificationAlgorithm, UnixTime, alg_id,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureScheme,
};
use tokio_rustls::TlsAcceptor;

/// Makes a certificate for this process, and an acceptor that lets in the holder of `client` alone.
/// Gives both; the error says what failed.
pub(super) fn mutual(
    client: &CertificateDer<'static>,
) -> Result<(TlsAcceptor, CertificateDer<'static>), String> {
    let (certificate, key) = identity().map_err(|error| error.to_string())?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map(|builder| builder.with_client_cert_verifier(Arc::new(PinnedClient(client.clone()))))
        .and_then(|builder| builder.with_single_cert(vec![certificate.clone()], key.into()))
        .map_err(|error| error.to_string())?;
    // grpc-go refuses a connection that did not agree on it (from 1.67, Terraform 1.12).
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A client connects once; there is no session to resume.
    config.send_tls13_tickets = 0;
    Ok((TlsAcceptor::from(Arc::new(config)), certificate))
}

/// A fresh key of P-256 and its self-signed certificate, as go-plugin's client checks it: a server of
/// the name `localhost`.
fn identity() -> Result<(CertificateDer<'static>, PrivatePkcs8KeyDer<'static>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["localhost".to_owned()])?;
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok((
        certificate.der().clone(),
        PrivatePkcs8KeyDer::from(key.serialize_der()),
    ))
}

/// Accepts the holder of one certificate.
#[derive(Debug)]
struct PinnedClient(CertificateDer<'static>);

impl ClientCertVerifier for PinnedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.0 {
            Ok(ClientCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = match signature.scheme {
            SignatureScheme::ECDSA_NISTP521_SHA512 => P521,
            _ => default_provider().signature_verification_algorithms,
        };
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // Go's client first; the others for hosts with keys of other curves.
        vec![
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP256_SHA256,
        ]
    }
}

/// ECDSA over P-521 with SHA-512, for the verifier of rustls.
const P521: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[&EcdsaP521],
    mapping: &[(SignatureScheme::ECDSA_NISTP521_SHA512, &[&EcdsaP521])],
};

#[derive(Debug)]
struct EcdsaP521;

impl SignatureVerificationAlgorithm for EcdsaP521 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        key.verify(message, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::ServerName;

    use super::*;

    /// The handshake with a client is tested from outside, in `tests/serve_process.rs`.
    #[test]
    fn our_certificate_is_one_that_go_accepts_for_localhost_alone() {
        let (certificate, _) = identity().expect("it is made");
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("it can be a root");
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        let verify = |name: &'static str| {
            let name = ServerName::try_from(name).expect("a name");
            verifier
                .verify_server_cert(&certificate, &[], &name, &[], UnixTime::now())
                .is_ok()
        };
        assert!(verify("localhost"));
        assert!(!verify("example.com"));
    }

    #[test]
    fn another_certificate_is_no_client() {
        let (ours, _) = identity().expect("it is made");
        let (other, _) = identity().expect("it is made");
        let pin = PinnedClient(ours.clone());
        assert!(pin.verify_client_cert(&ours, &[], UnixTime::now()).is_ok());
        assert!(
            pin.verify_client_cert(&other, &[ours], UnixTime::now())
                .is_err()
        );
    }

    #[test]
    fn p521_signatures_are_checked() {
        use p521::ecdsa::SigningKey;
        use p521::ecdsa::signature::Signer;
        let key =
            SigningKey::from_slice(&[[0; 2].as_slice(), &[7; 64]].concat()).expect("a scalar");
        let signature: Signature = key.sign(b"message");
        let public = VerifyingKey::from(&key).to_encoded_point(false);
        let verify = |message: &[u8], signature: &[u8]| {
            EcdsaP521
                .verify_signature(public.as_bytes(), message, signature)
                .is_ok()
        };
        let der = signature.to_der();
        assert!(verify(b"message", der.as_bytes()));
        assert!(!verify(b"another", der.as_bytes()));
        assert!(!verify(b"message", b"junk"));
    }
}
