//! Who is believed: peers whose certificate an authority has signed, whatever their names.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha1::{Digest, Sha1};

/// Believes servers that an authority has signed.
#[derive(Debug)]
pub(super) struct SignedBy {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Believes any server: only where the word `none` stands for the authority.
#[derive(Debug)]
pub(super) struct Anyone(WebPkiSupportedAlgorithms);

/// Believes nobody, but writes the authority that a server shows into a file, if it has signed the
/// server's certificate: the next connection goes by that file.
#[derive(Debug)]
pub(super) struct Bootstrap {
    path: PathBuf,
    algorithms: WebPkiSupportedAlgorithms,
}

impl SignedBy {
    pub(super) fn new(roots: Arc<RootCertStore>, provider: &CryptoProvider) -> Self {
        Self { roots, algorithms: provider.signature_verification_algorithms }
    }
}

impl Anyone {
    pub(super) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }
}

impl Bootstrap {
    pub(super) fn new(path: PathBuf, provider: &CryptoProvider) -> Self {
        Self { path, algorithms: provider.signature_verification_algorithms }
    }

    /// Keeps the authority: the last certificate shown.
    fn keep(
        &self,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), String> {
        let shown = others.last().ok_or("the server shows no authority's certificate")?;
        let mut roots = RootCertStore::empty();
        let added = roots.add(shown.clone().into_owned());
        added.map_err(|_| "what the server shows is no authority's certificate".to_owned())?;
        let parsed = ParsedCertificate::try_from(server).map_err(|it| it.to_string())?;
        let all = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, now, all)
            .map_err(|it| it.to_string())?;
        let text = pem(shown);
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o644).open(&self.path).and_then(
                |mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()),
            );
        written.map_err(|it| format!("{}: {}", self.path.display(), crate::errno::text(&it)))?;
        let print: Vec<String> =
            Sha1::digest(shown).iter().map(|byte| format!("{byte:02x}")).collect();
        log::info!(
            target: "stream_ssl",
            "successfully bootstrapped CA cert to {} (fingerprint {})",
            self.path.display(),
            print.join(":")
        );
        Ok(())
    }
}

/// A certificate as text.
fn pem(certificate: &CertificateDer<'_>) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    // Lines of 64 digits are 48 bytes.
    for line in certificate.chunks(48) {
        for three in line.chunks(3) {
            let bytes = [0, 1, 2].map(|at| u32::from(three.get(at).copied().unwrap_or(0)));
            let word = bytes[0] << 16 | bytes[1] << 8 | bytes[2];
            for place in 0..4 {
                let digit = DIGITS[(word >> (18 - 6 * place) & 63) as usize];
                text.push(if place <= three.len() { digit as char } else { '=' });
            }
        }
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// The parts of a verifier that are about signatures.
macro_rules! signatures {
    ($($field:tt)+) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signed, &self.$($field)+)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signed, &self.$($field)+)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.$($field)+.supported_schemes()
        }
    };
}

impl ServerCertVerifier for SignedBy {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(server)?;
        let all = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, others, now, all)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!(algorithms);
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _server: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures!(0);
}

impl ServerCertVerifier for Bootstrap {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.keep(server, others, now) {
            Ok(()) => Err(Error::General("the authority is known from now on".into())),
            Err(why) => {
                log::error!(target: "stream_ssl", "failed to bootstrap CA cert: {why}");
                Err(Error::General(why))
            }
        }
    }

    signatures!(algorithms);
}

#[cfg(test)]
mod tests {
    use super::pem;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn a_certificate_written_as_text_reads_back() {
        for len in [0, 1, 2, 3, 47, 48, 49, 1000] {
            let bytes: Vec<u8> = (0..len).map(|it: u32| (it * 7 % 251) as u8).collect();
            let text = pem(&CertificateDer::from(bytes.clone()));
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(read.as_ref(), bytes, "{len}");
        }
    }
}
