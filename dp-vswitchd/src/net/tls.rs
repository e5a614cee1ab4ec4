//! TLS for management connections: `ssl:` and `pssl:`.
//!
//! ```text
//!   files: key, certificate, authority ──read when they change──► one configuration for each side
//! ```
//!
//! Both ends show a certificate, and each must be signed by the authority that the other was told
//! of. Names are not compared: a certificate of the reference's own tools names a switch, not a host.
//! The files are those of the command line, or of the database's row `SSL` as long as there is one;
//! they are looked at again with each new connection.
//!
//! *Threads*: the settings are of the process; the main loop alone makes connections.

mod stream;
mod trust;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};
use thiserror::Error;

pub(crate) use stream::TlsStream;
use trust::{Anyone, Bootstrap, SignedBy};

/// Which files, and which kinds of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    pub(crate) private_key: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    /// The authority; the word `none` in its place: the peer is anybody.
    pub(crate) ca_cert: Option<PathBuf>,
    /// Whether the authority's file is made of what the first peer shows, if there is none.
    pub(crate) bootstrap: bool,
    /// Certificates to show beside our own.
    pub(crate) peer_ca_cert: Option<PathBuf>,
    pub(crate) protocols: Option<String>,
    pub(crate) ciphers: Option<String>,
    pub(crate) ciphersuites: Option<String>,
}

/// Why there can be no connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TlsError {
    #[error("Private key must be configured to use SSL")]
    NoKey,
    #[error("Certificate must be configured to use SSL")]
    NoCertificate,
    #[error("CA certificate must be configured to use SSL")]
    NoAuthority,
    #[error("{0}: {1}")]
    File(PathBuf, String),
    #[error("{0}: no usable {1} in this file")]
    Content(PathBuf, &'static str),
    #[error("{0}: SSL/TLS protocol not recognized or not supported")]
    Protocol(String),
    #[error("none of the ciphers in \"{0}\" is supported")]
    Ciphers(String),
    #[error("SSL: {0}")]
    Tls(String),
}

/// The settings of the process and what was made of them.
#[derive(Default)]
struct State {
    /// Those of the command line.
    usual: TlsSettings,
    /// Those of the database.
    database: Option<TlsSettings>,
    made: Option<Made>,
}

/// Configurations made of files as they were.
#[derive(Clone)]
struct Made {
    settings: TlsSettings,
    stamps: Vec<Option<(SystemTime, u64)>>,
    client: Arc<ClientConfig>,
    server: Option<Arc<ServerConfig>>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the settings of the command line.
pub(crate) fn set_usual(settings: TlsSettings) {
    state().get_or_insert_default().usual = settings;
}

/// Takes the settings of the database, which come before those of the command line.
pub(crate) fn set_database(settings: Option<TlsSettings>) {
    state().get_or_insert_default().database = settings;
}

/// The configuration of the side that connects.
pub(crate) fn client() -> Result<Arc<ClientConfig>, TlsError> {
    made().map(|made| made.client)
}

/// The configuration of the side that is connected to.
pub(crate) fn server() -> Result<Arc<ServerConfig>, TlsError> {
    made()?.server.ok_or(TlsError::NoAuthority)
}

fn made() -> Result<Made, TlsError> {
    let mut guard = state();
    let state = guard.get_or_insert_default();
    let settings = state.database.as_ref().unwrap_or(&state.usual).clone();
    let stamps = settings.stamps();
    match &state.made {
        Some(made) if made.settings == settings && made.stamps == stamps => Ok(made.clone()),
        _ => {
            let made = settings.make(stamps)?;
            state.made = Some(made.clone());
            Ok(made)
        }
    }
}

impl TlsSettings {
    /// When the files were changed, and how long they are.
    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        [&self.private_key, &self.certificate, &self.ca_cert, &self.peer_ca_cert]
            .into_iter()
            .map(|path| {
                let about = fs::metadata(path.as_ref()?).ok()?;
                Some((about.modified().ok()?, about.len()))
            })
            .collect()
    }

    fn make(&self, stamps: Vec<Option<(SystemTime, u64)>>) -> Result<Made, TlsError> {
        let key_path = self.private_key.as_ref().ok_or(TlsError::NoKey)?;
        let path = self.certificate.as_ref().ok_or(TlsError::NoCertificate)?;
        let authority = self.ca_cert.as_ref().ok_or(TlsError::NoAuthority)?;
        let key = read_key(key_path)?;
        let mut chain = read_certificates(path)?;
        if let Some(path) = &self.peer_ca_cert {
            chain.extend(read_certificates(path)?);
        }
        let provider = Arc::new(self.provider()?);
        let versions = self.versions()?;
        let wrong = |error: rustls::Error| TlsError::Tls(error.to_string());
        let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(wrong)?
            .dangerous();
        let bootstrapping = self.bootstrap && !authority.exists();
        let (client, roots) = if authority.as_os_str() == "none" {
            (client.with_custom_certificate_verifier(Arc::new(Anyone::new(&provider))), None)
        } else if bootstrapping {
            let verifier = Bootstrap::new(authority.clone(), &provider);
            (client.with_custom_certificate_verifier(Arc::new(verifier)), None)
        } else {
            let roots = Arc::new(read_roots(authority)?);
            let verifier = SignedBy::new(Arc::clone(&roots), &provider);
            (client.with_custom_certificate_verifier(Arc::new(verifier)), Some(roots))
        };
        let client = client.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(wrong)?;
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(wrong)?;
        let server = match roots {
            Some(roots) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = verifier.build().map_err(|it| TlsError::Tls(it.to_string()))?;
                Some(server.with_client_cert_verifier(verifier))
            }
            None if bootstrapping => None,
            None => Some(server.with_no_client_auth()),
        };
        let server = server.map(|it| it.with_single_cert(chain, key).map_err(wrong)).transpose()?;
        Ok(Made {
            settings: self.clone(),
            stamps,
            client: Arc::new(client),
            server: server.map(Arc::new),
        })
    }

    /// The versions of the protocol: all that there are, unless said otherwise. The library has none
    /// older than 1.2.
    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let Some(text) = &self.protocols else { return Ok(vec![&TLS12, &TLS13]) };
        let words = text.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        let mut versions = Vec::new();
        for word in words {
            match word {
                "TLSv1.2" => versions.push(&TLS12),
                "TLSv1.3" => versions.push(&TLS13),
                // A range from there on, as newer tools write it.
                "TLSv1.2+" => versions.extend([&TLS12, &TLS13]),
                "TLSv1.3+" => versions.push(&TLS13),
                // Older versions beside newer ones: the newer are spoken.
                "TLSv1" | "TLSv1.1" => {}
                other => return Err(TlsError::Protocol(other.to_owned())),
            }
        }
        if versions.is_empty() {
            return Err(TlsError::Protocol(text.clone()));
        }
        Ok(versions)
    }

    /// The cryptography with the ciphers that are wanted.
    fn provider(&self) -> Result<CryptoProvider, TlsError> {
        let mut provider = ring::default_provider();
        for (text, newest) in [(&self.ciphers, false), (&self.ciphersuites, true)] {
            let Some(text) = text else { continue };
            let wanted = chosen(text, &provider.cipher_suites, newest);
            if !wanted.iter().any(|suite| is_newest(suite) == newest) {
                return Err(TlsError::Ciphers(text.clone()));
            }
            provider.cipher_suites = wanted;
        }
        Ok(provider)
    }
}

fn is_newest(suite: &SupportedCipherSuite) -> bool {
    suite.tls13().is_some()
}

/// The suites that a list in OpenSSL's words leaves, of those of this age; others stay. Words that
/// stand for groups stand for all there are: the library has good ones only.
fn chosen(text: &str, known: &[SupportedCipherSuite], newest: bool) -> Vec<SupportedCipherSuite> {
    let named = |word: &str, suite: &SupportedCipherSuite| {
        openssl_name(suite).eq_ignore_ascii_case(word)
            || format!("{:?}", suite.suite()).replace("TLS13_", "TLS_") == word
    };
    let group = |word: &str| matches!(word, "ALL" | "DEFAULT" | "HIGH" | "COMPLEMENTOFDEFAULT");
    let mut wanted: Vec<SupportedCipherSuite> = Vec::new();
    let mut never: Vec<SupportedCipherSuite> = Vec::new();
    let of_age = || known.iter().filter(|suite| is_newest(suite) == newest);
    for word in text.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
        if let Some(word) = word.strip_prefix(['!', '-']) {
            never.extend(of_age().filter(|suite| named(word, suite)));
        } else {
            let meant = of_age().filter(|suite| group(word) || named(word, suite));
            wanted.extend(meant);
        }
    }
    let stays = |suite: &&SupportedCipherSuite| {
        is_newest(suite) != newest || wanted.contains(suite) && !never.contains(suite)
    };
    known.iter().filter(stays).copied().collect()
}

/// What OpenSSL calls a suite: `ECDHE-RSA-AES256-GCM-SHA384`.
fn openssl_name(suite: &SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    let name = name.trim_start_matches("TLS13_").trim_start_matches("TLS_");
    let name = name.replace("_WITH_", "_").replace("AES_", "AES").replace('_', "-");
    name.strip_suffix("POLY1305-SHA256").map_or(name.clone(), |it| format!("{it}POLY1305"))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|it| TlsError::File(path.to_owned(), crate::errno::text(&it)))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|_| TlsError::Content(path.to_owned(), "private key"))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Content(path.to_owned(), "certificate")),
    }
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|_| TlsError::Content(path.to_owned(), "authority's certificate"))?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::{TlsError, TlsSettings, chosen, openssl_name};
    use rustls::crypto::ring;

    #[test]
    fn ciphers_are_named_as_openssl_names_them() {
        let all = ring::default_provider().cipher_suites;
        let names: Vec<String> = all.iter().map(openssl_name).collect();
        assert!(names.contains(&"ECDHE-RSA-AES256-GCM-SHA384".to_owned()), "{names:?}");
        assert!(names.contains(&"ECDHE-ECDSA-CHACHA20-POLY1305".to_owned()), "{names:?}");
        assert_eq!(chosen("HIGH:!aNULL:!MD5", &all, false), all);
        let one = chosen("ECDHE-RSA-AES256-GCM-SHA384", &all, false);
        assert_eq!(one.iter().filter(|it| it.tls13().is_none()).count(), 1);
        let rest = chosen("HIGH:!ECDHE-RSA-AES256-GCM-SHA384", &all, false);
        assert_eq!(rest.len(), all.len() - 1);
        let newest = chosen("TLS_AES_256_GCM_SHA384", &all, true);
        assert_eq!(newest.iter().filter(|it| it.tls13().is_some()).count(), 1);
        let settings = TlsSettings { ciphers: Some("RC4".into()), ..TlsSettings::default() };
        assert_eq!(settings.provider().err(), Some(TlsError::Ciphers("RC4".into())));
    }

    #[test]
    fn protocols_older_than_the_library_has_are_refused_when_they_are_alone() {
        let versions = |text: &str| {
            let settings = TlsSettings { protocols: Some(text.into()), ..TlsSettings::default() };
            settings.versions().map(|it| it.len())
        };
        assert_eq!(versions("TLSv1,TLSv1.1,TLSv1.2"), Ok(1));
        assert_eq!(versions("TLSv1.2,TLSv1.3"), Ok(2));
        assert_eq!(versions("TLSv1.2+"), Ok(2));
        assert!(versions("TLSv1.1").is_err());
        assert!(versions("SSLv3,TLSv1.2").is_err());
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut settings = TlsSettings::default();
        let why = |settings: &TlsSettings| settings.make(settings.stamps()).err();
        assert_eq!(why(&settings), Some(TlsError::NoKey));
        settings.private_key = Some("/nonexistent/key".into());
        assert_eq!(why(&settings), Some(TlsError::NoCertificate));
        settings.certificate = Some("/nonexistent/cert".into());
        assert_eq!(why(&settings), Some(TlsError::NoAuthority));
        settings.ca_cert = Some("/nonexistent/ca".into());
        let error = why(&settings).unwrap().to_string();
        assert_eq!(error, "/nonexistent/key: No such file or directory");
    }
}
