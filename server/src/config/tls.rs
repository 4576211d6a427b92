//! TLS of the doors, as it is configured: which files, and who has to show a certificate.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Config, any_path, given, on_or_off};
use crate::error::ConfigError;

/// What makes the doors speak TLS. All files are PEM, and read again on SIGHUP and when they change.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsSettings {
    /// The certificate of both doors, followed by those of the authorities between it and a root (PEM). With it they
    /// speak TLS. Read again on SIGHUP and when the file changes; connections that are open go on.
    #[arg(long, env = "PATCHCORD_TLS_CERT", value_name = "PATH", value_parser = any_path)]
    pub tls_cert: Option<PathBuf>,

    /// Its private key (PEM).
    #[arg(long, env = "PATCHCORD_TLS_KEY", value_name = "PATH", value_parser = any_path)]
    pub tls_key: Option<PathBuf>,

    /// At the public door take only clients that show a certificate of an authority in this file (PEM).
    #[arg(long, env = "PATCHCORD_CLIENT_CA", value_name = "PATH", value_parser = any_path)]
    pub client_ca: Option<PathBuf>,

    /// At the admin door answer only those who show a certificate of an authority in this file (PEM), besides a key if
    /// there are keys. Health, /livez and /readyz stay open.
    #[arg(long, env = "PATCHCORD_ADMIN_CLIENT_CA", value_name = "PATH", value_parser = any_path)]
    pub admin_client_ca: Option<PathBuf>,

    /// Leave the admin door without TLS: for one that only this machine reaches.
    #[arg(long, env = "PATCHCORD_ADMIN_PLAIN", value_parser = on_or_off)]
    pub admin_plain: bool,
}

/// The files of one door's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the door's own first.
    pub certificate: PathBuf,
    /// Of the first.
    pub key: PathBuf,
    /// Who vouches for clients, and the flag that it came with.
    pub client_ca: Option<(&'static str, PathBuf)>,
}

impl TlsSettings {
    /// Of the public door; `None` when it is plain.
    pub(crate) fn public(&self) -> Result<Option<TlsFiles>, ConfigError> {
        self.files("--client-ca", given(&self.client_ca))
    }

    /// Of the admin door.
    pub(crate) fn admin(&self) -> Result<Option<TlsFiles>, ConfigError> {
        let client_ca = given(&self.admin_client_ca);
        if !self.admin_plain {
            return self.files("--admin-client-ca", client_ca);
        }
        match client_ca {
            Some(_) => Err(ConfigError::Excludes { flag: "--admin-client-ca", other: "--admin-plain" }),
            None => Ok(None),
        }
    }

    fn files(
        &self,
        client_ca_flag: &'static str,
        client_ca: Option<&Path>,
    ) -> Result<Option<TlsFiles>, ConfigError> {
        match (given(&self.tls_cert), given(&self.tls_key), client_ca) {
            (Some(certificate), Some(key), client_ca) => {
                let client_ca = client_ca.map(|path| (client_ca_flag, path.to_owned()));
                Ok(Some(TlsFiles { certificate: certificate.to_owned(), key: key.to_owned(), client_ca }))
            }
            (Some(_), None, _) => Err(ConfigError::Needs { flag: "--tls-cert", needed: "--tls-key" }),
            (None, Some(_), _) => Err(ConfigError::Needs { flag: "--tls-key", needed: "--tls-cert" }),
            (None, None, Some(_)) => {
                Err(ConfigError::Needs { flag: client_ca_flag, needed: "--tls-cert and --tls-key" })
            }
            (None, None, None) => Ok(None),
        }
    }
}

impl Config {
    /// Whether the admin door is to be spoken to over TLS.
    ///
    /// # Errors
    /// When what is set does not fit together.
    pub fn admin_speaks_tls(&self) -> Result<bool, ConfigError> {
        Ok(self.tls.admin()?.is_some())
    }
}
